"""A model without a file in configs/models: named by its repository on the hub, or its folder.

What a model's file would say is read from the model's own files: all of them in a folder; of a
repository its config.json (or params.json) alone, at the commit that the revision stands for. What
they do not tell takes a default, and is said.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pixtrack.configs.errors import UserError, unknown_name
from pixtrack.configs.loading import load_all, load_model, names
from pixtrack.configs.paths import Home
from pixtrack.configs.paths import home as data_home
from pixtrack.configs.schema import Dimensions, HubModel, LocalModel, ModelConfig
from pixtrack.tasks.environment.reading import model_shape

logger = logging.getLogger(__name__)

REPOSITORY = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)
"""ORG/NAME, or ORG/NAME@REVISION."""

LONGEST_PROMPT = 32_768
"""Tokens of a prompt with its answer: longer ones take memory that documents do not need."""

MOST_IMAGES = 5
"""Images in one prompt, where nothing says how many a model takes."""

_MISTRAL_OPTIONS = {
    "tokenizer_mode": "mistral",
    "config_format": "mistral",
    "load_format": "mistral",
}


def find_model(name: str, home: Home | None = None) -> ModelConfig:
    """The model of that name, of that folder, or of that repository on the hub.

    A name in configs/models goes before a folder, a folder before a repository (`ORG/NAME`, or
    `ORG/NAME@REVISION`). The repository of a configured model, at no other revision, is that model.
    What was found out of a model without a file is said once a process. Raises UserError for what
    is none of them, and where the hub does not tell.
    """
    if name in names(ModelConfig):
        return load_model(name)
    home = home or data_home()
    if (home, name) not in _FOUND:
        _FOUND[home, name] = _found(name, home)
    return _FOUND[home, name]


_FOUND: dict[tuple[Home, str], ModelConfig] = {}
"""The models without a file that this process has been asked for: a branch of the hub stands for
one commit throughout a command."""


def find_unconfigured(name: str, home: Home, said: Mapping[str, Any] | None = None) -> ModelConfig:
    """The model of a folder or of a repository on the hub, whatever is configured.

    Args:
        name: the folder, `ORG/NAME`, or `ORG/NAME@REVISION`
        home: where the small files of a repository are kept
        said: what the user says of it, as keys of a model's file: overrides what is found out

    Raises UserError for what is neither, and where its files cannot be had or tell nothing.
    """
    said = said or {}
    folder = _folder(name)
    if folder is not None:
        return _from_folder(folder, said)
    repository = REPOSITORY.fullmatch(name)
    if repository is None:
        raise UserError(f"{name}: no model: give ORG/NAME of the hub, or a folder (./NAME)")
    return _from_hub(repository[1], repository[2] or "main", home, said)


def _folder(name: str) -> Path | None:
    """The folder that the name stands for; None where it is no folder's name."""
    folder = Path(name).expanduser()
    named_as_path = name.startswith(("/", ".", "~"))
    if named_as_path and not folder.is_dir():
        raise UserError(f"{name}: no such folder: give one that holds a model's files")
    holds_one = any((folder / file).is_file() for file in ("config.json", "params.json"))
    return folder if named_as_path or holds_one else None


def _found(name: str, home: Home) -> ModelConfig:
    repository = REPOSITORY.fullmatch(name)
    if _folder(name) is not None:
        return _said(name, find_unconfigured(name, home))
    if repository is None:
        error = unknown_name("model", name, names(ModelConfig))
        raise UserError(f"{error}; or give a model of the hub (ORG/NAME), or a folder (./NAME)")
    repo, revision = repository.groups()
    return _configured(repo, revision) or _said(name, find_unconfigured(name, home))


def _configured(repo: str, revision: str | None) -> ModelConfig | None:
    """The configured model of that repository and revision; None where there is none."""
    for model in load_all(ModelConfig)[0]:
        source = model.source
        if source.kind == "hub" and source.repo == repo and revision in (None, source.revision):
            logger.warning("%s is the configured model %s", repo, model.name)
            return model
    return None


def _said(name: str, model: ModelConfig) -> ModelConfig:
    """The model, after a line on what was found out and what was not."""
    logger.warning("%s: no file in configs/models: %s", name, model.notes)
    return model


def _from_folder(folder: Path, said: Mapping[str, Any]) -> ModelConfig:
    folder = folder.resolve()
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    name = re.sub(r"[^\w.-]+", "-", folder.name, flags=re.ASCII).strip("-.") or "model"
    name = f"{name}-local" if name in names(ModelConfig) else name
    source = LocalModel(path=str(folder))
    known = _Files(str(folder), folder, sizes, _licence_of(folder))
    return _described({"name": name, "title": folder.name, **said}, source, known)


def _from_hub(repo: str, revision: str, home: Home, said: Mapping[str, Any]) -> ModelConfig:
    from pixtrack.tasks.download.described import describing_files

    files = describing_files(repo, revision, home)
    name = repo.replace("/", "--")
    if revision != "main":
        name += "--" + re.sub(r"[^\w.-]+", "-", revision)[:12]
    source = HubModel(repo=repo, revision=files.commit or revision)
    place = f"{repo} at {files.commit[:12] or revision}"
    known = _Files(place, files.directory, files.sizes, files.licence)
    title = repo if revision == "main" else f"{repo}@{revision}"
    return _described({"name": name, "title": title, **said}, source, known)


