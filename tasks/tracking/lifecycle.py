"""An MLflow run's life: made or resumed (RUNNING), ended, and never left RUNNING by the dead."""

from __future__ import annotations

import logging
from typing import Any, Literal

from pixtrack.configs.addresses import shown
from pixtrack.tasks.owners import owner, owner_is_dead
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking import system
from pixtrack.tasks.tracking.connection import (
    client,
    experiment_id,
    reported,
    tracking_uri,
)
from pixtrack.tasks.tracking.content import RUN_TAG, RunContent, params, tags
from pixtrack.tasks.tracking.lengths import short_name, short_text
from pixtrack.tasks.tracking.links import TrackedRun, read_tracked, write_tracked
from pixtrack.tasks.tracking.recorder import TrackingUnavailable
from pixtrack.tasks.tracking.waiting import while_answers_wait

logger = logging.getLogger(__name__)

RunStatus = Literal["running", "completed", "failed", "cancelled", "FINISHED", "FAILED", "KILLED"]
"""A record's words, or MLflow's."""

_MLFLOW_STATUS = {
    "running": "RUNNING",
    "completed": "FINISHED",
    "failed": "FAILED",
    "cancelled": "KILLED",
}

OWNER_TAG = "mlflow.pixtrack.owner"
"""The process that feeds a run; see `tasks.owners`."""

_EXPERIMENT_TAGS = {
    # Opens the experiment in the mode that shows runs, in MLflow versions that heed it.
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.sourceName": "pixtrack",
}


def begin(run: RunDirectory) -> str | None:
    """Makes or resumes the run's MLflow run, marks it RUNNING and starts sampling the machine.

    Returns its id, which also lands in run.json and tracking.json; None, with a warning, where the
    store went away since `check_store`: the run goes on, and `log_run` or `sync` logs it later.
    Runs whose process has died are marked KILLED first.
    """
    uri = tracking_uri()
    try:
        run_id = _begin(run, uri)
    except TrackingUnavailable as error:
        logger.warning("%s; the run goes on, and `pixtrack sync` logs it later", error)
        run_id = None
    system.start(run)
    return run_id


def _begin(run: RunDirectory, uri: str) -> str:
    content = RunContent.read(run)
    with reported(uri, "did not take the run"), while_answers_wait(uri):
        tracked = ensure_run(content, uri)
        reap(uri, tracked.experiment_id, but=tracked.run_id)
        mlflow = client(uri)
        mlflow.update_run(tracked.run_id, status="RUNNING", name=content.run_name)
        # A run that was logged whole keeps its tags until it has new answers: they say where the
        # present ones came from.
        known = {} if tracked.digest else tags(content)
        mlflow.log_batch(
            tracked.run_id,
            params=new_params(mlflow, tracked.run_id, content),
            tags=run_tags({**known, OWNER_TAG: owner()}),
        )
    write_tracked(run, tracked.model_copy(update={"owner": owner()}))
    return tracked.run_id


def end(run: RunDirectory, status: RunStatus) -> None:
    """Stops sampling and closes the MLflow run: FINISHED, FAILED, or KILLED for a cancelled one.

    A run that was never begun in this store is left alone. A store that is away is warned about
    and no more, because this is called while an error is on its way up; the next `begin` or
    `sync` on this machine marks the run KILLED.
    """
    system.stop(run)
    uri = tracking_uri()
    tracked = read_tracked(run, uri)
    if tracked is None:
        return
    try:
        with reported(uri, "did not take the run's end"), while_answers_wait(uri):
            client(uri).set_terminated(tracked.run_id, mlflow_status(status))
    except TrackingUnavailable as error:
        logger.warning("%s", error)


def mlflow_status(status: str) -> str:
    """A record's status in MLflow's words; MLflow's own stay."""
    return _MLFLOW_STATUS.get(status, status)


def ensure_run(content: RunContent, uri: str) -> TrackedRun:
    """The run's MLflow run in that store: the noted one, one tagged with its name, or a new one."""
    mlflow = client(uri)
    tracked = read_tracked(content.run, uri)
    if tracked and _alive_in_store(mlflow, tracked.run_id):
        _note(content, tracked)
        return tracked
    experiment = experiment_id(content.record.dataset, uri, _EXPERIMENT_TAGS)
    found = mlflow.search_runs(
        [experiment], f"tags.`{RUN_TAG}` = '{content.record.name}'", max_results=1
    )
    if found:
        run_id = str(found[0].info.run_id)
    else:
        made = mlflow.create_run(
            experiment, tags={RUN_TAG: content.record.name}, run_name=short_name(content.run_name)
        )
        run_id = str(made.info.run_id)
    tracked = TrackedRun(uri=uri, experiment_id=experiment, run_id=run_id)
    _note(content, tracked)
    return tracked


def _alive_in_store(mlflow: Any, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return str(mlflow.get_run(run_id).info.lifecycle_stage) == "active"
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False  # a store that was made anew
        raise


def _note(content: RunContent, tracked: TrackedRun) -> None:
    """Writes where the run went, in tracking.json and in the record."""
    if read_tracked(content.run, tracked.uri) != tracked:
        write_tracked(content.run, tracked)
    record = content.run.read_record()
    shown_uri = shown(tracked.uri)
    if record and (record.mlflow_run_id, record.mlflow_tracking_uri) != (tracked.run_id, shown_uri):
        changed = {"mlflow_run_id": tracked.run_id, "mlflow_tracking_uri": shown_uri}
        content.run.write_record(record.model_copy(update=changed))


def new_params(mlflow: Any, run_id: str, content: RunContent) -> list[Any]:
    """The parameters that the run does not have yet: MLflow refuses to change one."""
    from mlflow.entities import Param

    have = mlflow.get_run(run_id).data.params
    return [Param(key, value) for key, value in params(content).items() if key not in have]


def run_tags(values: dict[str, str]) -> list[Any]:
    """Tags as MLflow's entities."""
    from mlflow.entities import RunTag

    return [RunTag(key, short_text(value)) for key, value in values.items()]


# --- the dead -----------------------------------------------------------------


def interrupted(run: RunDirectory) -> bool:
    """Whether the process that began the run last has died without ending it.

    For runs whose record says `running`; False where the process is not known.
    """
    tracked = read_tracked(run)
    return bool(tracked and tracked.owner and owner_is_dead(tracked.owner))


def reap(uri: str, experiment: str | None = None, but: str = "") -> int:
    """Marks runs KILLED that are RUNNING for a process of this host that has died; how many.

    SIGKILL and a power cut leave a run RUNNING in MLflow for ever otherwise. Looks at one
    experiment, or at all of them; leaves the run `but` alone.
    """
    mlflow = client(uri)
    experiments = (
        [experiment]
        if experiment
        else [one.experiment_id for one in mlflow.search_experiments(max_results=1000)]
    )
    reaped = 0
    for one in mlflow.search_runs(experiments, "attributes.status = 'RUNNING'", max_results=1000):
        tag = one.data.tags.get(OWNER_TAG, "")
        if one.info.run_id != but and tag and owner_is_dead(tag):
            mlflow.set_terminated(one.info.run_id, "KILLED")
            logger.info("MLflow run %s was left running by a dead process: KILLED", one.info.run_id)
            reaped += 1
    return reaped
