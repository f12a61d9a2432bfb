"""Sends reports to a server in the background; a slow, frozen or dead server costs only seconds.

Reports are sent in order in a thread of their own, each with a deadline. After the first one that
the server does not accept no more are sent: a warning says so, and the work goes on.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from pixtrack.configs.addresses import without_passwords
from pixtrack.tasks.servers.deadline import within

logger = logging.getLogger("pixtrack")

T = TypeVar("T")

DEADLINE_SECONDS = 5.0
"""Time limit of a report, and of waiting for one."""


class ServerAway(ConnectionError):
    """The server did not accept a report in time, this one or an earlier one."""


class Reports:
    """The reports to one server. `submit` does not wait; `ask` waits for a result, `flush` for all.

    A report is a function that sends it, and raises what goes wrong. ConnectionError, TimeoutError,
    and errors for which `is_away` is true mean that the server is away; any other error concerns
    that report alone.
    """

    def __init__(
        self,
        what: str,
        is_away: Callable[[BaseException], bool] = lambda _error: False,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        """Starts without reports.

        Args:
            what: the server's name in the warning that it is away
            is_away: whether an error means that the server is away
            deadline_seconds: time limit of a report
        """
        self._what = what
        self._is_away = is_away
        self._seconds = deadline_seconds
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], _Answer]] = queue.SimpleQueue()
        self._latest: dict[Hashable, Callable[[], Any]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.away = ""
        """Why the server counts as away; "" while it does not."""

    def submit(self, report: Callable[[], Any], key: Hashable = None) -> None:
        """Queues a report; it is dropped where the server is away.

        Of the queued reports with the same `key`, only the latest is sent.
        """
        if self.away:
            return
        if key is None:
            self._put(report)
            return
        with self._lock:
            known = key in self._latest
            self._latest[key] = report
        if not known:
            self._put(lambda: self._send_latest(key))

    def ask(self, report: Callable[[], T]) -> T:
        """Sends a report after all queued ones and returns its result.

        Raises ServerAway where that takes longer than the deadline, and at once where the server
        is away; and whatever the report itself raises.
        """
        if self.away:
            raise ServerAway(self.away)
        answer = self._put(report)
        try:
            result, error = answer.get(timeout=self._seconds)
        except queue.Empty:
            self.give_up(f"no answer within {self._seconds:g} s")
            raise ServerAway(self.away) from None
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def flush(self, seconds: float) -> bool:
        """Waits until all reports are sent, at most `seconds`; returns whether they are."""
        if self.away or self._thread is None:
            return not self.away
        try:
            self._put(lambda: None).get(timeout=max(seconds, 0))
        except queue.Empty:
            self.give_up(f"no answer within {seconds:g} s")
        return not self.away

    def give_up(self, reason: str) -> None:
        """Treats the server as away from now on, with a warning the first time."""
        with self._lock:
            if self.away:
                return
            self.away = without_passwords(reason.partition("\n")[0]) or "no reason given"
        logger.warning(
            "%s has failed (%s): the run goes on, and is not reported there any more",
            self._what,
            self.away,
        )

    def _put(self, report: Callable[[], Any]) -> _Answer:
        answer: _Answer = queue.SimpleQueue()
        self._waiting.put((report, answer))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="reports", daemon=True)
                self._thread.start()
        return answer

    def _send_latest(self, key: Hashable) -> None:
        with self._lock:
            report = self._latest.pop(key)
        report()

    def _work(self) -> None:
        while True:
            report, answer = self._waiting.get()
            if self.away:
                answer.put((None, ServerAway(self.away)))
                continue
            try:
                answer.put((within(self._seconds, report), None))
            except BaseException as error:
                if isinstance(error, ConnectionError | TimeoutError) or self._is_away(error):
                    self.give_up(str(error) or type(error).__name__)
                    error = ServerAway(self.away)
                else:
                    logger.debug("%s did not take a report: %s", self._what, error)
                answer.put((None, error))


_Answer = queue.SimpleQueue[tuple[Any, BaseException | None]]
