"""A table on Prefect's page that is made once and then replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pixtrack.tasks.prefecting import reports


def test_it_is_made_once_and_then_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str, Any]] = []

    class Api:
        def call(self, method: str, path: str, body: Any) -> dict[str, str]:
            calls.append((method, path, body))
            return {"id": "made"}

    class Reports:
        def submit(self, act: Callable[[], None], key: object = None) -> None:
            act()

    monkeypatch.setattr(reports, "api", Api)
    monkeypatch.setattr(reports, "reports", Reports)
    monkeypatch.setattr(reports, "_run_ids", lambda: (None, "flow run"))
    table = reports.LiveTable("asking-replicas", "model on dataset: replicas")
    table.show([])
    assert calls == []
    table.show([{"replica": 1, "node": "a"}])
    table.show([{"replica": 1, "node": "a"}, {"replica": 2, "node": "b"}])
    (made, replaced) = calls
    assert made[:2] == ("POST", "/artifacts/") and made[2]["type"] == "table"
    assert replaced[:2] == ("PATCH", "/artifacts/made")
    assert [row["node"] for row in json.loads(replaced[2]["data"])] == ["a", "b"]
