"""Two whole evaluations at once in a new data home, behind a company's proxy that answers nothing.

Each starts a Prefect server of its own, and both make the home's databases. Every client finds the
servers of this machine without asking the proxy.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.blackhole import Blackhole
from tests.doubles.endpoint import Endpoint, Reply, completion

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

LIMITS = (7, 8)
"""Of the two commands: runs of their own."""


@dataclass
class First:
    """What became of the commands."""

    home: Path
    ended: list[tuple[int, str, str]]
    """Exit code, output and messages."""
    asked_of_the_proxy: int

    @property
    def summaries(self) -> list[dict[str, Any]]:
        return [json.loads(out) for _, out, _ in self.ended]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[First]:
    home = tmp_path_factory.mktemp("new") / "home"
    hidden = ("PREFECT_", "MLFLOW_TRACKING_URI", "OPENAI_", "NO_PROXY", "no_proxy")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    proxy = Blackhole()
    with Endpoint(answer=lambda _body: Reply(completion("42"))) as endpoint:
        environment = {
            **kept,
            **dict.fromkeys(("HTTP_PROXY", "http_proxy"), f"http://{proxy.address}"),
            **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), f"http://{proxy.address}"),
            "ALL_PROXY": f"socks5://ann:hunter2@{proxy.address}",
            "NO_PROXY": "intranet.example,fd00::/8",
            "PIXTRACK_HOME": str(home),
            "HOME": str(home.parent),
            "OPENAI_BASE_URL": endpoint.url,
        }
        commands = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "pixtrack", "eval", "--model", "endpoint"),
                    *("--limit", str(limit), "--json"),
                ],
                env=environment, cwd=home.parent, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for limit in LIMITS
        ]  # fmt: skip
        ended = []
        try:
            for command in commands:
                out, err = command.communicate(timeout=240)
                ended.append((command.returncode, out, err))
        finally:
            for command in commands:
                command.kill()
                command.communicate()
    yield First(home, ended, len(proxy.taken))
    proxy.close()


def test_both_end_whole_and_neither_trips_over_the_other(first: First) -> None:
    for code, _, said in first.ended:
        assert code == 0 and "Traceback" not in said, said
    assert [run["answered"] for run in first.summaries] == [*LIMITS]
    log = (first.home / "prefect" / "server.log").read_text(errors="replace")
    assert "duplicate column name" not in log and "already exists" not in log


def test_both_are_recorded_by_prefect_and_mlflow(first: First) -> None:
    with closing(sqlite3.connect(first.home / "prefect" / "prefect.db")) as database:
        states = database.execute("select state_type from flow_run").fetchall()
    assert states == [("COMPLETED",)] * 2
    with closing(sqlite3.connect(first.home / "mlflow.db")) as database:
        runs = dict(database.execute("select run_uuid, status from runs").fetchall())
    assert {runs[run["mlflow_run_id"]] for run in first.summaries} == {"FINISHED"}


def test_no_server_of_this_machine_is_asked_for_through_the_proxy(first: First) -> None:
    assert first.asked_of_the_proxy == 0


def test_what_clients_cannot_read_is_dropped_with_a_line_and_without_its_password(
    first: First,
) -> None:
    for _, _, said in first.ended:
        dropped = [line for line in said.splitlines() if "is not used" in line]
        assert any(line.startswith("pixtrack: NO_PROXY: 'fd00::/8'") for line in dropped), said
        assert "hunter2" not in said
