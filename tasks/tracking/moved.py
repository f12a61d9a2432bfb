"""A data home that was copied or moved: the store's absolute artifact addresses follow it.

MLflow writes down where artifacts lie as absolute file: addresses (of experiments, runs, models
and traces) and reads them from there for ever. Ours lie beside their database, so whoever opens
the database knows where they are now.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path
from urllib.parse import unquote

from pixtrack.configs.paths import Home

_COLUMNS = (
    ("experiments", "artifact_location", ""),
    ("runs", "artifact_uri", ""),
    ("logged_models", "artifact_location", ""),
    ("trace_tags", "value", "AND key = 'mlflow.artifactLocation'"),
)
_BUSY_SECONDS = 30.0


def artifact_root(database: Path) -> Path:
    """The folder beside a SQLite store that holds its artifacts."""
    return Home(database.resolve().parent).mlflow_artifacts


def follow_the_move(database: Path) -> None:
    """Points the store at the artifacts beside it, where it still names those of its old place.

    For addresses that this project chose, and only where the artifacts are here, or at least not
    in the old place any more. Does nothing, in a millisecond, for a home that was not moved.
    """
    if not database.is_file():
        return
    root = artifact_root(database)
    with contextlib.closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as store:
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
        if "experiments" not in tables:
            return
        former = _former_roots(store, root)
        if not former:
            return
        with store:
            for table, column, where in _COLUMNS:
                if table in tables:
                    for old in former:
                        store.execute(
                            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                            f"WHERE substr({column}, 1, ?) = ? {where}",
                            (f"{root.as_uri()}/", len(old) + 1, len(old), old),
                        )
    for old in former:
        logging.getLogger(__name__).info("MLflow's artifacts of %s are read from %s", old, root)


def _former_roots(store: sqlite3.Connection, root: Path) -> list[str]:
    """Other places, as the prefix of their addresses, at which experiments of ours are noted.

    Ours lie in folders of their names. MLflow's own folder for artifacts is called alike, and an
    experiment's in it is its number.
    """
    mark = f"/{root.name}/"
    noted = set()
    for name, location in store.execute("SELECT name, artifact_location FROM experiments"):
        before, found, rest = str(location or "").rpartition(mark)
        if found and before.startswith("file:///") and unquote(rest) == name:
            noted.add(f"{before}{mark}")
    return [
        prefix
        for prefix in sorted(noted - {f"{root.as_uri()}/"})
        if _left_behind(Path(unquote(prefix.removeprefix("file://"))), root)
    ]


def _left_behind(old: Path, root: Path) -> bool:
    if not old.is_dir():
        return True
    # Copied: each home has its own. The same folder under two names needs nothing.
    return root.is_dir() and not old.samefile(root)
