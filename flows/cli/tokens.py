"""`pixtrack tokens`: what prompts cost in tokens, without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixtrack.flows.plain_text import say

if TYPE_CHECKING:
    from pixtrack.tasks.inference.counting import CountedDataset


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
            raise UserError(
                "tokens: --dataset counts with a model's tokenizer: name it with --model"
            )
        if image:
            raise UserError(
                "tokens: --image goes with --text: leave it out, a dataset has its own images"
            )
        _count_dataset(model, model_dir, dataset, prompt, limit, as_json)


def _show_prompt(
    text: str, images: list[Path], model: str | None, model_dir: Path | None, as_json: bool
) -> None:
    import json

    from pixtrack.configs.paths import home
    from pixtrack.tasks.environment import find_model
    from pixtrack.tasks.inference.counting import count_prompt

    config = None if model is None else find_model(model)
    counted = count_prompt(text, images, config, home(), model_dir)
    if as_json:
        say(json.dumps(counted.to_json()))
        return
    say(f"tokenizer     {counted.tokenizer}")
    say(f"tokens        {counted.tokens:,}")
    say(f"image tokens  {counted.image_tokens:,}")
    for image in counted.images:
        target = image.resized
        resized = f", resized to {target[0]}×{target[1]}" if target else ""
        say(f"  {image.path}: {image.width}×{image.height} pixels{resized}")
    say(f"prompt        {_shortened(counted.prompt)}")


def _shortened(prompt: str) -> str:
    """Writes repeated image tokens and repeated rows as counts: ([IMG]×50[IMG_BREAK])×63."""
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

    from pixtrack.configs.loading import load_dataset, load_prompt
    from pixtrack.configs.paths import home
    from pixtrack.tasks.environment import find_model
    from pixtrack.tasks.inference.counting import count_dataset

    config = find_model(model)
    data = load_dataset(dataset)
    wording = load_prompt(prompt or data.prompt).for_dataset(data.name)
    counted = count_dataset(config, data, wording, home(), model_dir, limit)
    if as_json:
        say(json.dumps(counted.to_json()))
    else:
        _print_report(counted)


def _print_report(counted: CountedDataset) -> None:
    from rich.table import Table

    from pixtrack.flows.terminal import DataConsole
    from pixtrack.tasks.inference.counting import in_fp8

    report, seconds = counted.report, counted.seconds
    console = DataConsole(soft_wrap=True)
    title = f"{counted.model.title} · {counted.dataset} · prompt {counted.prompt}"
    table = Table(title=title, title_justify="left")
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
        f"{report.total_prompt_tokens:,} prompt tokens; counted with {counted.tokenizer}",
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
    if seconds and seconds[1] >= 0.5:  # "0 s", a tiny model's, would say nothing
        weights = "fp8" if in_fp8(counted.model) else "bf16"
        console.print(
            f"time on one H100 80GB, {weights}, {report.max_tokens} output tokens each: "
            f"{_duration(seconds[0])} at the limit, {_duration(seconds[1])} as measured",
            highlight=False,
        )
    console.print(f"memory here: {counted.plan.summary()}", highlight=False)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
