"""A user's own dataset: one command, no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset
from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.adding import add_dataset
from pixtrack.tasks.datasets.new_dataset import NewDataset
from tests.tasks.datasets.conftest import Folder, row

pytestmark = pytest.mark.usefixtures("configs")


def new(folder: Folder, **changes: Any) -> NewDataset:
    values = {"name": "mine", "qa_file": folder.qa_file, "img_folder": folder.images}
    return NewDataset(**{**values, **changes})


def test_the_written_file_loads_and_prepares(folder: Folder, home: Home, configs: Path) -> None:
    added = add_dataset(new(folder, metrics=("relaxed_accuracy", "anls"), licence="CC0"))
    assert (added.rows, added.images, added.problems) == (8, 4, ())
    assert added.path == configs / "datasets" / "mine.yaml"
    config = load_dataset("mine")
    assert config == added.config
    assert (config.questions, config.images, config.licence) == (8, 4, "CC0")
    assert (config.headline, config.prompt) == ("relaxed_accuracy", "lmms_eval")
    assert len(prepare(config, home).samples) == 8


def test_other_keys_are_said_by_column_and_asked_for_by_name(folder: Folder, home: Home) -> None:
    folder.write([{"Q": f"{n}?", "A": "x", "file": f"{n}.png"} for n in range(3)])
    with pytest.raises(UserError, match=r"no key 'question'; it has A, Q, file: .*--column quest"):
        add_dataset(new(folder))
    columns = {"question": "Q", "answers": "A", "image": "file"}
    added = add_dataset(new(folder, columns=columns))
    assert [sample.question for sample in prepare(added.config, home).samples] == ["0?", "1?", "2?"]
    with pytest.raises(UserError, match="no such field; known: question"):
        add_dataset(new(folder, columns={"query": "Q"}, replace=True))


@pytest.mark.parametrize(
    ("rows", "row_format", "metric"),
    [
        ([row(0)], "plain", "anls"),
        ([row(0, answer=[{"answer": "a"}] * 10)], "vqa", "vqa_accuracy"),
        ([row(0, question=["a?"], answer=["b"], year=["NO"])], "chartqapro", "chartqapro"),
    ],
)
def test_the_form_of_the_golds_is_seen_from_the_first_row(
    folder: Folder, rows: list[Any], row_format: str, metric: str
) -> None:
    folder.write(rows)
    config = add_dataset(new(folder)).config
    assert (config.row_format, config.headline) == (row_format, metric)


def test_bad_rows_are_listed_and_nothing_is_written(folder: Folder, configs: Path) -> None:
    folder.write([row(0), *(row(n, image=f"gone{n}.png") for n in range(1, 8))])
    with pytest.raises(UserError) as caught:
        add_dataset(new(folder))
    assert "qa.jsonl: 7 of 8 rows cannot be asked: line 2: image 'gone1.png'" in str(caught.value)
    assert "(and 2 more). Mend them, or add --allow-bad-rows" in str(caught.value)
    assert not (configs / "datasets" / "mine.yaml").exists()
    added = add_dataset(new(folder, allow_bad_rows=True))
    assert (added.rows, len(added.problems)) == (8, 7)


def test_a_file_of_bad_rows_alone_is_refused_even_so(folder: Folder) -> None:
    folder.write([row(0, image="gone.png")])
    with pytest.raises(UserError, match="1 of 1 row cannot be asked"):
        add_dataset(new(folder, allow_bad_rows=True))


def test_a_changed_file_does_not_pass_for_the_one_that_was_checked(
    folder: Folder, home: Home
) -> None:
    config = add_dataset(new(folder)).config
    folder.write([row(0)])
    with pytest.raises(UserError, match=r"sha256 is .* pins"):
        prepare(config, home)
    assert len(prepare(add_dataset(new(folder, replace=True)).config, home).samples) == 1


def test_one_of_the_seven_takes_local_files_and_keeps_what_is_known_of_it(
    folder: Folder, home: Home
) -> None:
    with pytest.raises(UserError, match="exists already: choose another name, or --replace"):
        add_dataset(new(folder, name="docvqa_val"))
    before = load_dataset("docvqa_val")
    add_dataset(new(folder, name="docvqa_val", replace=True))
    after = load_dataset("docvqa_val")
    assert after.source.kind == "annotations"
    for field in ("title", "metrics", "headline", "prompt", "published_scores", "licence"):
        assert getattr(after, field) == getattr(before, field)
    assert len(prepare(after, home).samples) == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../evil"}, "use letters, digits"),
        ({"name": ""}, "use letters, digits"),
        ({"qa_file": Path("nowhere.jsonl")}, r"nowhere.jsonl: no such file: .*--qa-file"),
        ({"img_folder": Path("nowhere")}, r"nowhere: no such folder: .*--img-folder"),
        ({"metrics": ("anls",), "headline": "damqa"}, "headline: .*must be one of metrics: anls"),
        ({"row_format": "odd", "metrics": ("anls",)}, "unknown row_format 'odd'"),
    ],
)
def test_what_is_wrong_is_named_by_its_option(
    folder: Folder, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        add_dataset(new(folder, **changes))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no rows"),
        (b"\n\nnot json\n", "line 3: not valid JSON"),
        (b'{"image":"0.png","question":"q","answer":["42"],}\n', "line 1: not valid JSON"),
        (b'{"a": 1, "a": 2}\n', "line 1: the key 'a' is given twice"),
        (b'"text"\n', "line 1: expected a JSON object, found str"),
        (b"\xff\xfe\n", "line 1: not valid UTF-8 at byte 0"),
        (b'{"data": 3}\n{"data": 4}\n', "no key 'question'; it has data"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_by_line(
    folder: Folder, text: bytes, message: str
) -> None:
    folder.qa_file.write_bytes(text)
    with pytest.raises(UserError, match=message):
        add_dataset(new(folder))
