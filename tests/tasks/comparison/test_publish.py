"""What a study ends with, and what MLflow is told."""

from __future__ import annotations

from typing import Any

import pytest

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import StudyConfig
from pixtrack.tasks import tracking
from pixtrack.tasks.comparison import compare
from pixtrack.tasks.comparison.publish import publish
from pixtrack.tasks.comparison.task import compare_runs
from tests.tasks.comparison.factory import DatasetFactory


def test_mlflow_gets_the_folder_the_verdict_and_the_scores(
    docs: DatasetFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}

    def log_comparison(name: str, directory: object, **more: Any) -> str:
        told.update(more, name=name, directory=directory)
        return "http://ui/run"

    monkeypatch.setattr(tracking, "log_comparison", log_comparison)
    result = compare([docs.run("al(pha)"), docs.run("beta", seed=2)])
    published = publish(result, docs.home)
    assert (published.link, published.not_logged) == ("http://ui/run", "")
    assert told["name"] == result.name
    assert told["directory"] == docs.home.comparisons / result.name
    assert result.verdict in told["note"]
    assert set(told["metrics"]) == {
        "docvqa_val/Al Pha ",
        "docvqa_val/Beta",
        "docvqa_val/Beta - Al Pha ",
    }


def test_a_study_ends_with_the_report_and_a_verdict(
    home: Home, docs: DatasetFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> str:
        raise tracking.TrackingUnavailable("http://127.0.0.1:9: no answer")

    monkeypatch.setattr(tracking, "log_comparison", away)
    runs = [docs.run("alpha", skill=-2), docs.run("beta", skill=2, seed=2)]
    study = StudyConfig(
        name="mine", title="Mine", models=("alpha", "beta"), datasets=("d",), baseline="beta"
    )
    result = compare_runs(study, runs, home)
    assert result["verdict"].startswith("Beta beats Alpha")
    assert (home.comparisons / "mine" / "index.html").is_file()
    assert result["page"] == str(home.comparisons / "mine" / "index.html")
    assert "| Model |" in result["markdown"]
    assert result["not_logged"] == "http://127.0.0.1:9: no answer"
