"""`pixtrack tokens`: what prompts cost in tokens, without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixtrack.flows.plain_text import say

if TYPE_CHECKING:
    from pixtrack.configs.schema import ModelConfig
    from pixtrack.tasks.inference.prompts.base import PromptBuilder


def register(app: typer.Typer) -> None:
    """Adds `tokens` to the command line."""
    app.command("tokens")(tokens)


def tokens(
    text: Annotated[
        str | None, typer.Option(help="A question: show its prompt, token by token.")
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(help="An image that the question is about; may be repeated."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A model in configs/models; default with --text: Pixtral's own tokenizer.",
        ),
    ] = None,
    model_dir: Annotated[
        Path | None, typer.Option(help="The model's files, where they are not in the data home.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", "-d", help="A dataset in configs/datasets: count all its prompts."
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt", "-p", help="A prompt in configs/prompts; default: the dataset's own."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="Only the first so many questions.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Count a dataset's prompt tokens, or show one prompt's, without an engine.

    Example: `pixtrack tokens --model pixtral-12b --dataset docvqa_val`

    Example: `pixtrack tokens --text "What is the total?" --image invoice.png`
    """
    from pixtrack.configs.errors import UserError

    if (text is None) == (dataset is None):
        raise UserError("tokens: give either --text (with --image) or --dataset (with --model)")
    if text is not None:
        _show_prompt(text, image or [], model, model_dir, as_json)
    elif dataset is not None:
        if model is None:
            raise UserError("tokens: --dataset needs a --model, whose tokenizer counts")
        if image:
            raise UserError("tokens: --image goes with --text; a dataset has its own images")
        _count_dataset(model, model_dir, dataset, prompt, limit, as_json)


def _show_prompt(
    text: str, images: list[Path], model: str | None, model_dir: Path | None, as_json: bool
) -> None:
    import json

    from pixtrack.configs.errors import UserError
    from pixtrack.tasks.images import BadImage, load_image
    from pixtrack.tasks.inference.engines.base import RequestRefused
    from pixtrack.tasks.records import ImageRef, Request

    refs = []
    for path in images:
        try:
            width, height = load_image(path).size
        except BadImage as error:
            raise UserError(f"{path}: {error}") from None
        refs.append(ImageRef("", str(path), width, height))
    if model is None:
        from pixtrack.tasks.inference.prompts.mistral import MistralPrompts, pixtral_tokenizer_file

        builder: Any = MistralPrompts(Path(), max(1, len(refs)), pixtral_tokenizer_file())
        named = f"Pixtral's tokenizer in mistral_common ({pixtral_tokenizer_file().name})"
    else:
        from pixtrack.tasks.environment import find_model

        config = find_model(model)
        builder, named = _builder(config, model_dir)
    try:
        draft = builder.draft(Request(0, tuple(refs), (text,)))
    except RequestRefused as refusal:
        raise UserError(f"tokens: {refusal}") from None
    ids = list(builder.prompt(draft, [None] * len(refs)).token_ids or ())
    if as_json:
        say(
            json.dumps(
                {
                    "tokenizer": named,
                    "tokens": draft.prompt_tokens,
                    "image_tokens": draft.image_tokens,
                    "text_tokens": (draft.prompt_tokens or 0) - draft.image_tokens,
                    "images": [[ref.width, ref.height] for ref in refs],
                    "prompt": builder.text(ids),
                    "token_ids": ids,
                }
            )
        )
        return
    say(f"tokenizer     {named}")
    say(f"tokens        {draft.prompt_tokens:,}")
    say(f"image tokens  {draft.image_tokens:,}")
    for ref in refs:
        target = builder.target_size(ref.width, ref.height)
        resized = f", resized to {target[0]}×{target[1]}" if target else ""
        say(f"  {ref.path}: {ref.width}×{ref.height} pixels{resized}")
    say(f"prompt        {_shortened(builder.text(ids))}")


def _shortened(prompt: str) -> str:
    """Runs of one image token, and of alike rows, as counts: ([IMG]×50[IMG_BREAK])×63."""
    import re

    def counted(run: re.Match[str]) -> str:
        return f"{run[1]}×{len(run[0]) // len(run[1])}"

    prompt = re.sub(r"(\[IMG\]|<image>|<\|image_pad\|>)\1+", counted, prompt)
    rows = r"(\[IMG\](?:×\d+)?\[IMG_BREAK\])\1+"
    return re.sub(rows, lambda run: f"({run[1]})×{len(run[0]) // len(run[1])}", prompt)


