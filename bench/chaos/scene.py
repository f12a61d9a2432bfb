"""A data home, an endpoint that may turn hostile, a team's servers, and the command that uses them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import psutil

from pixtrack.configs.paths import SHIPPED_CONFIGS, Home
from pixtrack.tasks.servers.launcher import free_port, running
from pixtrack.tasks.servers.login import login
from pixtrack.tasks.servers.prefect_server import prefect_server
from pixtrack.tasks.tracking.server import serve
from tests.doubles.door import Door, Mode
from tests.doubles.endpoint import Endpoint, Reply, completion
from tests.doubles.hostile_replies import WHOLE

Setting = Literal["alone", "team"]
"""Alone, the command starts a Prefect server and logs to a database in its data home; in a team it
uses the servers of the scene."""

Server = Literal["Prefect", "MLflow"]
SERVERS: tuple[Server, ...] = ("Prefect", "MLflow")

QUESTIONS = 200
ANSWER = "42"
ANSWER_SECONDS = 0.15
GONE_SECONDS = 15.0
"""Processes that are still there so long after their command are left over."""
DISK_MIB = 96

NO_ANSWERS = [
    *(case.reply for case in WHOLE.values() if case.outcome == "again"),
    *(Reply({"error": "overloaded"}, status) for status in (429, 500, 502, 503, 529)),
    Reply({"error": "slow down"}, 429, {"retry-after": "Wed, 01 Jan 2020 00:00:00"}),
    Reply(completion("cut off"), cut=True),
    Reply(completion("too late"), delay_seconds=6),
]
"""What a hostile endpoint answers; a question is asked again for each of them."""


def _heed_signals() -> None:
    """In the child: a campaign under nohup, or in the background, passes on that it ignores some."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Scene:
    """A context manager; `own_disk`: whether the data home has a small disk of its own (root)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.own_disk = False
        self.hostile_until = 0.0
        self.command_pid = 0
        self._no_answers = itertools.cycle(NO_ANSWERS)
        self._held = contextlib.ExitStack()
        self._ports: dict[Server, int] = {}
        self._doors: dict[Server, Door] = {}
        self._login = ""
        self._after: list[Callable[[], None]] = []
        self._endpoint = Endpoint(answer=self._answer)

    def __enter__(self) -> Scene:
        self.home.mkdir(parents=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(self.home)],
            capture_output=True,
        )
        self.own_disk = mounted.returncode == 0
        configs = self.folder / "configs"
        for kind in ("datasets", "prompts"):
            shutil.copytree(SHIPPED_CONFIGS / kind, configs / kind)
        (configs / "models").mkdir()
        self._held.enter_context(self._endpoint)
        self._start_servers()
        (configs / "models" / "chaos.yaml").write_text(
            f"title: chaos\nsource:\n  kind: endpoint\n  base_url: {self._endpoint.url}\n"
            "  served_model: tiny\n  max_concurrency: 8\n  request_timeout_seconds: 5\n"
            "format: endpoint\nfamily: endpoint\nparameters_billions: 0\nlicence: none\n"
        )
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._held.close()
        if self.own_disk:
            subprocess.run(["umount", "-l", str(self.home)], capture_output=True)

    def _start_servers(self) -> None:
        """Real servers in folders of their own, each behind a door that faults shut."""
        home = Home(self.folder / "team")
        home.root.mkdir()
        os.environ["PIXTRACK_HOME"] = str(home.root)  # where MLflow's keeps artifacts
        os.environ.pop("PREFECT_HOME", None)
        self._ports = {what: free_port() for what in SERVERS}
        database = f"sqlite:///{home.mlflow_db}"
        self._held.enter_context(serve(database, self._ports["MLflow"], home.root / "mlflow.log"))
        log = home.root / "prefect.log"
        server = prefect_server(home, self._ports["Prefect"], log, pages=False)
        self._held.enter_context(running(server))
        self._login = login(home)
        for what in SERVERS:
            self._open(what)

    def _open(self, what: Server) -> None:
        self._doors[what] = self._held.enter_context(Door(self._ports[what]))

    def shut(self, what: Server, mode: Mode) -> None:
        """Has the team's server fail in that way until the command has ended."""
        self._doors[what].shut(mode)
        self.afterwards(lambda: self._open(what))

    def start(self, setting: Setting) -> subprocess.Popen[bytes]:
        """The command, begun; its output goes to a file."""
        environment = {
            **os.environ,
            "PIXTRACK_HOME": str(self.home),
            "PIXTRACK_CONFIGS": str(self.folder / "configs"),
        }
        for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
            environment.pop(name, None)
        if setting == "team":
            addresses = {what: f"127.0.0.1:{door.port}" for what, door in self._doors.items()}
            environment["MLFLOW_TRACKING_URI"] = f"http://{addresses['MLflow']}"
            environment["PREFECT_API_URL"] = f"http://{self._login}@{addresses['Prefect']}/api"
        command = [
            *(sys.executable, "-m", "pixtrack", "eval", "--dataset", "sample", "--model", "chaos"),
            *("--limit", str(QUESTIONS), "--json"),
        ]
        with (self.folder / "command.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_heed_signals,
            )
        self.command_pid = process.pid
        return process

    def ends(self, process: subprocess.Popen[bytes], within_seconds: float) -> bool:
        """Whether the command ends in time; one that hangs is killed."""
        try:
            process.wait(within_seconds)
            return True
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        finally:
            while self._after:
                self._after.pop()()

    def afterwards(self, what: Callable[[], None]) -> None:
        """Does that once the command has ended."""
        self._after.append(what)

    def processes(self) -> list[psutil.Process]:
        """Whatever runs on this data home."""
        mark = f"PIXTRACK_HOME={self.home}"
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                raw = Path(f"/proc/{process.pid}/environ").read_bytes()
                if mark.encode() in raw.split(b"\0") and process.pid != os.getpid():
                    found.append(process)
        return found

    def left_over(self) -> list[str]:
        """Processes that outlive their command; they are ended here."""
        deadline = time.monotonic() + GONE_SECONDS
        while (alive := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        names = []
        for process in alive:
            with contextlib.suppress(psutil.Error):
                names.append(" ".join(process.cmdline())[:120])
                process.kill()
        return names

    def answers(self) -> Counter[tuple[int, str]]:
        """(index, text) of every final answer in the run's journal, and how often it stands there."""
        found: Counter[tuple[int, str]] = Counter()
        for journal in self.home.glob("runs/*/*/answers.jsonl"):
            for line in journal.read_bytes().split(b"\n")[1:]:
                with contextlib.suppress(ValueError):
                    told: dict[str, Any] = json.loads(line)
                    if "index" in told and told.get("finish_reason") != "error":
                        found[told["index"], told["text"]] += 1
        return found

    def still_running(self) -> int:
        """Flow runs and MLflow runs that are shown as running: for ever, where no command runs."""
        tables = {}
        for home in (Home(self.home), Home(self.folder / "team")):
            tables[home.prefect / "prefect.db"] = "flow_run where state_type = 'RUNNING'"
            tables[home.mlflow_db] = "runs where status = 'RUNNING'"
        found = 0
        for database, condition in tables.items():
            if not database.exists():
                continue
            with contextlib.closing(sqlite3.connect(database)) as opened:
                found += int(opened.execute(f"select count(*) from {condition}").fetchone()[0])
        return found

    def _answer(self, _body: dict[str, Any]) -> Reply:
        if time.monotonic() < self.hostile_until:
            return next(self._no_answers)
        return Reply(completion(ANSWER), delay_seconds=ANSWER_SECONDS)
