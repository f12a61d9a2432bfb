"""The step "check environment" as a Prefect task."""

from __future__ import annotations

import json
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.environment import Check, check_machine
from pixtrack.tasks.prefecting import reports, step


@step("check environment")
def check_environment(
    model: ModelConfig,
    home: Home,
    model_dir: Path | None = None,
    checks: list[Check] | None = None,
) -> list[Check]:
    """Checks the machine for a model, and publishes the report as a table artifact.

    Args:
        model: the model
        home: the data home
        model_dir: overrides where the model's files are
        checks: a report that was made before the engine began to load; once it loads, it holds
            the memory that would be checked for. None: check now

    Returns:
        the report

    Raises:
        UserError: the model cannot run on this machine
    """
    if checks is None:
        checks = check_machine(home, model, model_dir)
    reports.table([check.model_dump() for check in checks], "environment", "This machine")
    failed = [check for check in checks if check.status == "failed"]
    if failed and model.source.has_files:
        more = f" (and {len(failed) - 1} more: `pixtrack check`)" if len(failed) > 1 else ""
        raise UserError(f"{failed[0].name}: {failed[0].detail}; {failed[0].remedy}{more}")
    return checks


def as_json(checks: list[Check]) -> str:
    """The report as JSON, for a run's environment.json."""
    return json.dumps([check.model_dump() for check in checks], indent=2)
