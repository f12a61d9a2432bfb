"""A group of datasets is evaluated dataset by dataset, with one engine start."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_model
from pixtrack.flows.cells import CellOutcome
from pixtrack.flows.evaluate import group_outcome
from pixtrack.flows.report import print_group
from pixtrack.flows.terminal import DataConsole
from pixtrack.tasks.cells import resolve_cells
from pixtrack.tasks.runs.directory import Count, Interval, RunSummary

PIXTRACK = Path(sys.executable).parent / "pixtrack"


def summary(dataset: str, status: str = "completed") -> RunSummary:
    return RunSummary.model_validate(
        {
            "run_dir": f"/runs/{dataset}", "model": "m", "dataset": dataset, "prompt": "plain",
            "n": 2, "answered": 2, "failed": 0, "truncated": 0, "headline": "anls",
            "metrics": {"anls": Interval(value=50.0, stderr=1, ci95=(48, 52), n=2)},
            "samples_per_s": None, "status": status, "message": "" if status == "completed" else "x",
            "states": {"reasoning": {"never reached an answer": Count(count=1, of=2)}},
        }
    )  # fmt: skip


def outcomes(*summaries: RunSummary | None) -> list[CellOutcome]:
    cells = resolve_cells("text_rich", load_model("endpoint"))
    return [
        CellOutcome(cell, summary=one, failure=None if one else UserError("the hub is away"))
        for cell, one in zip(cells, summaries, strict=False)
    ]


def test_a_group_is_its_datasets_in_their_order_each_with_its_own_prompt() -> None:
    cells = resolve_cells("text_rich", load_model("endpoint"), limit=3)
    assert [cell.dataset.name for cell in cells][:3] == [
        "chartqapro_test", "chartqa_test_human", "chartqa_test_augmented",
    ]  # fmt: skip
    assert {cell.limit for cell in cells} == {3}
    assert [cell.prompt.name for cell in cells][:2] == ["lmms_eval", "mistral_evals"]
    asked = resolve_cells("text_rich", load_model("endpoint"), "plain")
    assert {cell.prompt.name for cell in asked} == {"plain"}


def test_a_group_fails_where_a_dataset_failed_or_was_not_asked_and_keeps_the_others() -> None:
    good = summary("chartqapro_test")
    assert group_outcome("g", outcomes(good)).is_completed()
    state = group_outcome("g", outcomes(good, None, summary("chartqa_test_augmented", "failed")))
    assert state.is_failed()
    assert state.message == (
        "2 of 3 datasets failed: chartqa_test_augmented, chartqa_test_human"
    )  # fmt: skip
    assert [run["dataset"] for run in state.data["runs"]] == [
        "chartqapro_test", "chartqa_test_augmented",
    ]  # fmt: skip
    assert state.data["not_run"] == [{"dataset": "chartqa_test_human", "error": "the hub is away"}]


def test_the_table_has_a_line_a_dataset_and_says_how_answers_were_read() -> None:
    out = DataConsole(file=io.StringIO(), width=120)
    not_run = [{"dataset": "b", "error": "the hub is away"}]
    print_group("g", [summary("a")], not_run, out)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "m on g" in text
    assert "│ a       │ plain  │ anls     │ 50.00 │ 48.0–52.0 │ 2 │ completed │" in text
    assert "│ b       │ –" in text
    assert "a: reasoning: 50% never reached an answer (1 of 2)" in text
    assert "/runs/a/answers.jsonl" in text
