"""What holds for every test, and how several processes share the tests out (`pytest -n 2`).

A process is handed whole files: what the tests of a file share is started once, and no two of them
run at the same moment. Tests of different files may, so nothing has a fixed port, and what is
written lies in a folder of the test's own.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from tests.doubles import prefect_servers

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

# What nohup, or a shell that runs the tests in the background, makes a process ignore, its children
# ignore too: commands that tests send signals to would not end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Data homes of tests are new and many: what engines compile is kept beside them.
for _name, _folder in {
    "VLLM_CACHE_ROOT": "vllm",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
}.items():
    os.environ.setdefault(_name, str(Path(tempfile.gettempdir()) / "pixtrack_tests" / _folder))

LONG = ("engine", "server", "browser", "slow")
"""Markers of what takes long."""


def long_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests file by file, those files first that hold a test that takes long.

    So no process is left with one of them while the others have nothing more to do.
    """
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)

    def quick(file: list[pytest.Item]) -> bool:
        return not any(item.get_closest_marker(name) for item in file for name in LONG)

    return [item for file in sorted(files.values(), key=quick) for item in file]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every one of several processes puts the files in the order that they are handed out in."""
    if hasattr(config, "workerinput"):
        items[:] = long_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Hands out whole files, in their order."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of Prefect's, for `prefect_servers.copy_database`: made once for all."""
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent  # of all processes
    made = folder / "prefect.db"
    with FileLock(folder / "prefect.db.lock"):
        if not made.exists():
            shutil.move(prefect_servers.make_database(folder / "prefect_database"), made)
    return made


@pytest.fixture(scope="session")
def prefect_api(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API's address of a user's Prefect server, for all tests that need any: PREFECT_API_URL.

    A command that starts its own takes twice as long.
    """
    home = tmp_path_factory.mktemp("prefect_server")
    prefect_servers.copy_database(prefect_database, home)
    with prefect_servers.plain_server(home) as api:
        yield api


def pytest_collection_finish(session: pytest.Session) -> None:
    """Modules and tests stay to the end: they need not be searched for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Compiled modules complain of whatever is left when the process ends.

    One of several processes is not heard, and is interrupted if it takes its time.
    """
    if not hasattr(config, "workerinput"):
        gc.unfreeze()
