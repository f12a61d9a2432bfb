"""Counts the tokens of one prompt, or of all of a dataset's, with a model's own tokenizer.

The service behind `pixtrack tokens`. Starts no engine, and needs of a model's files its tokenizer
or processor only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig, ModelConfig, PromptConfig
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.shots import shots_of
from pixtrack.tasks.download import fetch_model, files_of
from pixtrack.tasks.environment.memory import plan_for_model
from pixtrack.tasks.environment.memory_plan import MemoryPlan
from pixtrack.tasks.images import BadImage, load_image
from pixtrack.tasks.inference.arithmetic import Arithmetic
from pixtrack.tasks.inference.engines.base import RequestRefused
from pixtrack.tasks.inference.prompts.base import PromptBuilder
from pixtrack.tasks.inference.prompts.mistral import MistralPrompts, pixtral_tokenizer_file
from pixtrack.tasks.inference.tokens import TokenReport, count_tokens, estimated_seconds
from pixtrack.tasks.records import ImageRef, Request
from pixtrack.tasks.runs.requests import PageRule, build_requests, check_shots


@dataclass(frozen=True)
class CountedImage:
    """An image of a counted prompt."""

    path: str
    width: int
    height: int
    """Pixels, after the EXIF orientation is applied."""
    resized: tuple[int, int] | None
    """Pixels after the model's own resizing; None where that is not known."""


@dataclass(frozen=True)
class CountedPrompt:
    """One prompt, token by token."""

    tokenizer: str
    """What counted, in words."""
    tokens: int
    image_tokens: int
    images: tuple[CountedImage, ...]
    prompt: str
    """The prompt as text, with special tokens by name."""
    token_ids: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "tokenizer": self.tokenizer,
            "tokens": self.tokens,
            "image_tokens": self.image_tokens,
            "text_tokens": self.tokens - self.image_tokens,
            "images": [[image.width, image.height] for image in self.images],
            "prompt": self.prompt,
            "token_ids": list(self.token_ids),
        }


@dataclass(frozen=True)
class CountedDataset:
    """The tokens of a dataset's prompts for a model, and what follows from them."""

    model: ModelConfig
    dataset: str
    prompt: str
    tokenizer: str
    """What counted, in words."""
    report: TokenReport
    seconds: tuple[float, float] | None
    """Estimated seconds on one H100, at the limit and as measured; None for an unknown shape."""
    plan: MemoryPlan
    """The memory plan on this machine for prompts of this length."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        at_limit, expected = self.seconds or (None, None)
        return {
            "model": self.model.name,
            "dataset": self.dataset,
            "prompt": self.prompt,
            "tokenizer": self.tokenizer,
            **self.report.to_json(),
            "h100_seconds_at_limit": at_limit,
            "h100_seconds_expected": expected,
            "memory": self.plan.summary(),
            "fits": self.plan.fits,
        }


def count_prompt(
    text: str,
    images: Sequence[Path],
    model: ModelConfig | None,
    home: Home,
    model_dir: Path | None = None,
) -> CountedPrompt:
    """Counts the tokens of a question on images.

    Args:
        text: the question
        images: the image files, which are shown before it
        model: the model; None: Pixtral's own tokenizer
        home: the data home
        model_dir: the model's files, where they are not in the data home

    Raises:
        UserError: an image cannot be read, the model cannot be asked this, or its tokenizer is not
            on this machine
    """
    refs = []
    for path in images:
        try:
            width, height = load_image(path).size
        except BadImage as error:
            raise UserError(f"{path}: {error}") from None
        refs.append(ImageRef("", str(path), width, height))
    if model is None:
        builder: Any
        builder, named = _pixtrals(max(1, len(refs)))
    else:
        builder, named = _builder(model, home, model_dir)
    try:
        draft = builder.draft(Request(0, tuple(refs), (text,)))
    except RequestRefused as refusal:
        raise UserError(f"tokens: {refusal}") from None
    ids = tuple(builder.prompt(draft, [None] * len(refs)).token_ids or ())
    shown = tuple(
        CountedImage(ref.path, ref.width, ref.height, builder.target_size(ref.width, ref.height))
        for ref in refs
    )
    tokens = draft.prompt_tokens or 0
    return CountedPrompt(named, tokens, draft.image_tokens, shown, builder.text(list(ids)), ids)


def count_dataset(
    model: ModelConfig,
    dataset: DatasetConfig,
    prompt: PromptConfig,
    home: Home,
    model_dir: Path | None = None,
    limit: int | None = None,
) -> CountedDataset:
    """Counts the tokens of a dataset's prompts. Prepares the dataset where that is not done.

    Args:
        model: the model
        dataset: the dataset
        prompt: the prompt, with what it changes for the dataset applied
        home: the data home
        model_dir: the model's files, where they are not in the data home
        limit: only the first questions

    Raises:
        UserError: the dataset cannot be prepared, the model's tokenizer is not on this machine, or
            no prompt can be counted
    """
    builder, named = _builder(model, home, model_dir)
    prepared = prepare(dataset, home)
    samples = prepared.samples[:limit] if limit else prepared.samples
    shots = shots_of(prompt, prepared, home)
    rule = PageRule.of(dataset, model, shots)
    check_shots(shots, samples, model, rule)
    requests = build_requests(samples, prompt, prepared.images, rule, shots)
    longest = model.engine.get("max_model_len")
    report = count_tokens(requests, builder, prompt.max_new_tokens, longest)
    if report is None:
        raise UserError(f"{model.name}: no prompt of {dataset.name} can be counted with {named}")
    plan = plan_for_model(
        model,
        model_dir,
        max_prompt_tokens=report.prompt_tokens.most,
        max_tokens=prompt.max_new_tokens,
        refuse=False,
    )
    arithmetic = _arithmetic(model, home, model_dir)
    seconds = estimated_seconds(report, arithmetic, in_fp8(model)) if arithmetic else None
    return CountedDataset(model, dataset.name, prompt.name, named, report, seconds, plan)


def _files(model: ModelConfig, home: Home, model_dir: Path | None) -> Path | None:
    """The model's files, where that takes no download; else None."""
    if not files_of(model, model_dir).needs_network:
        return fetch_model(model, home, model_dir)
    folder = home.models / model.name
    return folder if folder.is_dir() else None


