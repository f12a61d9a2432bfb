"""A data home, an endpoint that may turn hostile, and the command that works on both."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from pixtrack.configs.paths import SHIPPED_CONFIGS
from tests.doubles.endpoint import Endpoint, Reply, completion
from tests.doubles.hostile_replies import WHOLE, Hostile

QUESTIONS = 200
ANSWER_SECONDS = 0.15
HANG_SECONDS = 90.0
"""A command that has not ended so long after its fault hangs."""
GONE_SECONDS = 15.0
"""Processes that are still there so long after their command are left over."""
DISK_MIB = 96


class Scene:
    """A context manager; `own_disk`: whether the data home has a small disk of its own (root)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.own_disk = False
        self.endpoint_mode = ""
        self.hostile_until = 0.0
        self.endpoint_modes: dict[str, Hostile] = {
            name: case for name, case in WHOLE.items() if case.outcome == "again"
        }
        self.command_pid = 0
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
        self._endpoint.__enter__()
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
        self._endpoint.__exit__(None, None, None)
        if self.own_disk:
            subprocess.run(["umount", "-l", str(self.home)], capture_output=True)

    def start(self) -> subprocess.Popen[bytes]:
        """The command, begun; its output goes to a file."""
        environment = {
            **os.environ,
            "PIXTRACK_HOME": str(self.home),
            "PIXTRACK_CONFIGS": str(self.folder / "configs"),
        }
        for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
            environment.pop(name, None)
        command = [
            *(sys.executable, "-m", "pixtrack", "eval", "--dataset", "sample", "--model", "chaos"),
            *("--limit", str(QUESTIONS), "--json"),
        ]
        with (self.folder / "command.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.command_pid = process.pid
        return process

    def ends(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the command ends in time; one that hangs is killed."""
        try:
            process.wait(HANG_SECONDS)
            return True
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        finally:
            while self._after:
                self._after.pop()()
            self.endpoint_mode = ""

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

    def _answer(self, body: dict[str, Any]) -> Reply:
        if self.endpoint_mode and time.monotonic() < self.hostile_until:
            return self.endpoint_modes[self.endpoint_mode].reply
        del body
        return Reply(completion("42"), delay_seconds=ANSWER_SECONDS)
