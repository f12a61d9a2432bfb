"""What people find on a flow run's page, asked of a real Prefect server by its own API.

By a command, and by a process that nobody has set up, as a worker starts one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.servers.launcher import free_port, running
from pixtrack.tasks.servers.login import login
from pixtrack.tasks.servers.prefect_server import prefect_server
from tests.doubles.endpoint import Endpoint, Reply

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

QUESTIONS = 12
BUSY = Reply({"error": {"message": "busy"}}, status=429, headers={"retry-after": "0"})

COMMAND = ("-m", "pixtrack", "eval", "--model", "endpoint", "--limit", str(QUESTIONS))
WORKER = (
    "-c",
    "from pixtrack.flows.evaluate import evaluate\n"
    f"evaluate(dataset='sample', model='endpoint', limit={2 * QUESTIONS})",
)


@dataclass
class Page:
    """A flow run as the server tells of it."""

    run: Mapping[str, Any]
    lines: list[str]
    levels: dict[str, int]
    artifacts: list[Mapping[str, Any]]

    def line(self, part: str) -> str:
        """The one line that has that part."""
        found = [line for line in self.lines if part in line]
        assert len(found) == 1, (part, self.lines)
        return found[0]


@dataclass
class Server:
    """A real Prefect server, the endpoint that answers, and the environment of what uses both."""

    api: httpx.Client
    endpoint: Endpoint
    environment: dict[str, str]
    home: Path

    def run(self, program: tuple[str, ...], *replies: Reply) -> Page:
        """Runs a program, to which the endpoint replies first with these; its flow run."""
        self.endpoint.replies.extend(replies)
        done = subprocess.run(
            [sys.executable, *program],
            env={**self.environment, "OPENAI_BASE_URL": self.endpoint.url},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        newest = {"sort": "START_TIME_DESC", "limit": 1}
        (run,) = self.ask("/flow_runs/filter", newest)
        of_it = {"flow_run_id": {"any_": [run["id"]]}}
        logs = self.ask("/logs/filter", {"logs": of_it, "sort": "TIMESTAMP_ASC"})
        ours = [line for line in logs if line["name"].startswith("pixtrack")]
        artifacts = self.ask("/artifacts/filter", {"artifacts": of_it, "sort": "CREATED_DESC"})
        return Page(
            run,
            [line["message"] for line in ours],
            {line["message"]: line["level"] for line in ours},
            artifacts,
        )

    def ask(self, path: str, body: Mapping[str, Any]) -> Any:
        answer = self.api.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = Home(tmp_path_factory.mktemp("home"))
    hidden = ("PREFECT_", "MLFLOW_TRACKING_URI", "OPENAI_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    started = prefect_server(home, free_port(), home.root / "server.log", pages=False)
    api = started.health.removesuffix("/health")
    user, _, password = login(home).partition(":")
    environment = kept | {
        "PIXTRACK_HOME": str(home.root), "HOME": str(home.root),
        "PREFECT_API_URL": api, "PREFECT_API_AUTH_STRING": f"{user}:{password}",
    }  # fmt: skip
    client = httpx.Client(base_url=api, auth=(user, password), timeout=30)
    with running(started), client, Endpoint() as endpoint:
        yield Server(client, endpoint, environment, home.root)


@pytest.fixture(scope="module")
def by_command(server: Server) -> Page:
    return server.run(COMMAND, BUSY, BUSY)


@pytest.fixture(scope="module")
def by_worker(server: Server, by_command: Page) -> Page:
    """Twice as many questions: the first half is answered by then."""
    assert by_command.lines
    return server.run(WORKER)


@pytest.mark.parametrize(("how", "known"), [("by_command", 0), ("by_worker", QUESTIONS)])
def test_the_page_tells_of_the_run_from_its_questions_to_its_score(
    how: str, known: int, request: pytest.FixtureRequest
) -> None:
    page: Page = request.getfixturevalue(how)
    total = known + QUESTIONS
    wanted = [
        "checks are fine",
        f"{total} questions, {known} answered already, {QUESTIONS} to ask",
        "engine: ready after",
        f"{total}/{total}, ",
        f"{total} of {total} answered",
    ]
    places = [page.lines.index(page.line(part)) for part in wanted]
    assert places == sorted(places)
    assert "exact_match 0.00 (95% CI" in page.lines[places[-1]]


@pytest.mark.parametrize("how", ["by_command", "by_worker"])
def test_the_flow_run_is_called_by_what_it_asks_and_one_summary_leads(
    how: str, request: pytest.FixtureRequest
) -> None:
    page: Page = request.getfixturevalue(how)
    assert page.run["name"].startswith("endpoint · sample · plain · first ")
    kinds = [(one["type"], one["key"]) for one in page.artifacts]
    assert kinds == [
        ("markdown", "summary-sample"), ("progress", "asking-sample"), ("table", "environment")
    ]  # fmt: skip
    text = page.artifacts[0]["data"]
    assert text.startswith("# exact\\_match 0.00 (95% CI")
    assert "| relaxed\\_accuracy |" in text and "[run](http" in text


def test_a_workers_page_ends_with_prefects_own_last_line(server: Server, by_worker: Page) -> None:
    of_it = {"flow_run_id": {"any_": [by_worker.run["id"]]}}
    logs = server.ask("/logs/filter", {"logs": of_it, "sort": "TIMESTAMP_ASC"})
    assert "Finished in state Completed" in logs[-1]["message"]


def test_requests_that_were_tried_again_are_counted_on_the_page(by_command: Page) -> None:
    assert "2 tried again" in by_command.line(f"{QUESTIONS}/{QUESTIONS}, ")
