"""The dataset commands for a group of datasets: list, show and prepare it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_all, load_dataset
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetGroup
from pixtrack.flows.cli import dataset_views
from pixtrack.flows.terminal import DataConsole
from pixtrack.tasks.datasets.card import card


def groups() -> tuple[list[DatasetGroup], list[UserError]]:
    """The configured groups, and the errors of files that cannot be read."""
    return load_all(DatasetGroup)


def with_groups(
    rows: Sequence[dict[str, Any]], found: Sequence[DatasetGroup]
) -> list[dict[str, Any]]:
    """The rows of a list of datasets, each with the names of its groups."""
    return [
        {**row, "groups": [group.name for group in found if row["name"] in group.datasets]}
        for row in rows
    ]


def print_groups(found: Sequence[DatasetGroup]) -> None:
    """Prints the groups, each with its datasets."""
    if not found:
        return
    console = DataConsole(highlight=False)
    console.print(Text("\nGroups", style="bold"))
    for group in found:
        console.print(
            Text.assemble((group.name, "cyan"), f"  {group.title}: {', '.join(group.datasets)}")
        )


def show_group(group: DatasetGroup, at: Home, as_json: bool) -> None:
    """Prints the group's title, datasets and notes; as JSON with the cards of its datasets."""
    members = [load_dataset(name) for name in group.datasets]
    if as_json:
        cards = [card(member, at) for member in members]
        dataset_views.print_json({**group.model_dump(), "datasets": cards})
        return
    console = DataConsole(highlight=False)
    console.print(Text(f"{group.title}  ({group.name})", style="bold"))
    names = {member.name for member in members}
    rows, _broken = dataset_views.overview(at)
    dataset_views.print_overview([row for row in rows if row["name"] in names])
    if group.notes:
        console.print(Text(f"\n{group.notes}"))
    console.print(Text(f"\npixtrack eval --dataset {group.name} asks them all.", style="dim"))


def prepare_group(group: DatasetGroup, at: Home, as_json: bool) -> None:
    """Prepares every dataset of the group in turn; with `as_json`, prints their cards.

    Raises UserError of the first dataset that cannot be prepared; those before it stay prepared.
    """
    members = [load_dataset(name) for name in group.datasets]
    for member in members:
        dataset_views.prepare_with_bar(member, at)
        if not as_json:
            dataset_views.report_prepared(member, at, as_json)
    if as_json:
        dataset_views.print_json([card(member, at) for member in members])
