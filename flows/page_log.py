"""Log lines on the page of a flow run in Prefect: ours, whatever thread they come from.

Prefect's own handler finds the flow run by the context of the thread that logs, so that lines of
other threads, and those from before the flow began, reach no page.
"""

from __future__ import annotations

import copy
import logging
from collections import deque

from pixtrack.flows.plain_text import VisibleFormatter, show_warnings

OURS = logging.getLogger("pixtrack")
"""What every step logs: shown where the command runs, and on the page."""

PAGE = logging.getLogger("pixtrack.page")
"""Lines for the page alone: a terminal has bars and tables for the same."""
PAGE.propagate = False
PAGE.setLevel(logging.INFO)

_NOT_ON_THE_PAGE = "pixtrack.progress"
"""A line every ten seconds, where there is no terminal; the page gets fewer, through PAGE."""

_HELD = 200


class HeldLines(logging.Handler):
    """Keeps the latest lines of a command until its flow run begins."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[logging.LogRecord] = deque(maxlen=_HELD)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a line."""
        self.lines.append(record)


def hold_lines() -> None:
    """Keeps what is logged from now on, for the page of the flow run that will begin."""
    _replace(HeldLines())


def report_lines(flow_run_id: str | None) -> None:
    """Sends what is logged from now on, and what has been held, to that flow run's page.

    In a process that nobody has set up (a worker's) our lines are shown on stderr from now on, too.
    Called again, for the same flow run or the next, nothing is sent twice. With None (the flow runs
    as a plain function) nothing is sent.
    """
    show_warnings()
    OURS.setLevel(logging.INFO)
    held = [line for one in OURS.handlers if isinstance(one, HeldLines) for line in one.lines]
    handler = _handler(flow_run_id) if flow_run_id else None
    _replace(handler)
    if handler is not None:
        for line in held:
            handler.handle(line)


def _replace(handler: logging.Handler | None) -> None:
    """Makes that handler the only one of its kind on our two loggers; None: there is none."""
    for logger in (OURS, PAGE):
        for old in [*logger.handlers]:
            if isinstance(old, HeldLines) or getattr(old, "of_a_flow_run", False):
                logger.removeHandler(old)
        if handler is not None:
            logger.addHandler(handler)


def _handler(flow_run_id: str) -> logging.Handler:
    from prefect.context import TaskRunContext
    from prefect.logging.handlers import APILogHandler

    class FlowRunLines(APILogHandler):  # type: ignore[misc]
        """Prefect's handler, told which flow run the lines belong to."""

        of_a_flow_run = True

        def emit(self, record: logging.LogRecord) -> None:
            """Sends a line, with the task run that the thread is in, if it is in one."""
            if record.name == _NOT_ON_THE_PAGE:
                return
            line = copy.copy(record)
            line.flow_run_id = flow_run_id
            task_run = TaskRunContext.get()
            if task_run is not None:
                line.task_run_id = str(task_run.task_run.id)
            super().emit(line)

    handler = FlowRunLines()
    handler.setFormatter(VisibleFormatter())
    return handler