@dataclass(frozen=True)
class _Files:
    """What there is to read of a model."""

    place: str
    """Where, in words."""
    directory: Path
    """Where its small files lie."""
    sizes: dict[str, int]
    """All of its files with their bytes, also those that are not in the directory."""
    licence: str
    """As its card names it; "" where there is none."""

    @property
    def format(self) -> str:
        """`mistral` or `hf`, by the files. Raises UserError where they are neither."""
        consolidated = any(name.startswith("consolidated") for name in self.sizes)
        if "params.json" in self.sizes and (consolidated or "config.json" not in self.sizes):
            return "mistral"
        if "config.json" in self.sizes:
            return "hf"
        raise UserError(
            f"{self.place}: has neither params.json nor config.json, so it is no model that vLLM "
            "reads: name a folder or a repository of safetensors files"
        )


def _described(
    said: Mapping[str, Any], source: HubModel | LocalModel, files: _Files
) -> ModelConfig:
    """A model's file as its own files would have it; `notes` says what was and was not found.

    `said`: the keys that are known already.
    """
    model_format = files.format
    settings = _settings(files.directory, model_format)
    assumed = [] if "max_images" in said else [f"{MOST_IMAGES} images in a prompt"]
    dimensions, parameters = _dimensions(files.directory)
    unknown = [] if dimensions else ["its sizes (memory is planned once its files are here)"]
    context = _context(settings)
    if not context:
        assumed.append(f"a context of {LONGEST_PROMPT:,} tokens")
    licence = said.get("licence") or files.licence
    if not licence:
        unknown.append("licence")
    if settings.get("auto_map"):
        unknown.append(
            "whether vLLM needs the code that the repository brings (it is not run: see "
            "trust_remote_code)"
        )
    if dimensions and not dimensions.vision_parameters_billions:
        unknown.append("an image encoder")
    bytes_ = _weight_bytes(files.sizes, model_format)
    family = _family(settings, model_format)
    facts = [f"{model_format} format", family]
    facts.append(f"{parameters:.3g} B parameters" if parameters else "")
    facts.append(f"{bytes_ / 1e9:.1f} GB" if bytes_ >= 50_000_000 else "")
    found = f"read from {files.place}: {', '.join(fact for fact in facts if fact)}"
    notes = [found, *([f"assumed: {', '.join(assumed)}"] if assumed else [])]
    notes += [f"not found out: {', '.join(unknown)}"] if unknown else []
    options = dict(_MISTRAL_OPTIONS) if model_format == "mistral" else {}
    values = {
        "source": source,
        "format": model_format,
        "family": family,
        "parameters_billions": parameters,
        "size_gb": round(bytes_ / 1e9, 6),
        "context_tokens": context,
        "max_images": MOST_IMAGES,
        "engine": {**options, "max_model_len": min(context or LONGEST_PROMPT, LONGEST_PROMPT)},
        "dimensions": dimensions,
        "notes": "; ".join(notes),
    }
    return ModelConfig(**{**values, **said, "licence": licence or "unknown"})


def _settings(directory: Path, model_format: str) -> dict[str, Any]:
    path = directory / ("params.json" if model_format == "mistral" else "config.json")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}): fetch the file again") from None
    if not isinstance(found, dict):
        raise UserError(
            f"{path}: not a JSON object, as a model's settings are: fetch the file again"
        )
    return found


def _context(settings: dict[str, Any]) -> int:
    """The longest context in tokens; 0 where the settings do not say."""
    inner = settings.get("text_config") or settings.get("llm_config") or settings
    for key in ("max_position_embeddings", "max_seq_len", "n_positions"):
        for place in (inner, settings):
            value = place.get(key) if isinstance(place, dict) else None
            if isinstance(value, int) and value > 0:
                return value
    return 0


def _family(settings: dict[str, Any], model_format: str) -> str:
    """The architecture, as configs/models names it."""
    if model_format == "mistral":
        return "pixtral" if settings.get("vision_encoder") else "mistral"
    vision = settings.get("vision_config") or {}
    if isinstance(vision, dict) and vision.get("model_type") == "pixtral":
        return "pixtral"
    return str(settings.get("model_type") or next(iter(settings.get("architectures") or ()), "?"))


def _weight_bytes(sizes: dict[str, int], model_format: str) -> int:
    """Bytes of the weights that the format needs: never of both copies."""
    weights = {name: size for name, size in sizes.items() if name.endswith(".safetensors")}
    mistral = {name: size for name, size in weights.items() if name.startswith("consolidated")}
    chosen = mistral if model_format == "mistral" else weights.keys() - mistral.keys()
    return sum(weights[name] for name in chosen)


def _dimensions(directory: Path) -> tuple[Dimensions | None, float]:
    """The sizes that memory is planned by, and billions of parameters; (None, 0) if unknown."""
    try:
        shape = model_shape(None, directory)
        found = Dimensions(
            layers=shape.layers,
            hidden=shape.hidden,
            intermediate=shape.intermediate,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            vocabulary=shape.vocabulary,
            vision_hidden=shape.vision_hidden,
            vision_intermediate=shape.vision_intermediate,
            vision_parameters_billions=round(shape.vision_parameters / 1e9, 6),
            image_patches=shape.image_patches,
            image_tokens=shape.image_tokens,
            weight_bits=int(shape.linear_bits),
        )
    except (UserError, ValidationError) as error:
        logger.debug("%s: %s", directory, error)
        return None, 0.0
    return found, round(shape.parameters / 1e9, 4)


def _licence_of(folder: Path) -> str:
    """What the card in the folder (README.md) names as its licence; "" where it does not."""
    try:
        card = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    front = card.split("\n---", 1)[0] if card.startswith("---") else ""
    named = re.search(r"^license: *['\"]?([^'\"\n]+)", front, re.MULTILINE)
    return named.group(1).strip() if named else ""
