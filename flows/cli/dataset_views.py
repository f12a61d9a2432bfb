"""The output of the dataset commands: overview, card, progress, and the outcome of adding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_all
from pixtrack.configs.paths import Home, home
from pixtrack.configs.schema import DatasetConfig
from pixtrack.flows.bars import bar, counted
from pixtrack.flows.plain_text import json_text, say
from pixtrack.flows.terminal import DataConsole
from pixtrack.tasks.datasets import load_prepared, prepare
from pixtrack.tasks.datasets.adding import add_dataset
from pixtrack.tasks.datasets.card import address, card
from pixtrack.tasks.datasets.manifest import folder, read_manifest
from pixtrack.tasks.datasets.new_dataset import NewDataset


def print_json(data: Any) -> None:
    """Prints JSON, and nothing else, to stdout."""
    print(json_text(data))


def overview(at: Home) -> tuple[list[dict[str, Any]], list[UserError]]:
    """One row for each configured dataset, and the errors of files that cannot be read."""
    rows = []
    configs, broken = load_all(DatasetConfig)
    for config in configs:
        manifest = read_manifest(folder(at, config.name))
        rows.append(
            {
                "name": config.name,
                "aliases": list(config.aliases),
                "title": config.title,
                "questions": config.questions or (manifest.samples if manifest else None),
                "images": config.images or (manifest.images if manifest else None),
                "headline": config.headline,
                "prompt": config.prompt,
                "licence": config.licence,
                "source": address(config),
                "prepared": manifest is not None,
                "failed": manifest.failed if manifest else None,
            }
        )
    return rows, broken


def print_overview(rows: Sequence[dict[str, Any]]) -> None:
    """Prints the overview as a table."""
    # One space between columns, so that the seven datasets fit 80 columns whole.
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("dataset", "questions", "images", "headline", "prompt", "prepared"):
        right = heading in ("questions", "images")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        state = "no"
        if row["prepared"]:
            state = f"yes, {row['failed']} failed" if row["failed"] else "yes"
        table.add_row(
            row["name"],
            _n(row["questions"]),
            _n(row["images"]),
            row["headline"],
            row["prompt"],
            state,
        )
    console = _console()
    console.print(table)
    console.print("\npixtrack datasets show NAME says more of one.", style="dim", highlight=False)


def print_card(view: dict[str, Any]) -> None:
    """Prints a dataset's card."""
    console = _console()
    console.print(Text(f"{view['title']}  ({view['name']})", style="bold"))
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="cyan", no_wrap=True)
    facts.add_column(overflow="fold")
    ready = view["prepared"]
    for key, value in [*_origin(view), *(_content(ready) if ready else _expected(view))]:
        facts.add_row(key, Text(str(value)))
    facts.add_row("metrics", Text(", ".join(_marked(view["metrics"], view["headline"]))))
    facts.add_row("failures", Text(f"a run fails above {view['max_failed_fraction']:.0%}"))
    if view["notes"]:
        facts.add_row("notes", Text(view["notes"]))
    console.print(facts)
    if ready and ready["failures"]:
        console.print(Text("\nFailed samples (the first ten)", style="bold red"))
        for line in ready["failures"]:
            console.print(Text(f"  {line}"))
    _print_prompts(console, view)
    _print_published(console, view)


def _origin(view: dict[str, Any]) -> list[tuple[str, Any]]:
    source, ready = view["source"], view["prepared"]
    lines: list[tuple[str, Any]] = []
    if source["kind"] == "hub":
        lines += [
            ("source", f"hub dataset {source['repo']}: {', '.join(source['files'])}"),
            ("revision", source["revision"]),
        ]
        if ready and ready["source"]["revision"] != source["revision"]:
            lines.append(("resolved to", ready["source"]["revision"]))
        if source.get("annotations_sha256"):
            use = "selects the rows" if source.get("select_by_annotations") else "orders the rows"
            pin = f"{source['annotations_file']}, sha256 {source['annotations_sha256'][:12]}…"
            lines.append(("annotations", f"{pin} ({use}{_checked(ready)})"))
    elif source["kind"] == "annotations":
        lines += [("questions", source["qa_file"]), ("image folder", source["img_folder"])]
    else:
        lines.append(("source", "drawn by code, the same on every machine"))
    if view["aliases"]:
        lines.append(("also called", ", ".join(view["aliases"])))
    lines.append(("licence", view["licence"]))
    return lines


def _checked(ready: dict[str, Any] | None) -> str:
    about = ready["source"].get("annotations") if ready else None
    if about is None:
        return ""
    if not about["used"]:
        return "; could not be had, order unchecked"
    return "; every row matched" if about.get("aligned") else "; not every row matched"


def _expected(view: dict[str, Any]) -> list[tuple[str, Any]]:
    found = [
        ("questions", _n(view["questions"])),
        ("images", _n(view["images"])),
        ("prepared", f"no: pixtrack datasets prepare {view['name']}"),
    ]
    return [(key, value) for key, value in found if value != "?"]


