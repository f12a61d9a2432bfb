"""Runs a flow as a Prefect flow run; a server that goes away meanwhile costs only seconds.

The flow's result or exception is taken from the flow itself, not from Prefect's engine. Where the
server is away before the flow has begun, the flow runs as a plain function.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from prefect import Flow
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run
from prefect.states import State

from pixtrack.configs.paths import Home
from pixtrack.configs.paths import home as data_home
from pixtrack.tasks.prefecting import reaping, what_ended
from pixtrack.tasks.prefecting.reports import (
    is_reporting,
    leave_logs_to_prefect,
    reporting,
    reports,
)
from pixtrack.tasks.servers.reporting import DEADLINE_SECONDS

logger = logging.getLogger("pixtrack")

R = TypeVar("R")


@dataclass
class Outcome:
    """How a flow ended, independently of Prefect's engine."""

    begun: bool = False
    flow_run_id: str = ""
    returned: dict[str, Any] | None = None
    failed: bool = False
    """Whether it returned a failed state: some of its work did not succeed."""
    error: BaseException | None = field(default=None, repr=False)

    @property
    def ended(self) -> reaping.Ended:
        """In Prefect's words, for a server that did not get the report; "" before the end."""
        if self.error is not None:
            return "FAILED" if isinstance(self.error, Exception) else "CRASHED"
        if self.failed:
            return "FAILED"
        return "COMPLETED" if self.returned is not None else ""

    def note(self, result: Any) -> None:
        """Notes what the flow returned: data, or a state with data."""
        self.failed = isinstance(result, State) and result.is_failed()
        self.returned = result.data if isinstance(result, State) else result

    def data(self) -> dict[str, Any]:
        """What the flow returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        if self.returned is None:
            raise RuntimeError("the flow did not run, and Prefect did not say why")
        return self.returned


def run_reported(
    flow: Flow[..., Any], home: Home, outcome: Outcome, *arguments: Any, **named: Any
) -> None:
    """Runs the flow with these arguments, as a flow run of the server while that answers.

    What the flow returns or raises is in `outcome`. The arguments are not validated: the
    command has checked them. Raises what ends the process (KeyboardInterrupt, SystemExit).
    """
    observed = copy.copy(flow)
    observed.fn = _observed(flow.fn, home, outcome)
    observed.should_validate_parameters = False
    try:
        with reporting():
            state = observed(*arguments, **named, return_state=True)
        if not outcome.begun:
            reports().give_up(state.message or "it did not let the flow begin")
    except Exception as error:
        _end_with_the_process(what_ended(error))
        reports().give_up(str(error) or type(error).__name__)
        _end_with_the_process(outcome.error)
    finally:
        if outcome.flow_run_id:
            reported = not reports().away
            reaping.ended(home, outcome.flow_run_id, outcome.ended, reported=reported)
    if not outcome.begun:
        with contextlib.suppress(Exception):
            observed.fn(*arguments, **named)


def beside(work: Callable[[], R]) -> R:
    """What a flow's work returns or raises; its steps report beside it, whoever runs the flow.

    `run_reported` sees to that for a command's flow. A worker has Prefect's engine run the flow,
    which would have every step wait for a server that has gone away, and fail of it.
    """
    outcome = Outcome(begun=True, flow_run_id=flow_run.get_id() or "")
    if is_reporting() or not outcome.flow_run_id:
        return work()
    try:
        with contextlib.ExitStack() as held:
            with contextlib.suppress(Exception):  # the server is away already
                held.enter_context(reporting())
            result = work()
        outcome.note(result)
        return result
    except BaseException as error:
        outcome.error = error
        raise
    finally:
        if reports().flush(DEADLINE_SECONDS):
            leave_logs_to_prefect()
        else:
            # The engine cannot tell the server either: a later command does.
            reaping.ended(data_home(), outcome.flow_run_id, outcome.ended, reported=False)


def _end_with_the_process(error: BaseException | None) -> None:
    """Raises the error that ended the flow from outside, which Prefect's engine did not see."""
    if isinstance(error, TerminationSignal):
        raise SystemExit(128 + signal.SIGTERM) from None
    if error is not None and not isinstance(error, Exception):
        raise error from None


def _observed(function: Callable[..., Any], home: Home, outcome: Outcome) -> Callable[..., Any]:
    """The flow's function, which notes that it has begun, and what it returned or raised."""

    @wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        outcome.begun = True
        outcome.flow_run_id = flow_run.get_id() or ""
        if outcome.flow_run_id:
            reaping.begun(home, outcome.flow_run_id)
        try:
            result = function(*arguments, **named)
        except BaseException as error:
            outcome.error = error
            raise
        outcome.note(result)  # now: Prefect's engine puts other data into a state
        return result

    return run