def _count_dataset(
    model: str,
    model_dir: Path | None,
    dataset: str,
    prompt: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    import json

    from pixtrack.configs.errors import UserError
    from pixtrack.configs.loading import load_dataset, load_prompt
    from pixtrack.configs.paths import home
    from pixtrack.tasks.datasets import prepare
    from pixtrack.tasks.environment import find_model
    from pixtrack.tasks.environment.memory import plan_for_model
    from pixtrack.tasks.inference.tokens import count_tokens, estimated_seconds
    from pixtrack.tasks.runs.requests import PageRule, build_requests

    config = find_model(model)
    data = load_dataset(dataset)
    wording = load_prompt(prompt or data.prompt).for_dataset(data.name)
    builder, named = _builder(config, model_dir)
    prepared = prepare(data, home())
    samples = prepared.samples[:limit] if limit else prepared.samples
    requests = build_requests(samples, wording, prepared.images, PageRule.of(data, config))
    longest = config.engine.get("max_model_len")
    report = count_tokens(requests, builder, wording.max_new_tokens, longest)
    if report is None:
        raise UserError(f"{model}: no prompt of {dataset} can be counted with {named}")
    plan = plan_for_model(
        config,
        model_dir,
        max_prompt_tokens=report.prompt_tokens.most,
        max_tokens=wording.max_new_tokens,
        refuse=False,
    )
    arithmetic = _arithmetic(config, model_dir)
    seconds = estimated_seconds(report, arithmetic) if arithmetic else None
    if as_json:
        say(
            json.dumps(
                {
                    "model": config.name,
                    "dataset": data.name,
                    "prompt": wording.name,
                    "tokenizer": named,
                    **report.to_json(),
                    "h100_seconds_at_limit": seconds[0] if seconds else None,
                    "h100_seconds_expected": seconds[1] if seconds else None,
                    "memory": plan.summary(),
                    "fits": plan.fits,
                }
            )
        )
        return
    _print_report(config, data.name, wording.name, named, report, seconds, plan)


def _print_report(
    config: ModelConfig,
    dataset: str,
    prompt: str,
    named: str,
    report: Any,
    seconds: tuple[float, float] | None,
    plan: Any,
) -> None:
    from rich.table import Table

    from pixtrack.flows.terminal import DataConsole

    console = DataConsole(soft_wrap=True)
    table = Table(title=f"{config.title} · {dataset} · prompt {prompt}", title_justify="left")
    for heading in ("tokens", "least", "5%", "median", "95%", "most", "mean"):
        table.add_column(heading, justify="left" if heading == "tokens" else "right")
    rows = {
        "a prompt": report.prompt_tokens,
        "of these, its images": report.image_tokens,
        "of these, its text": report.text_tokens,
        "an image group in the KV cache": report.group_kv_tokens,
        **({"images of a prompt": report.images} if report.images.most > 1 else {}),
    }
    for name, spread in rows.items():
        numbers = (spread.least, spread.p5, spread.median, spread.p95, spread.most)
        table.add_row(name, *(f"{number:,}" for number in numbers), f"{spread.mean:,.0f}")
    console.print(table)
    console.print(
        f"{report.requests:,} questions on {report.image_groups:,} image groups, "
        f"{report.total_prompt_tokens:,} prompt tokens; counted with {named}",
        highlight=False,
    )
    console.print(
        f"prefix cache: {report.cached_share:.1%} of them need not be computed again "
        f"({report.cached_tokens:,} tokens)",
        highlight=False,
    )
    if report.left_out:
        console.print(
            f"{report.left_out:,} prompts do not show all of their images: the dataset's pages and "
            "max_pages, the model's max_images and max_model_len",
            highlight=False,
        )
    if report.refused:
        console.print(f"refused: {report.refused:,} ({report.refusal})", highlight=False)
    if seconds:
        console.print(
            f"time on one H100 80GB, bf16, {report.max_tokens} output tokens each: "
            f"{_duration(seconds[0])} at the limit, {_duration(seconds[1])} as measured",
            highlight=False,
        )
    console.print(f"memory here: {plan.summary()}", highlight=False)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _files(config: ModelConfig, model_dir: Path | None) -> Path | None:
    """The model's files, where that takes no download."""
    from pixtrack.configs.paths import home
    from pixtrack.tasks.download import fetch_model, files_of

    if not files_of(config, model_dir).needs_network:
        return fetch_model(config, home(), model_dir)
    folder = home().models / config.name
    return folder if folder.is_dir() else None


def _builder(config: ModelConfig, model_dir: Path | None) -> tuple[PromptBuilder, str]:
    """The model's prompt builder, and what counts in words; its weights are not needed."""
    from pixtrack.configs.errors import UserError
    from pixtrack.tasks.inference.prompts.mistral import MistralPrompts, pixtral_tokenizer_file

    if not config.source.has_files:
        raise UserError(
            f"{config.name} runs behind an endpoint, which counts its tokens itself: choose a model "
            "with files (`pixtrack models`)"
        )
    folder = _files(config, model_dir)
    if config.format == "mistral":
        if folder is not None and (
            (folder / "tekken.json").is_file() or list(folder.glob("tokenizer.model.v*"))
        ):
            return MistralPrompts(folder, config.max_images), f"the tokenizer of {folder}"
        if config.family == "pixtral":
            file = pixtral_tokenizer_file()
            named = f"Pixtral's tokenizer in mistral_common ({file.name})"
            return MistralPrompts(Path(), config.max_images, file), named
    if folder is None:
        raise UserError(
            f"{config.name}: its tokenizer is not here: `pixtrack download {config.name}` first, or "
            "name its files with --model-dir"
        )
    from pixtrack.tasks.inference.host.startup import torch_companions
    from pixtrack.tasks.inference.prompts.hf import HfPrompts

    torch_companions.install()  # transformers' processors import torchvision
    trust = bool(config.engine.get("trust_remote_code", False))
    return HfPrompts(folder, config.max_images, trust), f"the processor of {folder}"


def _arithmetic(config: ModelConfig, model_dir: Path | None) -> Any:
    from pixtrack.tasks.inference.arithmetic import Arithmetic

    folder = _files(config, model_dir)
    names = ("params.json", "config.json")
    if folder is not None and any((folder / name).is_file() for name in names):
        return Arithmetic.of(folder, config.family)
    if config.dimensions is None:
        return None
    return Arithmetic.of_dimensions(config.dimensions, config.family)
