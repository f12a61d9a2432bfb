"""What a study is made of, and what it compares."""

from __future__ import annotations

from typing import Any

import pytest

from pixtrack.configs.loading import load_group
from pixtrack.configs.schema import StudyConfig
from pixtrack.flows.study import _with_its_baseline
from pixtrack.tasks.cells import cells_of
from pixtrack.tasks.inference.starting import report_before_start, start_early
from pixtrack.tasks.prefecting.reports import artifact_key
from pixtrack.tasks.runs.directory import RunSummary


def study(**keys: Any) -> StudyConfig:
    return StudyConfig(name="s", title="S", **{"datasets": ("sample",), **keys})


def summary(model: str) -> RunSummary:
    return RunSummary(
        run_dir="", model=model, dataset="sample", prompt="plain", n=1, answered=1, failed=0,
        truncated=0, headline="anls", metrics={}, samples_per_s=None,
    )  # fmt: skip


def test_a_cell_that_two_names_stand_for_is_there_once() -> None:
    config = study(
        models=("endpoint", "endpoint"),
        datasets=("sample", "vqav2_val", "vqav2_restval"),
        prompts=("default", "plain", "lmms_eval"),
    )
    cells = [(cell.dataset.name, cell.prompt.name) for cell in cells_of(config)]
    assert len(cells) == len(set(cells))
    assert cells[:2] == [("sample", "plain"), ("sample", "lmms_eval")]


def test_a_group_stands_for_its_datasets_once() -> None:
    config = study(models=("endpoint",), datasets=("docvqa_val", "text_rich"))
    cells = [cell.dataset.name for cell in cells_of(config)]
    assert cells[0] == "docvqa_val"
    assert len(cells) == 7
    assert set(cells) == set(load_group("text_rich").datasets)


def test_a_baseline_without_a_completed_run_does_not_cost_the_comparison() -> None:
    config = study(models=("a", "b", "c"), baseline="a@plain")
    assert _with_its_baseline(config, [summary("b"), summary("c")]).baseline == ""
    assert _with_its_baseline(config, [summary("a"), summary("c")]).baseline == "a@plain"


def test_the_machine_is_checked_before_our_own_engine_takes_its_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    import pixtrack.tasks.inference.starting as module
    from pixtrack.configs.loading import load_model
    from pixtrack.configs.paths import Home

    order: list[str] = []

    class Session:
        def start(self) -> None:
            order.append("start")

        def close(self) -> None:
            order.append("close")

    report: list[Any] = ["report"]

    def check(home: Home, model: Any, model_dir: Any) -> list[Any]:
        order.append(f"check {model_dir}")
        return report

    monkeypatch.setattr(module, "session_for", lambda *_: Session())
    monkeypatch.setattr(module, "check_machine", check)
    model = load_model("pixtral-nano")
    start_early(model, tmp_path, Home(tmp_path), tmp_path)
    module.close_early()
    assert order == [f"check {tmp_path}", "start", "close"]
    assert report_before_start(model, Home(tmp_path)) is report
    assert report_before_start(model, Home(tmp_path)) is None


def test_any_dataset_name_makes_an_artifact_key() -> None:
    assert artifact_key("My receipts.v2_val") == "my-receipts-v2-val"
