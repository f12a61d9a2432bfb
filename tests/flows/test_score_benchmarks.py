"""`pixtrack score` on the benchmarks' own files: published rows as annotations, without images."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pixtrack.flows.cli.main import app
from tests.shared import BENCHMARKS, document, lines, needs_benchmarks


def score(
    here: Path, dataset: str, annotations: Path, predictions: Iterable[str], *more: str
) -> tuple[list[dict[str, str]], str]:
    """(the rows of scores.csv, what the command printed)."""
    rows = (json.dumps({"index": i, "prediction": text}) for i, text in enumerate(predictions))
    (here / "predictions.jsonl").write_text("\n".join(rows), encoding="utf-8")
    command = ["score", "--dataset", dataset, "--predictions", str(here / "predictions.jsonl")]
    command += ["--annotations", str(annotations), "--out", str(here / "scores"), *more]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with (here / "scores" / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)), result.output


def json_lines(here: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path = here / "annotations.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.mark.parametrize("dataset", ["mmmu_pro_standard", "mmmu_pro_vision"])
def test_mmmu_pros_rows_need_no_more_than_id_options_and_answer(
    tmp_path: Path, dataset: str
) -> None:
    """Options as the hub has them, the text of a Python list, or as JSON's list."""
    rows: list[dict[str, Any]] = [
        {"id": "test_Art_1", "options": "['red', 'don\\'t know', '12']", "answer": "B"},
        {"id": "test_Art_2", "options": ["red", "green"], "answer": "B"},
        {"id": "test_Art_3", "options": "['1', '2']", "answer": "A"},
    ]
    answers = ["Answer: B", "(A) or, no, (B) \ud83d", "no idea"]
    found, said = score(tmp_path, dataset, json_lines(tmp_path, rows), answers)
    assert [row["mmmu_pro"] for row in found[:2]] == ["1.0", "1.0"]
    assert "mmmu_pro: guessed" in found[2]["state"]
    assert "mmmu_pro: 33% guessed (1 of 3)" in said


def test_mathvistas_file_is_an_object_whose_order_is_the_index(tmp_path: Path) -> None:
    free = {"question_type": "free_form", "choices": None, "precision": None, "unit": None}
    rows = {
        "10": {**free, "question": "How many?", "answer": "5", "answer_type": "integer"},
        "9": {**free, "question": "m?", "answer": "1.2", "answer_type": "float", "precision": 1},
        "11": {
            "question": "Which?",
            "choices": ["(A) lower", "higher "],
            "answer": "higher ",
            "question_type": "multi_choice",
            "answer_type": "text",
        },
    }
    annotations = tmp_path / "testmini.json"
    annotations.write_text(json.dumps(rows, indent=4), encoding="utf-8")
    found, said = score(tmp_path, "mathvista_testmini", annotations, ["5.0", "1.2 m", "highe"])
    assert [row["mathvista"] for row in found] == ["1.0", "0.0", "1.0"]
    assert "mathvista: 33% nearest choice (1 of 3)" in said
    assert "mathvista: 33% not parsed (1 of 3)" in said


def test_an_output_that_never_reached_an_answer_is_counted_beside_the_score(tmp_path: Path) -> None:
    rows = [{"id": str(i), "options": ["red", "green"], "answer": "B"} for i in range(3)]
    outputs = ["<think>A?</think>Final Answer: B", "<think>Is it A", r"\boxed{B}"]
    annotations = json_lines(tmp_path, rows)
    found, said = score(
        tmp_path, "mmmu_pro_standard", annotations, outputs, "--prompt", "reasoning"
    )
    assert [row["prediction"] for row in found] == ["B", "", "B"]
    assert "reasoning: 33% never reached an answer (1 of 3)" in said


def test_golds_and_answers_made_to_harm_are_scored_like_any_other(tmp_path: Path) -> None:
    """A gold that Python's parser answers with MemoryError spoils neither its row nor the run."""
    harm = ["[" + "-" * 20_000 + "1]", "[" * 20_000, "(" * 20_000, "9" * 20_000, "\0" * 20_000]
    rows = [
        {"image": "a.png", "question": "?", "answer": [gold], "question_type": "Factoid"}
        for gold in harm
    ]
    found, _ = score(tmp_path, "chartqapro_test", json_lines(tmp_path, rows), harm[::-1])
    assert [row["chartqapro"] for row in found] == ["0.0", "0.0", "1.0", "0.0", "0.0"]


@needs_benchmarks
@pytest.mark.parametrize("dataset", ["mmmu_pro_standard", "mmmu_pro_vision"])
def test_mmmu_pros_published_file_gives_the_published_verdicts(
    tmp_path: Path, dataset: str
) -> None:
    name = "mmmu_pro/gpt-4o_standard_direct.jsonl"
    rows = lines(name)
    found, said = score(tmp_path, dataset, BENCHMARKS / name, [row["response"] for row in rows])
    guesses = ["mmmu_pro: guessed" in row["state"] for row in found]
    assert guesses.count(True) == 7
    for row, seen, guess in zip(rows, found, guesses, strict=True):
        assert guess or float(seen["mmmu_pro"]) == row["if_right"], row["id"]
    assert "mmmu_pro: 0.4% guessed (7 of 1,730)" in said


@needs_benchmarks
def test_mathvistas_published_file_gives_the_published_verdicts(tmp_path: Path) -> None:
    rows = list(document("mathvista/output_bard.json").values())
    annotations = BENCHMARKS / "mathvista" / "testmini.json"
    extractions = [row["extraction"] for row in rows]
    found, _ = score(tmp_path, "mathvista_testmini", annotations, extractions)
    verdicts = [float(row["mathvista"]) == 1.0 for row in found]
    assert verdicts == [row["true_false"] for row in rows]
    assert sum(verdicts) == 348
