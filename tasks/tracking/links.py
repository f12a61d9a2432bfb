"""Addresses in MLflow's web interface that open the right view.

MLflow lands in its GenAI mode, which hides the runs: `workflowType=machine_learning` is what keeps
a link out of it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pixtrack.configs.addresses import openable, shown
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking import views
from pixtrack.tasks.tracking.connection import is_server, tracking_uri
from pixtrack.tasks.tracking.ui_port import ui_port

_MODE = "workflowType=machine_learning"


class TrackedRun(BaseModel):
    """tracking.json in a run directory: where the run went."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    uri: str
    experiment_id: str
    run_id: str
    leaderboard_id: str = ""
    owner: str = ""
    """The process that began it last; see `lifecycle.owner`."""
    digest: str = ""
    """Of the content that was logged completely; "" before that."""


def tracked_file(run: RunDirectory) -> Path:
    """The run directory's note of where it was logged."""
    return run.path / "tracking.json"


def read_tracked(run: RunDirectory, uri: str | None = None) -> TrackedRun | None:
    """Where the run was logged, or None; with `uri`, only if it was that store."""
    file = tracked_file(run)
    if not file.exists():
        return None
    try:
        tracked = TrackedRun.model_validate_json(file.read_text(encoding="utf-8"))
    except ValueError:
        return None  # written anew by the next begin, from the store's own tags
    if uri is None:
        return tracked
    # A password is not kept, so it is not compared either.
    same = shown(uri) == shown(tracked.uri)
    return tracked.model_copy(update={"uri": uri}) if same else None


def write_tracked(run: RunDirectory, tracked: TrackedRun) -> None:
    """Replaces the note; a password in the store's address is not in it."""
    kept = tracked.model_copy(update={"uri": shown(tracked.uri)})
    write_atomically(tracked_file(run), kept.model_dump_json(indent=2))


def ui_address(uri: str | None = None) -> str:
    """Where the store's web interface is (or, for a database, will be once `pixtrack ui` runs).

    A login in the store's address is not in it: the browser asks.
    """
    uri = uri or tracking_uri()
    if is_server(uri):
        return openable(uri)
    return f"http://127.0.0.1:{ui_port()}"


def _page(base: str, path: str) -> str:
    """A page of the interface; without a base, a link that works from any of its pages."""
    return f"{base}/#/{path}" if base else f"#/{path}"


def experiment_link(
    base: str, experiment_id: str, view: str = "CHART", *, saved: bool = True
) -> str:
    """An experiment's runs: as charts (CHART), side-by-side tables (ARTIFACT) or a list ("").

    `saved`: in our saved view; MLflow complains where the experiment has none.
    """
    mode = f"&compareRunsMode={view}" if view else ""
    share = f"&viewStateShareKey={views.KEY}" if saved else ""
    return _page(base, f"experiments/{experiment_id}/runs?{_MODE}{mode}{share}")


def run_link(base: str, experiment_id: str, run_id: str, tab: str = "") -> str:
    """A run's page, or its tab (`traces`, `artifacts`, `model-metrics`)."""
    page = f"experiments/{experiment_id}/runs/{run_id}{f'/{tab}' if tab else ''}"
    return _page(base, f"{page}?{_MODE}")


def links_of(tracked: TrackedRun, base: str) -> dict[str, str]:
    """The links of a run: run, runs, charts, table, traces, models, leaderboard."""
    found = {
        "runs": experiment_link(base, tracked.experiment_id, ""),
        "run": run_link(base, tracked.experiment_id, tracked.run_id),
        "charts": experiment_link(base, tracked.experiment_id),
        "table": experiment_link(base, tracked.experiment_id, "ARTIFACT"),
        "traces": run_link(base, tracked.experiment_id, tracked.run_id, "traces"),
        "models": _page(base, f"experiments/{tracked.experiment_id}/models?{_MODE}"),
    }
    if tracked.leaderboard_id:
        found["leaderboard"] = experiment_link(base, tracked.leaderboard_id)
    return found


def links(run: RunDirectory) -> dict[str, str]:
    """Links into MLflow's interface for a run that was logged; {} for one that was not.

    With the local store they work once `pixtrack ui` is running.
    """
    tracked = read_tracked(run)
    return links_of(tracked, ui_address(tracked.uri)) if tracked else {}
