"""The door to MLflow: where the store is, whether it answers, and a client for it.

Everything else in this package asks `client()`; nothing outside the package imports mlflow.
mlflow is imported on first use, because that takes 1-4 s: `preload()` does it in a thread.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from filelock import FileLock

from pixtrack.configs.addresses import shown, without_passwords
from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home, home
from pixtrack.tasks.servers.deadline import within
from pixtrack.tasks.sqlite_address import sqlite_address, sqlite_file, without_stray_folder
from pixtrack.tasks.tracking.moved import artifact_root, follow_the_move
from pixtrack.tasks.tracking.recorder import TrackingUnavailable

CONNECT_SECONDS = 3.0
"""How long a tracking server may take to accept a connection before it counts as away."""

ANSWER_SECONDS = 5.0
"""How long a server may take for its first answer of substance."""

_MLFLOW_ENVIRONMENT = {
    # A server that goes away must not hold a finished run for MLflow's default of many minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    # The asynchronous exporter drops traces beyond its queue without an error.
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # "View run … at": on standard output, where `--json` promises nothing but JSON.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_SCHEMES = {"http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks"}

_STORES_MODULES = {"mlflow", "requests", "urllib3", "sqlalchemy", "sqlite3"}
"""Whose errors are the store's."""

_starting = threading.Lock()


def tracking_uri(data_home: Home | None = None) -> str:
    """MLFLOW_TRACKING_URI, or the SQLite store under the data home."""
    chosen = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    return chosen or local_uri(data_home)


def local_uri(data_home: Home | None = None) -> str:
    """The SQLite store under the data home."""
    return sqlite_address((data_home or home()).mlflow_db)


def is_server(uri: str) -> bool:
    """Whether the store is an MLflow server rather than a database opened directly."""
    return _scheme(uri) in ("http", "https")


def check_store(uri: str | None = None) -> str:
    """Proves, within about 5 s, that the store can be written to; returns its URI.

    Raises TrackingUnavailable with one line that offers the local store. To be called before any
    work whose result is to be logged.
    """
    uri = uri or tracking_uri()
    problem = _problem(uri)
    if problem:
        what = "MLflow server" if is_server(uri) else "MLflow store"
        raise TrackingUnavailable(f"{what} {shown(uri)} {problem}: {_remedy(uri)}")
    return uri


def _remedy(uri: str) -> str:
    local = local_uri()
    if uri == local:
        return "set PIXTRACK_HOME to a folder with room that can be written"
    start = "start it, " if is_server(uri) else ""
    return (
        f"{start}correct MLFLOW_TRACKING_URI, or unset that variable to log to the local store "
        f"({local})"
    )


def _problem(uri: str) -> str:
    """Why runs cannot be logged to that store, in words that follow its address; "" if they can."""
    scheme = _scheme(uri)
    if scheme not in _schemes():
        return f"has no scheme that MLflow knows ({', '.join(sorted(_SCHEMES))})"
    if is_server(uri):
        problem = server_problem(uri)
    elif scheme == "sqlite":
        problem = _sqlite_problem(uri)
    elif scheme in ("", "file"):
        problem = _folder_problem()
    else:
        problem = ""
    return problem or _opening_problem(uri)


def _opening_problem(uri: str) -> str:
    """What MLflow, the database's driver or the disk say against it; nothing here is ours."""
    try:
        opened = client(uri)
        if is_server(uri):
            within(ANSWER_SECONDS, lambda: opened.search_experiments(max_results=1))
        else:
            opened.search_experiments(max_results=1)
    except ModuleNotFoundError as error:
        return f"needs the Python package {error.name!r}, which is not installed here"
    except Exception as error:
        return f"cannot be used: {_first_line(error, uri)}"
    return ""


def _scheme(uri: str) -> str:
    """The address's scheme, without a database's driver: `postgresql` of
    `postgresql+psycopg://`.
    """
    if uri in ("databricks", "databricks-uc", "uc"):
        return uri
    scheme, separator, _ = uri.partition(":")
    return scheme.lower().partition("+")[0] if separator else ""


def _schemes() -> set[str]:
    """What MLflow opens, with the stores that plugins bring."""
    plugins = importlib.metadata.entry_points(group="mlflow.tracking_store")
    return {*_SCHEMES, "", "file", "databricks-uc", "uc", *(one.name for one in plugins)}


def _folder_problem() -> str:
    if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("1", "true"):
        return ""  # MLflow's own variable
    return "is a folder, and MLflow keeps runs in a database or a server (sqlite:///PATH/mlflow.db)"


