"""Reports go out in order, beside the work; after the first that fails there are no more."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

import pytest

from pixtrack.tasks.servers.deadline import within
from pixtrack.tasks.servers.reporting import Reports, ServerAway
from tests.doubles.patience import at_most, wait_until


def refused_key() -> None:
    raise KeyError("x")


def refused() -> None:
    raise ConnectionRefusedError("nobody is there\nand more")


def test_reports_are_sent_in_order_without_waiting_for_them() -> None:
    sent: list[int] = []
    reports, go = Reports("the server"), threading.Event()
    reports.submit(lambda: go.wait(5))
    for number in range(5):
        reports.submit(partial(sent.append, number))
    assert sent == []
    go.set()
    assert reports.flush(5) and sent == [0, 1, 2, 3, 4]


def test_of_the_same_thing_only_the_latest_is_sent() -> None:
    sent: list[int] = []
    reports, go = Reports("the server"), threading.Event()
    reports.submit(lambda: go.wait(5))
    for number in range(5):
        reports.submit(partial(sent.append, number), key="bar")
    go.set()
    assert reports.flush(5) and sent == [4]
    reports.submit(lambda: sent.append(5), key="bar")
    assert reports.flush(5) and sent == [4, 5]


def test_an_answer_is_waited_for_and_what_it_raises_is_raised() -> None:
    reports = Reports("the server")
    assert reports.ask(lambda: 42) == 42
    with pytest.raises(KeyError):
        reports.ask(refused_key)
    assert not reports.away and reports.ask(lambda: 43) == 43


def test_after_the_first_failure_there_is_silence_and_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("pixtrack"), "propagate", True)
    caplog.set_level(logging.INFO, "pixtrack")
    sent: list[int] = []
    reports = Reports("the server")
    reports.submit(refused)
    reports.submit(refused)
    reports.submit(lambda: sent.append(1))
    assert not reports.flush(5)
    with pytest.raises(ServerAway, match="nobody is there"):
        reports.ask(lambda: sent.append(2))
    assert sent == []
    wait_until(lambda: caplog.records, "the line is logged, by the thread that reports")
    (record,) = caplog.records
    assert record.getMessage() == (
        "the server has failed (nobody is there): the run goes on, and is not reported there any "
        "more"
    )


def test_whoever_waits_waits_for_the_deadline_and_no_longer() -> None:
    reports, never = Reports("the server", deadline_seconds=0.3), threading.Event()
    reports.submit(never.wait)
    with pytest.raises(ServerAway, match=r"no answer within 0\.3 s"):
        reports.ask(lambda: 1)
    with at_most(30):  # at once, and not for as long as they would
        with pytest.raises(ServerAway):
            reports.ask(lambda: 1)
        assert not reports.flush(60)
    never.set()


def test_a_report_that_hangs_is_given_up_though_nobody_waits() -> None:
    reports, never = Reports("the server", deadline_seconds=0.2), threading.Event()
    reports.submit(never.wait)
    wait_until(lambda: reports.away, "it is given up")
    assert "no answer within" in reports.away
    never.set()


def test_what_counts_as_away_is_the_callers_to_say() -> None:
    reports = Reports("the server", is_away=lambda error: isinstance(error, KeyError))
    reports.submit(refused_key)
    assert not reports.flush(5) and reports.away


def test_a_password_is_not_repeated() -> None:
    reports = Reports("the server")
    reports.give_up("cannot reach http://me:secret@host/api")
    assert "secret" not in reports.away


def test_a_call_within_a_deadline() -> None:
    assert within(5, lambda: "done") == "done"
    with pytest.raises(KeyError):
        within(5, refused_key)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
        within(0.1, lambda: time.sleep(2))
