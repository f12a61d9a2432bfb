"""The step "open run" as a Prefect task."""

from __future__ import annotations

from typing import Any

from prefect.runtime import flow_run

from pixtrack.configs.paths import Home
from pixtrack.tasks.prefecting import step
from pixtrack.tasks.records import PreparedDataset
from pixtrack.tasks.runs.opening import Cell, OpenRun, open_run


@step("open run")
def open_the_run(
    cell: Cell, prepared: PreparedDataset, identity: dict[str, Any], home: Home
) -> OpenRun:
    """The run's directory with its requests, locked; the answers that it has already are found."""
    return open_run(cell, prepared, identity, home, flow_run.get_id())
