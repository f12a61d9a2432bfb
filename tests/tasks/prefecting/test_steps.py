"""A step within a flow run: what Prefect's engine makes of a signal, and what we do."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal

from pixtrack.tasks import prefecting
from pixtrack.tasks.prefecting import step, what_ended

SIGNALS = [
    KeyboardInterrupt(),
    SystemExit(128 + signal.SIGHUP),
    TerminationSignal(signal=signal.SIGTERM),
]


def engine_that_answers(error: BaseException | None) -> Any:
    """A double of Prefect's `task`, whose engine fails as its own does when a signal interrupts it."""

    def task(**_options: Any) -> Any:
        def decorate(_function: Any) -> Any:
            def run() -> None:
                try:
                    if error is not None:
                        raise error
                finally:
                    raise ValueError("Task run is not set")

            return run

        return decorate

    return task


@pytest.mark.parametrize("error", SIGNALS, ids=lambda error: type(error).__name__)
def test_a_signal_that_the_engine_takes_for_an_error_stays_a_signal(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(prefecting, "task", engine_that_answers(error))
    monkeypatch.setattr(FlowRunContext, "get", lambda: object())
    with pytest.raises(type(error)):
        step("ask")(lambda: None)()


def test_an_error_of_its_own_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefecting, "task", engine_that_answers(None))
    monkeypatch.setattr(FlowRunContext, "get", lambda: object())
    with pytest.raises(ValueError, match="not set"):
        step("ask")(lambda: None)()


def test_errors_that_go_in_a_circle_come_to_an_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    assert what_ended(one) is None
