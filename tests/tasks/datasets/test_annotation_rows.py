from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets.annotation_rows import annotation_samples


def config(**changes: Any) -> DatasetConfig:
    settings = {
        "name": "own",
        "title": "Own",
        "source": {"kind": "sample"},
        "metrics": ("anls",),
        "headline": "anls",
        "prompt": "plain",
        "licence": "none",
    }
    return DatasetConfig.model_validate(settings | changes)


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "val.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_become_samples_without_any_image(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"image": "p/a.png", "question": "Who?", "question_id": -1, "answer": "Ann"},
        {"image": "p/a.png", "question": "When?", "question_id": -1, "answer": ["now", "today"]},
    )
    first, second = annotation_samples(path, config())
    assert (first.index, first.question_id, first.answers) == (0, "-1", ("Ann",))
    assert (first.image, first.image_path, first.width) == ("", "p/a.png", 0)
    assert second.answers == ("now", "today")
    assert not first.error


def test_annotators_answers_and_conversations_are_read_by_the_row_format(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"image": "a", "question": "x?", "answer": [{"answer": "yes", "answer_id": 1}] * 10},
    )
    (row,) = annotation_samples(path, config(row_format="vqa"))
    assert row.answers == ("yes",) * 10
    path = write(
        tmp_path,
        {
            "image": "a",
            "question": ["x?", "y?"],
            "answer": ["1", "2"],
            "year": ["NO", "YES"],
            "question_type": "Conversational",
        },
    )
    (row,) = annotation_samples(path, config(row_format="chartqapro"))
    assert (row.question, row.answers, row.flags) == ("y?", ("2",), ("NO", "YES"))
    assert row.history[0].question == "x?"


def test_a_bad_row_keeps_its_place_and_says_where_it_is(tmp_path: Path) -> None:
    good = {"image": "a", "question": "x?", "answer": "1"}
    path = write(tmp_path, good, {"image": "a", "question": "x?", "answer": []}, good)
    rows = annotation_samples(path, config())
    assert [row.index for row in rows] == [0, 1, 2]
    assert [row.error for row in rows] == ["", "val.jsonl line 2: no gold answer", ""]


def test_a_dataset_of_ones_own_may_name_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path, {"file": "a", "q": "x?", "label": "1"})
    columns = {"image": "file", "question": "q", "answers": "label"}
    own = {"kind": "annotations", "qa_file": "q", "img_folder": "i", "columns": columns}
    (row,) = annotation_samples(path, config(source=own))
    assert (row.question, row.answers, row.image_path) == ("x?", ("1",), "a")


def test_a_file_that_is_missing_empty_or_of_another_kind_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such annotation file"):
        annotation_samples(tmp_path / "none.jsonl", config())
    with pytest.raises(UserError, match="no rows"):
        annotation_samples(write(tmp_path), config())
    with pytest.raises(UserError, match=r"line 1: no key 'question'.*row_format plain"):
        annotation_samples(write(tmp_path, {"query": "x?"}), config())
