"""Reads YAML files into pydantic models; every error names the file, the line and the key."""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pixtrack.configs.complaints import complaint
from pixtrack.configs.errors import UserError, unknown_name
from pixtrack.configs.paths import PACKAGE_ROOT, config_folders, own_configs
from pixtrack.configs.schema import (
    Config,
    DatasetConfig,
    DatasetGroup,
    ModelConfig,
    PromptConfig,
    StudyConfig,
)
from pixtrack.configs.yaml_files import parse_yaml

logger = logging.getLogger("pixtrack")

M = TypeVar("M", bound=BaseModel)
C = TypeVar("C", bound=Config)

_KINDS: dict[type[BaseModel], str] = {
    ModelConfig: "models",
    DatasetConfig: "datasets",
    DatasetGroup: "groups",
    PromptConfig: "prompts",
}


def kinds() -> dict[type[BaseModel], str]:
    """The model of each kind of configuration, and the folder that its files lie in."""
    return dict(_KINDS)


def read_yaml(path: Path, model: type[M], **defaults: Any) -> M:
    """The file as `model`. `defaults` are keys that the file may leave out (its name, say).

    Raises UserError with file, line and key for unreadable files, bad YAML and bad values.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise UserError(f"{path}: not a file")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        link = path.is_symlink()
        problem = (
            f"a link to {path.readlink()}, which is not there"
            if link
            else "no such file: correct the path"
        )
        raise UserError(f"{path}: {problem}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: cannot be read: not UTF-8 at byte {error.start}: save it as UTF-8"
        ) from None
    node, data = parse_yaml(path, text)
    if not isinstance(data, dict):
        found = "an empty file" if data is None else f"a {type(data).__name__}"
        raise UserError(f"{path}:1: expected keys and values, found {found}")
    try:
        return model.model_validate({**defaults, **data})
    except ValidationError as error:
        raise complaint(path, model, error, node, data) from None


def names(model: type[BaseModel]) -> list[str]:
    """The configured names of one kind (ModelConfig, DatasetConfig, DatasetGroup, …), sorted.

    Those of the user's own folder and the shipped ones.
    """
    kind = _KINDS[model]
    return sorted(
        {path.stem for folder in config_folders() for path in (folder / kind).glob("*.yaml")}
    )


def path_of(model: type[BaseModel], name: str) -> Path | None:
    """The file of that name: the user's own before a shipped one; None where there is neither."""
    if "/" in name:
        return None
    places = [folder / _KINDS[model] / f"{name}.yaml" for folder in config_folders()]
    found = [place for place in places if os.path.lexists(place)]
    if len(found) > 1 and all(place.is_file() for place in found):
        _say_which(*found)
    return found[0] if found else None


@functools.cache  # once a process
def _say_which(own: Path, shipped: Path) -> None:
    """Warns that a file of the user's own replaces a shipped one that differs from it."""
    try:
        differ = own.read_bytes() != shipped.read_bytes()
    except OSError:
        return  # reading the file raises the error
    if differ:
        logger.warning("%s is used, not the shipped %s/%s", own, own.parent.name, own.name)


def _load(model: type[C], name: str) -> C:
    path = path_of(model, name)
    if path is None:
        raise unknown_name(_KINDS[model].removesuffix("s"), name, names(model))
    return read_yaml(path, model, name=name).read_from(path.parent)


def load_all(model: type[C]) -> tuple[list[C], list[UserError]]:
    """Every configuration of one kind, by name, and the errors of those that cannot be read."""
    found: list[C] = []
    broken: list[UserError] = []
    for name in names(model):
        try:
            found.append(_load(model, name))
        except UserError as error:
            broken.append(error)
    return found, broken


def load_model(name: str) -> ModelConfig:
    """The model of that name: configs/models/NAME.yaml."""
    return _load(ModelConfig, name)


def load_dataset(name: str) -> DatasetConfig:
    """The dataset of that name or alias: configs/datasets/NAME.yaml.

    A generated dataset comes in any size: `sample-5000` is `sample` with 5,000 images. Raises
    UserError for any other name, a group's too.
    """
    base, _, size = name.rpartition("-")
    if size.isdecimal() and int(size) and base in names(DatasetConfig):
        config = _load(DatasetConfig, base)
        if config.source.any_size:
            source = config.source.model_copy(update={"images": int(size)})
            return config.model_copy(
                update={"name": name, "source": source, "images": int(size), "questions": 0}
            )
    try:
        return _load(DatasetConfig, name)
    except UserError:
        if name in names(DatasetConfig):
            raise
        meant = _by_alias(name)
        if meant is not None:
            return meant
        if is_group(name):
            members = ", ".join(load_group(name).datasets)
            raise UserError(
                f"{name} is a group of datasets ({members}): name one of them here"
            ) from None
        known = [*names(DatasetConfig), *names(DatasetGroup)]
        raise unknown_name("dataset", name, known) from None


def _by_alias(name: str) -> DatasetConfig | None:
    """The dataset with that alias; None without one.

    Raises UserError for a broken file only if the alias occurs in it.
    """
    in_the_way: UserError | None = None
    for other in names(DatasetConfig):
        path = path_of(DatasetConfig, other)
        try:
            if path is None or name.encode() not in path.read_bytes():
                continue
            config = _load(DatasetConfig, other)
        except OSError:
            continue
        except UserError as error:
            in_the_way = in_the_way or error
            continue
        if name in config.aliases:
            return config
    if in_the_way is not None:
        raise in_the_way
    return None


def load_group(name: str) -> DatasetGroup:
    """The group of datasets of that name: configs/groups/NAME.yaml."""
    return _load(DatasetGroup, name)


def is_group(name: str) -> bool:
    """Whether the name is a group's; a dataset of the same name takes precedence."""
    return name not in names(DatasetConfig) and name in names(DatasetGroup)


def dataset_names(name: str) -> tuple[str, ...]:
    """The datasets that a name stands for: a group's members, in its order, or the name alone.

    The name of a dataset is not checked.
    """
    return load_group(name).datasets if is_group(name) else (name,)


def sized(name: str, size: int | None) -> str:
    """The name of the generated dataset with that many images (`sample` and 500: `sample-500`).

    Raises UserError for a dataset that does not come in any size.
    """
    if size is None:
        return name
    config = load_dataset(name)
    if not config.source.any_size:
        raise UserError(
            f"--size: {config.name} is as large as it is; only a generated dataset "
            "(sample) comes in any size; --limit asks the first N questions"
        )
    return f"{name}-{size}"


def load_prompt(name: str) -> PromptConfig:
    """The prompt of that name: configs/prompts/NAME.yaml."""
    return _load(PromptConfig, name)


def study_folders() -> tuple[Path, ...]:
    """Where a study is looked for by its name: the user's own folder, then the shipped one."""
    return own_configs() / "experiments", PACKAGE_ROOT / "experiments"


def study_file(name: str | Path) -> Path:
    """The study's file: a path to it, or a name in the folders of studies (`sample_models`).

    Raises UserError for a name that is in none of them, with the known ones.
    """
    path = Path(name)
    if path.is_file() or path.suffix or len(path.parts) != 1:
        return path
    folders = study_folders()
    for folder in folders:
        if (folder / f"{path}.yaml").is_file():
            return folder / f"{path}.yaml"
    known = {file.stem for folder in folders for file in folder.glob("*.yaml")}
    raise unknown_name("study", str(path), known)


def load_study(path: str | Path) -> StudyConfig:
    """The study in that file, or of that name (experiments/NAME.yaml)."""
    file = study_file(path)
    return read_yaml(file, StudyConfig, name=file.stem)
