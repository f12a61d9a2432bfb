"""Starts servers as children on the loopback address, and reports in one line why one does not."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pixtrack.configs.errors import UserError
from pixtrack.tasks.processes import die_with_parent, processor_ticks, stop
from pixtrack.tasks.servers.start_failures import killed_by, why_it_ended

HOST = "127.0.0.1"

START_SECONDS = 180.0
"""Limit for a start. The first one creates a database, which took 25 s on two busy cores."""

STILL_SECONDS = 40.0
"""A server that has used no processor for so long, and does not answer, will not."""

_LOOK_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class Server:
    """How a server is started, and how its start is recognised."""

    what: str
    """Its name in messages: Prefect, MLflow."""
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health: str
    """An address of this machine that answers 200 once the server has started."""
    log: Path
    """The file that its output is appended to."""


def free_port(wanted: int = 0) -> int:
    """`wanted` if nothing listens there, else a port that the system chooses."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise UserError(f"no free port on {HOST}: stop a server, or name a port")


class Launched:
    """A server that was started: a process in a session of its own."""

    def __init__(self, server: Server, *, outlives_this_process: bool = False) -> None:
        """Starts the server and returns at once.

        Unless it `outlives_this_process`, it ends with this process, however that ends.
        """
        self.server = server
        self._looked = self._worked = time.monotonic()
        self._ticks: int | None = None
        server.log.parent.mkdir(parents=True, exist_ok=True)
        with server.log.open("ab") as output:
            self._log_start = output.tell()
            self.process = subprocess.Popen(
                server.command,
                env=dict(server.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=None if outlives_this_process else die_with_parent,
            )

    def wait_until_healthy(self, seconds: float = START_SECONDS) -> None:
        """Waits until it answers. Raises UserError, with the reason and the log's path, if not."""
        what, log = self.server.what, self.server.log
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            code = self.process.poll()
            if code is not None:
                why = killed_by(code) or why_it_ended(self.output())
                raise UserError(f"{what}'s server did not start: {why}: {log}")
            if answers(self.server.health):
                return
            if self._stands_still():
                raise UserError(
                    f"{what}'s server did not start: it has done nothing for {STILL_SECONDS:g} s, "
                    f"as if it were stopped ({why_it_ended(self.output())}): {log}"
                )
            time.sleep(_LOOK_EVERY_SECONDS)
        last = why_it_ended(self.output())
        raise UserError(f"{what}'s server did not answer within {seconds:g} s ({last}): see {log}")

    def _stands_still(self) -> bool:
        """Whether it has computed nothing for a while: it is stopped, or waits for ever."""
        now = time.monotonic()
        if now - self._looked < 1:
            return False
        self._looked = now
        ticks = processor_ticks(self.process.pid)
        if ticks is None or ticks != self._ticks:
            self._ticks, self._worked = ticks, now
        return now - self._worked > STILL_SECONDS

    def output(self) -> str:
        """What the server has written to the log since this start."""
        with self.server.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def stop(self, seconds: float = 5.0) -> None:
        """Ends the server with all of its processes: SIGTERM, then SIGKILL after `seconds`."""
        stop(self.process, seconds)


@contextmanager
def running(server: Server) -> Iterator[Launched]:
    """Runs the server during the block, which begins when it is healthy."""
    launched = Launched(server)
    try:
        launched.wait_until_healthy()
        yield launched
    finally:
        launched.stop()


def answers(health: str, seconds: float = 2.0) -> bool:
    """Whether a server on this machine answers 200 at the address; proxies are bypassed."""
    parts = urlsplit(health)
    connection = http.client.HTTPConnection(parts.hostname or HOST, parts.port, timeout=seconds)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
