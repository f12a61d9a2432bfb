"""What the model verbs print: an overview, a card, the guide's comparison, the machine's report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_all, load_model
from pixtrack.configs.paths import Home, config_file
from pixtrack.configs.schema import ModelConfig
from pixtrack.flows.plain_text import json_text, say
from pixtrack.flows.terminal import DataConsole
from pixtrack.tasks.download import files_of, local_files, model_directory, read_manifest
from pixtrack.tasks.environment import Check, MemoryPlan, detect, plan_for_model

STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}

# The rows of the setup guide's comparison, in its order.
GUIDE_ROWS = {
    "size": "Size",
    "batch_support": "Batch Support",
    "architecture": "Architecture",
    "custom_library": "Custom Library",
    "memory": "Memory Requirement",
    "speed": "Speed",
    "quality": "Quality",
    "best_for": "Best For",
}


def print_json(data: Any) -> None:
    """Prints JSON, and nothing else, to stdout."""
    print(json_text(data))


def overview(home: Home) -> tuple[list[dict[str, Any]], list[UserError]]:
    """One row for each configured model, and the errors of files that cannot be read."""
    rows = []
    configs, broken = load_all(ModelConfig)
    for config in configs:
        files = local_files(config, home)
        rows.append(
            {
                "name": config.name,
                "title": config.title,
                "parameters_billions": config.parameters_billions,
                "size_gb": config.size_gb,
                "format": config.format,
                "licence": config.licence,
                "weights": config.weights,
                "files": str(files) if files else None,
                "here": _here(config, files, home),
            }
        )
    return rows, broken


def _here(config: ModelConfig, files: Path | None, home: Home) -> str:
    """A few words on whether the model can run on this machine, and whether its files are here."""
    if not config.source.has_files:
        return "through its endpoint"
    try:
        plan = plan_for_model(config, _with_sizes(config, home, None), refuse=False)
    except UserError:
        return "cannot be planned before it is downloaded"
    fit = "fits" if plan.fits else "does not fit"
    if plan.fits and plan.notes:
        fit = "fits with compromises"
    return f"{fit}, {'downloaded' if files else files_of(config).absent}"


def _with_sizes(config: ModelConfig, home: Home, model_dir: Path | None) -> Path | None:
    directory = model_directory(config, home, model_dir)
    known = any((directory / name).is_file() for name in ("params.json", "config.json"))
    return directory if known else None


def print_overview(rows: Sequence[dict[str, Any]]) -> None:
    """Prints the overview as a table."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("model", "parameters", "size", "licence", "on this machine"):
        table.add_column(
            column,
            justify="right" if column in ("parameters", "size") else "left",
            no_wrap=column in ("model", "parameters", "size"),
            overflow="fold",
        )
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['parameters_billions']:g} B" if row["parameters_billions"] else "-",
            f"{row['size_gb']:g} GB" if row["size_gb"] else "-",
            row["licence"],
            row["here"],
        )
    console = DataConsole(highlight=False)
    console.print(table)
    console.print("\npixtrack models show NAME says more of one.", style="dim")


def card(config: ModelConfig, home: Home, model_dir: Path | None) -> dict[str, Any]:
    """A model's configuration and its memory plan on this machine, JSON-ready."""
    files = local_files(config, home, model_dir)
    manifest = read_manifest(files) if files else None
    plan: MemoryPlan | None = None
    problem = ""
    if config.source.has_files:
        try:
            plan = plan_for_model(config, _with_sizes(config, home, model_dir), refuse=False)
        except UserError as error:
            problem = str(error)
    cards = detect().cards
    return {
        "model": config.model_dump(mode="json"),
        "card": _card_text(config),
        "address": files_of(config, model_dir).address,
        "files": str(files) if files else None,
        "absent": files_of(config, model_dir).absent,
        "verified": manifest.model_dump(include={"source", "repo", "revision", "verified"})
        if manifest
        else None,
        "cards": [f"{c.name}, {c.total_bytes / (1 << 30):.1f} GiB" for c in cards],
        "plan": dict(_pairs(plan)) if plan else None,
        "fits": plan.fits if plan else None,
        "engine_options": plan.engine_options if plan else dict(config.engine),
        "problem": problem,
    }


def _pairs(plan: MemoryPlan) -> list[tuple[str, str]]:
    """The rows of the plan; rows with the same name (notes) are joined."""
    joined: dict[str, str] = {}
    for name, value in plan.rows():
        joined[name] = f"{joined[name]}; {value}" if name in joined else value
    return list(joined.items())


