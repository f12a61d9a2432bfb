"""What a command does with its Prefect server, and with a user's own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.settings import get_current_settings

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.flows.local_prefect import CANCELLED_SECONDS, RECORD_SECONDS, LocalPrefect
from pixtrack.flows.reported import Outcome
from pixtrack.tasks.prefecting import reports as reporting
from pixtrack.tasks.servers.reporting import Reports


def test_a_flow_sends_heartbeats_to_a_users_server_and_none_to_our_own(tmp_path: Path) -> None:
    prefect: Any = LocalPrefect(Home(tmp_path))
    usual = get_current_settings().flows.heartbeat_frequency
    with prefect._without_heartbeats():
        assert get_current_settings().flows.heartbeat_frequency == usual is not None
    prefect._server = SimpleNamespace()
    with prefect._without_heartbeats():
        assert get_current_settings().flows.heartbeat_frequency is None
    assert get_current_settings().flows.heartbeat_frequency == usual


def test_a_users_server_that_is_away_is_told_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixtrack.flows.local_prefect.QUIET", {})  # would stay in this process
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(UserError, match="cannot be reached"):
        LocalPrefect(Home(tmp_path)).start()
    assert not (tmp_path / "prefect").exists()


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [
        (Outcome(returned={}), RECORD_SECONDS),
        (Outcome(error=ValueError()), RECORD_SECONDS),
        (Outcome(error=KeyboardInterrupt()), CANCELLED_SECONDS),
        (Outcome(error=SystemExit(143)), CANCELLED_SECONDS),
    ],
)
def test_after_a_signal_the_records_and_the_server_are_waited_for_less_long(
    outcome: Outcome, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    class Answering(Reports):
        def flush(self, seconds: float) -> bool:
            waited.append(seconds)
            return True

    monkeypatch.setattr(reporting, "reports", lambda: Answering("the server"))
    prefect: Any = LocalPrefect(Home(tmp_path))
    prefect._outcome = outcome
    prefect._server = SimpleNamespace(stop=waited.append)
    prefect.stop()
    assert waited == [seconds, seconds]