def server_problem(uri: str) -> str:
    """Why the server cannot be used, in words that follow its address; "" if it answers."""
    import httpx

    def health() -> int:
        return httpx.get(
            f"{uri.rstrip('/')}/health", timeout=CONNECT_SECONDS, follow_redirects=True
        ).status_code

    try:
        status = within(CONNECT_SECONDS, health)  # an answer that drips heeds no client's limit
    except (httpx.TimeoutException, TimeoutError):
        return f"did not answer within {CONNECT_SECONDS:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return f"cannot be reached ({_first_line(error)})"
    if status >= 500:
        return f"answers with an error (HTTP {status})"
    return ""


def _sqlite_problem(uri: str) -> str:
    if not uri.startswith("sqlite:///") or uri in ("sqlite:///", "sqlite:///:memory:"):
        return "names no file, and a database in memory ends with the command (sqlite:///PATH)"
    database = sqlite_file(uri)
    if database.is_dir():
        return "is a folder, not a database's file"
    folder = database.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"cannot be made ({error.filename}: {error.strerror})"
    for path in (folder, database):
        if path.exists() and not os.access(path, os.W_OK):
            return f"cannot be written ({path} is not writable)"
    return ""


def preload(uri: str | None = None) -> threading.Thread:
    """Imports mlflow and opens (or makes) the store in a thread, while something else starts.

    A failure is kept quiet here: the next call to the store reports it.
    """

    def load() -> None:
        try:
            client(uri or tracking_uri())
            import mlflow.tracking.fluent  # noqa: F401  (what the traces need)
        except Exception:
            logging.getLogger(__name__).debug("preload failed", exc_info=True)

    thread = threading.Thread(target=load, name="mlflow-preload", daemon=True)
    thread.start()
    return thread


def client(uri: str | None = None) -> Any:
    """An MlflowClient of that store (default: `tracking_uri()`), its database made and upgraded."""
    with _starting:
        return _client(uri or tracking_uri())


@cache
def _client(uri: str) -> Any:
    for key, value in _MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    import mlflow

    # mlflow sets its loggers to INFO when imported: "Creating initial MLflow database tables...".
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if not uri.startswith("sqlite:///"):
        return mlflow.MlflowClient(tracking_uri=uri)
    database = sqlite_file(uri)
    database.parent.mkdir(parents=True, exist_ok=True)
    # Two processes that make one database at the same time trip over each other's tables.
    with FileLock(database.parent / f".{database.name}.lock"):
        follow_the_move(database)
        with without_stray_folder(uri):
            return mlflow.MlflowClient(tracking_uri=uri)


def use_for_traces(uri: str) -> None:
    """Points MLflow's tracing at that store: it has no client of its own, only a global address.

    `set_tracking_uri` also writes MLFLOW_TRACKING_URI, which here is the user's choice: put back.
    """
    import mlflow

    chosen = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    if chosen is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = chosen


@contextmanager
def reported(uri: str, what: str) -> Iterator[None]:
    """Turns whatever MLflow raises (its own errors, HTTP, database, disk) into one line.

    The trouble stays TrackingUnavailable, so that a run that is whole on disk is never lost to
    its bookkeeping.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not _is_stores_fault(error):
            raise
        reason = _first_line(error)
        problem = server_problem(uri) if is_server(uri) else ""
        raise TrackingUnavailable(
            f"MLflow store {shown(uri)} {problem or f'{what}: {reason}'}"
        ) from error


def _is_stores_fault(error: BaseException) -> bool:
    origin = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or origin in _STORES_MODULES


def _first_line(error: BaseException, uri: str = "") -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return without_passwords(line.replace(uri, shown(uri)) if uri else line)[:300]


def experiment_id(name: str, uri: str, tags: dict[str, str] | None = None) -> str:
    """The id of the experiment of that name, made if it is not there.

    With a database opened directly, artifacts lie under the data home; a server decides itself.
    """
    mlflow_client = client(uri)
    found = mlflow_client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            raise TrackingUnavailable(
                f"MLflow experiment {name!r} is deleted: restore it with "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
            )
        return str(found.experiment_id)
    location = None
    if not is_server(uri):
        folder = home().mlflow_artifacts
        if uri.startswith("sqlite:///"):  # beside its database, wherever that is
            folder = artifact_root(sqlite_file(uri))
        location = (folder / name).as_uri()
    from mlflow.exceptions import MlflowException

    try:
        return str(mlflow_client.create_experiment(name, artifact_location=location, tags=tags))
    except MlflowException:
        found = mlflow_client.get_experiment_by_name(name)  # another process was faster
        if found is None:
            raise
        return str(found.experiment_id)