def _card_text(config: ModelConfig) -> str:
    """The card as Markdown; a card that is the name of a .md file is read from the configs
    folder.
    """
    if not config.card.strip().endswith(".md") or "\n" in config.card.strip():
        return config.card
    path = config_file(config.card.strip())
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path}: the card of {config.name} cannot be read ({error.strerror})"
        ) from None


def print_card(view: dict[str, Any]) -> None:
    """Prints the card, then the configuration, then what this machine can do with the model."""
    console = DataConsole()
    model = view["model"]
    console.print(Panel(Markdown(view["card"] or "(no card)"), title=model["title"]))
    facts = Table(box=None, show_header=False)
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for name, value in _facts(view):
        facts.add_row(name, Text(value))
    console.print(facts)
    if model["published_scores"]:
        scores = Table(
            title="published by others (not measured here)", box=None, title_style="bold"
        )
        for column in ("dataset", "metric", "score", "by", "note"):
            scores.add_column(column)
        for score in model["published_scores"]:
            scores.add_row(
                score["dataset"], score["metric"], f"{score['value']:g}", score["by"], score["note"]
            )
        console.print(scores)
    if view["plan"]:
        plan = Table(title="on this machine", box=None, show_header=False, title_style="bold")
        plan.add_column(style="bold")
        plan.add_column(overflow="fold")
        for name, value in view["plan"].items():
            style = ""
            if name == "verdict":
                style = STYLES["ok" if view["fits"] else "failed"]
            plan.add_row(name, Text(value), style=style)
        console.print(plan)
    elif view["problem"]:
        console.print(view["problem"], style=STYLES["warning"])


def _facts(view: dict[str, Any]) -> list[tuple[str, str]]:
    model = view["model"]
    rows = [
        ("source", view["address"]),
        ("files", view["files"] or view["absent"]),
        ("format", f"{model['format']}, architecture {model['family']}"),
        ("parameters", f"{model['parameters_billions']:g} billion, {model['size_gb']:g} GB"),
        ("context", f"{model['context_tokens']:,} tokens, {_images(model['max_images'])} a prompt"),
        ("memory", model["memory"]),
        ("licence", model["licence"]),
    ]
    if model["source"].get("modelscope"):
        rows.insert(1, ("ModelScope", model["source"]["modelscope"]))
    if model["weights"] == "random":
        rows.append(("weights", "RANDOM: the answers are noise"))
    if model["trust_remote_code_reason"]:
        rows.append(("remote code", model["trust_remote_code_reason"]))
    for recipe in model["recipes"]:
        options = ", ".join(f"{k} {v}" for k, v in recipe["engine"].items())
        rows.append(
            ("recipe", f"{recipe['count']} × {recipe['cards']}: {options} ({recipe['source']})")
        )
    if model["notes"]:
        rows.append(("notes", model["notes"]))
    return [(name, value) for name, value in rows if value]


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def comparison(chosen: Sequence[str]) -> tuple[dict[str, dict[str, str]], list[UserError]]:
    """Model title to the guide's rows, as its file has them, and what is wrong with broken files.

    By default the models with all rows; of chosen ones none may be broken.
    """
    table = {}
    configs, broken = (
        ([load_model(name) for name in chosen], []) if chosen else load_all(ModelConfig)
    )
    for config in configs:
        if not chosen and set(GUIDE_ROWS) - set(config.comparison):
            continue
        unknown = set(config.comparison) - set(GUIDE_ROWS)
        if unknown:
            raise UserError(
                f"model {config.name}: comparison: unknown row {sorted(unknown)[0]!r}; "
                f"known: {', '.join(GUIDE_ROWS)}"
            )
        table[config.title] = {
            title: config.comparison.get(key, "-") for key, title in GUIDE_ROWS.items()
        }
    return table, broken


def print_comparison(table: dict[str, dict[str, str]], markdown: bool) -> None:
    """Prints the guide's table: a row for each feature, a column for each model."""
    titles = list(table)
    if markdown:
        say(f"| Feature | {' | '.join(titles)} |")
        say(f"|{'---|' * (len(titles) + 1)}")
        for row in GUIDE_ROWS.values():
            say(f"| {row} | {' | '.join(table[title][row] for title in titles)} |")
        return
    shown = Table(header_style="bold")
    shown.add_column("Feature", style="bold")
    for title in titles:
        shown.add_column(title, overflow="fold")
    for row in GUIDE_ROWS.values():
        shown.add_row(row, *(table[title][row] for title in titles))
    DataConsole().print(shown)


def print_checks(checks: Sequence[Check]) -> None:
    """Prints the report on the machine, with remedies below their lines."""
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for line in checks:
        text = line.detail + (f"\n→ {line.remedy}" if line.remedy else "")
        table.add_row(Text(line.status, STYLES[line.status]), line.name, Text(text))
    DataConsole().print(table)
