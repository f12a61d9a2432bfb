"""Starts the inference child, sends it the spec and jobs, and reads its events.

Used by `session`. The child, `python -m pixtrack.tasks.inference.worker.main`, runs below a guard
(`guard`) in a session of its own, so that none of its processes is left, however this process or
the child ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from pixtrack.tasks.inference.engines import ENGINES
from pixtrack.tasks.inference.host import guard
from pixtrack.tasks.inference.host.environment import child_environment, find_python
from pixtrack.tasks.inference.host.failures import explain
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job, Order
from pixtrack.tasks.scratch import Scratch, make_scratch

GRACE_SECONDS = 4.0
"""From being told to end until everything is killed: a command ends within 10 s of a signal, also
where its engine is still loading, or frozen."""
GUARD_SECONDS = 2.0
"""For the guard to kill what is left by then; a frozen one is killed in its place."""

SOCKET_NAME_BYTES = 36
"""Length of the names of vLLM's sockets, which are UUIDs."""


class EngineProcess:
    """The inference child of one engine; a context manager. Used from one thread at a time."""

    def __init__(
        self,
        spec: EngineSpec,
        log: Path,
        python: str | None = None,
        cards: Sequence[str] = (),
    ) -> None:
        self.spec = spec
        self.cards = tuple(cards)
        """The cards that the child may see; (): those that this process sees."""
        self.log = log
        self._kind = ENGINES[spec.engine]
        self._python = python
        """The child's interpreter; None: that of `find_python` for vLLM, else this one."""
        self.grace_seconds = GRACE_SECONDS
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None
        self._scratch: Scratch | None = None
        self._log_start = 0
        self._writing = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The guard's process id while it runs, which is its session's id too; else None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Starts the child and sends it the spec. Returns at once; the outcome is among the
        `events`.

        Raises UserError where the interpreter does not exist.
        """
        if self._process is not None:
            raise ValueError("the inference child was started already")
        python = self._interpreter()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # vLLM leaves sockets and other files behind: they go into a folder that the guard deletes.
        self._scratch = make_scratch(socket_name_bytes=SOCKET_NAME_BYTES)
        read_end, self._lifeline = os.pipe()
        try:
            with self.log.open("ab") as log:
                started = time.strftime("%Y-%m-%d %H:%M:%S")
                log.write(
                    f"=== {started} {python} -m pixtrack.tasks.inference.worker.main\n".encode()
                )
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-I", "-S", guard.__file__),
                        *(str(read_end), str(self.grace_seconds)),
                        *(python, "-m", "pixtrack.tasks.inference.worker.main"),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=child_environment(
                        os.environ,
                        str(self._scratch.path),
                        self.cards,
                        self._kind.secrets(self.spec),
                    ),
                    pass_fds=[read_end, self._scratch.lock],
                    start_new_session=True,
                )
        finally:
            os.close(read_end)
        self._send(self.spec.model_dump_json())

    def submit(self, job: Job) -> None:
        """Sends one more job; the child carries jobs out in this order."""
        self._send(job.model_dump_json())

    def order(self, order: Order) -> None:
        """Tells a replica's child (`spec.takes` is "orders") what to do next."""
        self._send(order.model_dump_json(exclude_defaults=True))

    def no_more_jobs(self) -> None:
        """Says that no more jobs come: the child ends after the last one. May be called twice."""
        process = self._started()
        assert process.stdin is not None
        with self._writing, contextlib.suppress(BrokenPipeError):
            process.stdin.close()

    def events(self) -> Iterator[Event]:
        """The child's events, as they happen, until it ends.

        The last event is `closed`, or `engine_failed` with the reason in one line, which is taken
        from the log where the child could not report it. Its details have "log" and, where memory
        ran out, "reason" == "out_of_memory".
        """
        process = self._started()
        assert process.stdout is not None
        last = Event(event="starting")
        for line in process.stdout:
            try:
                event = Event.model_validate_json(line)
            except ValidationError:
                continue  # not an event: written by something that inherited the descriptor
            if event.event == "engine_failed":
                event = self._explained(event)
            elif event.event == "closed" and last.event == "engine_failed":
                break
            last = event
            yield event
        if last.event not in ("closed", "engine_failed"):
            code = process.wait()
            yield self._explained(Event(event="engine_failed", details={"exit_code": code}))

    def close(self) -> None:
        """Ends the child and every process below it; returns when they have ended.

        May be called twice, and without `start`.
        """
        process, self._process = self._process, None
        lifeline, self._lifeline = self._lifeline, None
        scratch, self._scratch = self._scratch, None
        try:
            if process is not None:
                self._end(process)
        finally:
            if lifeline is not None:
                os.close(lifeline)
            if scratch is not None:
                scratch.remove()

    def __enter__(self) -> EngineProcess:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(self.grace_seconds + GUARD_SECONDS)
        finally:
            # The guard has done this already, unless it was killed itself.
            kill_session(process.pid)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    assert pipe is not None
                    pipe.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ValueError("the inference child is not running: call start()")
        return self._process

    def _send(self, message: str) -> None:
        process = self._started()
        assert process.stdin is not None
        # A child that is gone says why in `events`.
        with self._writing, contextlib.suppress(BrokenPipeError):
            process.stdin.write(message.encode() + b"\n")
            process.stdin.flush()

    def _explained(self, event: Event) -> Event:
        python = self._interpreter()
        failure = explain(event, self._log_text(), self.spec, python)
        details = {**event.details, **failure.details, "log": str(self.log)}
        return event.model_copy(
            update={"message": failure.message, "remedy": failure.remedy, "details": details}
        )

    def _interpreter(self) -> str:
        """The child's Python; pixtrack's own for an engine that only sends requests elsewhere."""
        if self._python is None and not self._kind.runs_here:
            return sys.executable
        return find_python(self._python)

    def _log_text(self) -> str:
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode("utf-8", "replace")


def kill_session(session: int) -> None:
    """Sends SIGKILL to every process of a session and waits up to 5 s until none is left."""
    import psutil

    end = time.monotonic() + 5
    while time.monotonic() < end:
        alive = []
        for process in psutil.process_iter(["status"]):
            with contextlib.suppress(ProcessLookupError, psutil.Error):
                zombie = process.info["status"] == psutil.STATUS_ZOMBIE
                if os.getsid(process.pid) == session and not zombie:
                    alive.append(process.pid)
        if not alive:
            return
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