def _content(ready: dict[str, Any]) -> list[tuple[str, Any]]:
    spread, golds = ready["questions_an_image"], ready["golds_a_question"]
    shared = ready["questions_on_a_shared_image"] / max(1, ready["samples"] - ready["failed"])
    sizes = [
        f"{w}×{h}" for w, h in (ready[f"{x}_image"] for x in ("smallest", "median", "largest"))
    ]
    lines = [
        ("questions", f"{ready['samples']:,}, {ready['failed']:,} of them cannot be asked"),
        ("images", f"{ready['images']:,} ({ready['image_bytes'] / 1e6:,.0f} MB)"),
        (
            "per image",
            f"{spread['least']} to {spread['most']} questions, mean {spread['mean']};"
            f" {shared:.0%} of the questions share their image",
        ),
        ("pixels", f"{sizes[0]} to {sizes[2]}, median {sizes[1]}"),
        ("golds", f"{golds['least']} to {golds['most']} a question"),
    ]
    for key, title in (("question_types", "question types"), ("answer_types", "answer types")):
        if ready[key]:
            lines.append((title, _counts(ready[key])))
    if ready["with_history"]:
        lines.append(("conversations", f"{ready['with_history']:,}"))
    if ready["with_context"]:
        lines.append(("with a paragraph", f"{ready['with_context']:,}"))
    if ready["notes"]:
        lines.append(("met on the way", _counts(ready["notes"])))
    lines.append(("prepared", f"{ready['prepared_at']} in {ready['directory']}"))
    lines.append(("digest", ready["digest"]))
    return lines


def _print_prompts(console: DataConsole, view: dict[str, Any]) -> None:
    console.print(Text("\nPrompts", style="bold"))
    for prompt in sorted(view["prompts"], key=lambda prompt: not prompt["default"]):
        mark = " (default)" if prompt["default"] else ""
        steps = f", then {', '.join(prompt['postprocess'])}" if prompt["postprocess"] else ""
        console.print(
            Text.assemble(
                (f"  {prompt['name']}{mark}", "green" if mark else ""),
                f"  {prompt['title']}; up to {prompt['max_new_tokens']} tokens{steps}",
            )
        )
        for line in prompt["template"].splitlines():
            console.print(Text(f"      {line}", style="dim"))
    for line in view["broken_prompts"]:
        console.print(Text(f"  {line}", style="bold red"))
    if view["prompt_reason"]:
        console.print(Text(f"  Why {view['prompt']}: {view['prompt_reason']}"))


def _print_published(console: DataConsole, view: dict[str, Any]) -> None:
    if not view["published_scores"]:
        return
    console.print(Text("\nPublished by others (not measured here)", style="bold"))
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 2))
    for heading in ("model", "score", "metric", "measured by", "note"):
        table.add_column(
            heading, justify="right" if heading == "score" else "left", overflow="fold"
        )
    for score in view["published_scores"]:
        table.add_row(
            score["model"], f"{score['value']:.1f}", score["metric"], score["by"], score["note"]
        )
    console.print(table)


def contact_sheet(config: DatasetConfig, count: int, out: Path) -> None:
    """Writes the contact sheet and prints its path to stderr."""
    from pixtrack.tasks.datasets.contact_sheet import write_contact_sheet

    ready = load_prepared(config, home())
    if ready is None:
        raise UserError(
            f"dataset {config.name} is not prepared, so there are no samples to draw: run"
            f" `pixtrack datasets prepare {config.name}` first"
        )
    try:
        shown = write_contact_sheet(ready, count, out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}) (--out)") from None
    say(f"pixtrack: {out}: {len(shown)} samples", err=True)


def prepare_with_bar(config: DatasetConfig, at: Home) -> None:
    """Prepares the dataset with a bar on stderr of rows done and the file being fetched."""
    with bar(f"prepare {config.name}", counted("rows")) as shown:
        prepare(config, at, shown.update, shown.downloading)


def report_prepared(config: DatasetConfig, at: Home, as_json: bool) -> None:
    """Prints one line about the prepared dataset, or its card as JSON."""
    view = card(config, at)
    if as_json:
        print_json(view)
        return
    ready = view["prepared"]
    failed = f", {ready['failed']:,} cannot be asked" if ready["failed"] else ""
    say(
        f"{config.name}: {ready['samples']:,} questions on {ready['images']:,} images{failed};"
        f" digest {ready['digest'][:12]}"
    )
    for line in ready["failures"][:3]:
        say(f"pixtrack: {line}", err=True)


def columns_of(options: Sequence[str]) -> dict[str, str]:
    """The options `--column FIELD=KEY` as a mapping. Raises UserError for another form."""
    chosen = {}
    for option in options:
        field, equals, key = option.partition("=")
        if not equals or not field or not key:
            raise UserError(f"--column {option!r}: write FIELD=KEY, as in --column question=Q")
        chosen[field] = key
    return chosen


def _say_understood(lines: Sequence[str]) -> None:
    for line in lines:
        say(f"pixtrack: understood: {line}", err=True)


def add(new: NewDataset, as_json: bool) -> None:
    """Adds a dataset, and prints what was written and the next command."""
    with bar(f"check {new.name}", counted("rows")) as shown:
        added = add_dataset(new, shown.update, _say_understood)
    if as_json:
        print_json(
            {
                "name": new.name,
                "path": str(added.path),
                "rows": added.rows,
                "images": added.images,
                "bad_rows": list(added.problems),
                "understood": list(added.understood),
                "metrics": list(added.config.metrics),
                "headline": added.config.headline,
                "prompt": added.config.prompt,
            }
        )
        return
    for problem in added.problems[:10]:
        say(f"pixtrack: kept as failed: {problem}", err=True)
    say(
        f"{added.path}: {added.rows:,} questions on {added.images:,} images,"
        f" {len(added.problems)} bad; metric {added.config.headline}, prompt {added.config.prompt}"
    )
    say(f"Next: pixtrack eval --dataset {new.name} --model MODEL")
    say(
        "By Prefect: pixtrack deploy (again: it makes the name known), then: "
        f"pixtrack prefect deployment run evaluate/any -p dataset={new.name}"
    )


def _console() -> DataConsole:
    return DataConsole(highlight=False)


def _n(value: int | None) -> str:
    return f"{value:,}" if value is not None else "?"


def _marked(metrics: Sequence[str], headline: str) -> list[str]:
    return [f"{name} (headline)" if name == headline else name for name in metrics]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
