"""Warnings of the steps reach people: on stderr of a real command, and in Prefect's logs, once."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml

from pixtrack.configs.loading import load_model
from pixtrack.flows.page_log import PAGE, hold_lines, report_lines
from pixtrack.tasks.download.generated import write_random_pixtral
from pixtrack.tasks.download.known_files import MANIFEST
from tests.doubles.hub import FakeHub


def model_on_hub(hub: FakeHub, folder: Path) -> None:
    """A configuration `unpinned`: the small random Pixtral, from the hub's branch main."""
    files = folder / "files"
    files.mkdir()
    write_random_pixtral(files)
    hub.add("model", "org/unpinned", {file.name: file for file in files.iterdir()})
    config = load_model("pixtral-random").model_dump(mode="json", exclude={"name", "given"})
    config["source"] = {"kind": "hub", "repo": "org/unpinned", "revision": "main"}
    (folder / "models").mkdir()
    (folder / "models" / "unpinned.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.engine
@pytest.mark.server
@pytest.mark.slow
def test_warnings_of_the_steps_are_on_stderr_and_in_prefects_logs_once(
    tmp_path: Path, prefect_api: str
) -> None:
    with FakeHub() as hub:
        model_on_hub(hub, tmp_path)
        environment = {
            **{key: value for key, value in os.environ.items() if "PREFECT" not in key},
            "PIXTRACK_HOME": str(tmp_path / "home"),
            "PIXTRACK_CONFIGS": str(tmp_path),
            "PREFECT_API_URL": prefect_api,
            "HF_ENDPOINT": hub.url,
            "HF_HUB_CACHE": str(tmp_path / "cache"),
        }
        # Of this test alone: the server has seen others.
        since = {"logs": {"timestamp": {"after_": datetime.now(timezone.utc).isoformat()}}}
        command = [sys.executable, "-m", "pixtrack", "eval", "-m", "unpinned", "-n", "2"]
        for offline, warning in (("0", "'main' is not pinned"), ("1", "complete but not verified")):
            done = subprocess.run(
                command,
                env={**environment, "HF_HUB_OFFLINE": offline},
                capture_output=True,
                text=True,
                timeout=280,
            )
            assert done.returncode == 0, done.stderr[-3000:]
            assert done.stderr.count(warning) == 1, done.stderr
            logged = httpx.post(f"{prefect_api}/logs/filter", json=since).json()
            assert sum(warning in line["message"] for line in logged) == 1
            # As where the files were put there by hand: nobody knows what they should be.
            (tmp_path / "home" / "models" / "unpinned" / MANIFEST).unlink(missing_ok=True)


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """Our logger as it is in a process that nobody has set up."""
    logger = logging.getLogger("pixtrack")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    return logger


def test_a_workers_process_reports_too_and_nothing_twice(ours: logging.Logger) -> None:
    report_lines(str(uuid4()))
    kinds = [type(handler).__name__ for handler in ours.handlers]
    report_lines(str(uuid4()))
    assert sorted(kinds) == ["FlowRunLines", "StreamHandler"]
    assert sorted(type(handler).__name__ for handler in ours.handlers) == sorted(kinds)
    assert not ours.propagate and ours.level == logging.INFO


def test_lines_from_before_the_flow_and_of_other_threads_are_on_its_page_once(
    ours: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr("prefect.logging.handlers._api_log_sink", sent.append)
    flow_run = str(uuid4())
    hold_lines()
    ours.warning("memory plan: %s", "fp8")
    PAGE.info("a line for the page alone")
    report_lines(flow_run)
    thread = threading.Thread(target=ours.warning, args=("from a thread \x1b[31m",))
    thread.start()
    thread.join()
    logging.getLogger("pixtrack.progress").info("every ten seconds")
    report_lines(flow_run)
    assert [(line["flow_run_id"], line["message"]) for line in sent] == [
        (flow_run, "memory plan: fp8"),
        (flow_run, "a line for the page alone"),
        (flow_run, "from a thread ␛[31m"),
    ]
    report_lines(None)  # as a plain function: there is no page
    ours.warning("more")
    assert len(sent) == 3


def test_every_module_logs_below_our_logger() -> None:
    """`logging.getLogger(__name__)` does, now that there is one package."""
    root = Path(__file__).resolve().parents[2]
    elsewhere: list[Any] = []
    for folder in ("flows", "tasks", "configs"):
        for file in (root / folder).rglob("*.py"):
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                named = "getLogger(" in line and "setLevel" not in line
                if named and "getLogger(__name__)" not in line and '"pixtrack' not in line:
                    elsewhere.append((file.name, number, line.strip()))
    assert elsewhere == []