def _builder(model: ModelConfig, home: Home, model_dir: Path | None) -> tuple[PromptBuilder, str]:
    """The model's prompt builder, and what counts in words; its weights are not needed."""
    if not model.source.has_files:
        raise UserError(
            f"{model.name} runs behind an endpoint, which counts its tokens itself: choose a model "
            "with files (`pixtrack models`)"
        )
    folder = _files(model, home, model_dir)
    if model.format == "mistral":
        if folder is not None and (
            (folder / "tekken.json").is_file() or list(folder.glob("tokenizer.model.v*"))
        ):
            return MistralPrompts(folder, model.max_images), f"the tokenizer of {folder}"
        if model.family == "pixtral":
            return _pixtrals(model.max_images)
    if folder is None:
        raise UserError(
            f"{model.name}: its tokenizer is not here: `pixtrack download {model.name}` first, or "
            "name its files with --model-dir"
        )
    from pixtrack.tasks.inference.host.startup import torch_companions
    from pixtrack.tasks.inference.prompts.hf import HfPrompts

    torch_companions.install()  # the processors of transformers import torchvision
    trust = bool(model.engine.get("trust_remote_code", False))
    return HfPrompts(folder, model.max_images, trust), f"the processor of {folder}"


def _pixtrals(max_images: int) -> tuple[MistralPrompts, str]:
    """The builder with Pixtral's own tokenizer, which mistral_common contains."""
    file = pixtral_tokenizer_file()
    named = f"Pixtral's tokenizer in mistral_common ({file.name})"
    return MistralPrompts(Path(), max_images, file), named


def _arithmetic(model: ModelConfig, home: Home, model_dir: Path | None) -> Arithmetic | None:
    """The model's arithmetic by its files, or its configured dimensions; None without either."""
    folder = _files(model, home, model_dir)
    names = ("params.json", "config.json")
    if folder is not None and any((folder / name).is_file() for name in names):
        return Arithmetic.of(folder, model.family)
    if model.dimensions is None:
        return None
    return Arithmetic.of_dimensions(model.dimensions, model.family)


def in_fp8(model: ModelConfig) -> bool:
    """Whether the engine turns the model's layers to fp8 (`engine: {quantization: fp8}`)."""
    return bool(model.engine.get("quantization") == "fp8")
