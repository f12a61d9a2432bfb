"""Whatever people have their questions in: read, understood aloud, or refused by file, row and key."""

from __future__ import annotations

import csv
import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pypdfium2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import PACKAGE_ROOT, Home
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.adding import add_dataset
from pixtrack.tasks.datasets.new_dataset import NewDataset
from pixtrack.tasks.records import Sample
from tests.tasks.datasets.conftest import Folder


@pytest.fixture(autouse=True)
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the configurations, to be written to."""
    copy = tmp_path / "configs"
    for kind in ("datasets", "prompts", "groups"):
        shutil.copytree(PACKAGE_ROOT / "configs" / kind, copy / kind)
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(copy))
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path / "home"))
    return copy


def added(folder: Folder, file: Path, home: Home, **options: Any) -> tuple[list[Sample], str]:
    """The samples of a file that was added, and what was said of it."""
    values = {"name": "mine", "qa_file": file, "img_folder": folder.images, "replace": True}
    said: list[str] = []
    result = add_dataset(NewDataset(**{**values, **options}), on_understood=said.extend)
    return list(prepare(result.config, home).samples), "\n".join(said)


ROWS: list[dict[str, Any]] = [
    {"id": "a", "question": "One?", "answer": ["1", "one"], "image": "0.png"},
    {"id": "b", "question": "Two?", "answer": ["2"], "image": "1.png"},
]


def write_json(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def write_table(path: Path, delimiter: str) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["id", "question", "answer", "image"])
        writer.writerows([r["id"], r["question"], str(r["answer"]), r["image"]] for r in ROWS)
    return path


def write_parquet(path: Path, folder: Folder, how: str) -> Path:
    def image(row: dict[str, Any]) -> Any:
        data = (folder.images / row["image"]).read_bytes()
        return {"bytes": data, "path": {"bytes": data, "path": "x.png"}, "name": row["image"],
                "list": [{"bytes": data, "path": None}]}[how]  # fmt: skip

    pq.write_table(pa.Table.from_pylist([{**row, "image": image(row)} for row in ROWS]), path)
    return path


FILES: dict[str, Callable[[Path, Folder], Path]] = {
    "JSON Lines": lambda at, _: _lines(at / "q.jsonl", ROWS),
    "a JSON list": lambda at, _: write_json(at / "q.json", ROWS),
    "DocVQA's data": lambda at, _: write_json(at / "q.json", {"dataset": "x", "data": ROWS}),
    "objects by id": lambda at, _: write_json(at / "q.json", {r["id"]: r for r in ROWS}),
    "CSV": lambda at, _: write_table(at / "q.csv", ","),
    "TSV": lambda at, _: write_table(at / "q.tsv", "\t"),
    "parquet with bytes": lambda at, f: write_parquet(at / "q.parquet", f, "bytes"),
    "parquet with an Image": lambda at, f: write_parquet(at / "q.parquet", f, "path"),
    "parquet with names": lambda at, f: write_parquet(at / "q.parquet", f, "name"),
    "parquet with lists": lambda at, f: write_parquet(at / "q.parquet", f, "list"),
}


def _lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_gives_the_same_samples(
    folder: Folder, home: Home, tmp_path: Path, kind: str
) -> None:
    samples, said = added(folder, FILES[kind](tmp_path, folder), home)
    assert [(s.question_id, s.question, s.answers, s.error) for s in samples] == [
        ("a", "One?", ("1", "one"), ""),
        ("b", "Two?", ("2",), ""),
    ]
    assert [len(s.images) for s in samples] == [1, 1]
    assert "2 rows" in said and "question from 'question'" in said


def test_a_folder_of_parquet_files_is_read_in_order(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "shards").mkdir()
    write_parquet(tmp_path / "shards" / "0.parquet", folder, "bytes")
    write_parquet(tmp_path / "shards" / "1.parquet", folder, "bytes")
    samples, _ = added(folder, tmp_path / "shards", home)
    assert [s.question for s in samples] == ["One?", "Two?"] * 2


def test_several_images_options_and_no_golds(folder: Folder, home: Home, tmp_path: Path) -> None:
    rows = [
        {"question": "<image 2> or <image 1>?", "image": ["0.png", "1.png"], "options": ["x", "y"],
         "answer": "A"},
        {"question": "And?", "image": "2.png", "A": "red", "B": "blue", "answer": "B"},
        {"question": "Nobody knows?", "image": "3.png"},
        {"question": "No picture?", "image": [], "answer": "yes"},
    ]  # fmt: skip
    samples, said = added(folder, _lines(tmp_path / "q.jsonl", rows), home)
    assert [len(s.images) for s in samples] == [2, 1, 1, 0]
    assert [s.options for s in samples] == [("x", "y"), ("red", "blue"), (), ()]
    assert [s.answers for s in samples] == [("A",), ("B",), (), ("yes",)]
    assert "without a gold: asked, and not scored (1 rows)" in said


def test_golds_of_other_shapes_are_read_as_what_they_are(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    rows = [
        {"question": "a?", "image": "0.png", "answer": "['42', 'forty-two']"},
        {"question": "b?", "image": "0.png", "answer": {"text": ["7"], "answer_start": [0]}},
        {"question": "c?", "image": {"path": "1.png", "bytes": None}, "answer": 3},
    ]
    samples, said = added(folder, _lines(tmp_path / "q.jsonl", rows), home)
    assert [s.answers for s in samples] == [("42", "forty-two"), ("7",), ("3",)]
    assert "the text of a list" in said


def test_llavas_conversations_are_asked_to_their_last_question(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    rows = [
        {"id": "x", "image": "0.png", "conversations": [
            {"from": "human", "value": "<image>\nFirst?"}, {"from": "gpt", "value": "one"},
            {"from": "human", "value": "Second?"}, {"from": "gpt", "value": "two"}]},
        {"id": "y", "image": ["0.png", "1.png"], "conversations": [
            {"from": "human", "value": "Compare <image> and <image>."},
            {"from": "gpt", "value": "alike"}]},
    ]  # fmt: skip
    samples, said = added(folder, write_json(tmp_path / "q.json", rows), home)
    assert samples[0].question == "Second?" and samples[0].answers == ("two",)
    assert [(t.question, t.answer) for t in samples[0].history] == [("First?", "one")]
    assert samples[1].question == "Compare <image 1> and <image 2>."
    assert "conversation" in said


def test_vqas_questions_and_annotations_are_joined_by_id(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    questions = {"questions": [{"question_id": n, "question": f"{n}?", "image": f"{n}.png"}
                               for n in range(3)]}  # fmt: skip
    annotations = {"annotations": [
        {"question_id": n, "answers": [{"answer": f"a{n}", "answer_id": k} for k in range(10)]}
        for n in (2, 0, 1)]}  # fmt: skip
    answers = write_json(tmp_path / "a.json", annotations)
    samples, _ = added(
        folder, write_json(tmp_path / "q.json", questions), home, answers_file=answers
    )
    assert [s.answers for s in samples] == [(f"a{n}",) * 10 for n in range(3)]


def test_documents_are_read_page_by_page(folder: Folder, home: Home, tmp_path: Path) -> None:
    document = pypdfium2.PdfDocument.new()
    for _ in range(3):
        document.new_page(100, 50)
    document.save(folder.images / "report.pdf")
    rows = [
        {"doc_id": "report.pdf", "question": "How many pages?", "answer": "3",
         "answer_format": "Int"},
        {"doc_id": "report.pdf", "question": "Which year?", "answer": "Not answerable"},
    ]  # fmt: skip
    samples, said = added(folder, write_json(tmp_path / "q.json", rows), home)
    assert [len(s.images) for s in samples] == [3, 3]
    assert samples[0].images == samples[1].images and samples[0].answer_type == "Int"
    assert samples[0].cluster_key == samples[1].cluster_key == "report.pdf"
    assert "image from 'doc_id'" in said


def test_every_key_that_is_not_used_is_named(folder: Folder, home: Home, tmp_path: Path) -> None:
    rows = [{**ROWS[0], "bbox": [1], "notes": "x"}, {**ROWS[1], "split": "val"}]
    _, said = added(folder, _lines(tmp_path / "q.jsonl", rows), home)
    assert "not used: 'bbox', 'notes', 'split'; use one with --column FIELD=KEY" in said


@pytest.mark.parametrize(("written", "asked"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_is_found_however_its_letters_are_composed(
    folder: Folder, home: Home, tmp_path: Path, written: Any, asked: Any
) -> None:
    shutil.copy(folder.images / "0.png", folder.images / unicodedata.normalize(written, "é.png"))
    rows = [{"question": "q?", "answer": "a", "image": unicodedata.normalize(asked, "é.png")}]
    samples, _ = added(folder, _lines(tmp_path / "q.jsonl", rows), home)
    assert samples[0].error == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sample-7", "that is sample with 7 images"),
        ("text_rich", "a group of datasets is called so"),
        ("vqav2_val", "vqav2_restval is called so too"),
    ],
)
def test_a_name_that_means_something_else_is_refused(
    folder: Folder, tmp_path: Path, name: str, said: str
) -> None:
    file = _lines(tmp_path / "q.jsonl", ROWS)
    with pytest.raises(UserError, match=said):
        add_dataset(NewDataset(name, file, folder.images))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answer": [""]}, "line 2: a gold answer is empty"),
        ({"answer": ["  "]}, "line 2: a gold answer is empty"),
        ({"answer": [None]}, "line 2: a gold answer is empty"),
        ({"answer": {"start": 3}}, "line 2: the gold is an object with start"),
        ({"image": 42}, "no file name"),
        ({"image": None}, "line 2: image: no file name"),
        ({"question": None}, "line 2: no question"),
        ({"question": ["a", "b"], "answer": ["c", "d", "e"]}, "2 questions but 3 gold answers"),
        ({"question": {"text": "q"}}, "expected text"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named_and_nothing_is_written(
    folder: Folder, tmp_path: Path, configs: Path, row: dict[str, Any], said: str
) -> None:
    file = _lines(tmp_path / "q.jsonl", [ROWS[0], {**ROWS[1], **row}])
    with pytest.raises(UserError, match=r"rows? cannot be asked") as refused:
        add_dataset(NewDataset("mine", file, folder.images))
    assert said in str(refused.value)
    assert not list(configs.glob("datasets/mine.*"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["text", "path", "bytes", "from", "value", "x"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KEYS = st.sampled_from(
    ["question", "answer", "image", "options", "id", "conversations", "A", "B", "z"]
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.dictionaries(KEYS, JSON, max_size=6) | JSON, max_size=4), lines=st.booleans()
)
def test_no_shape_of_rows_is_a_traceback(
    folder: Folder, tmp_path: Path, rows: list[Any], lines: bool
) -> None:
    file = tmp_path / ("q.jsonl" if lines else "q.json")
    if lines:
        _lines(file, rows)
    else:
        write_json(file, rows)
    try:
        add_dataset(NewDataset("mine", file, folder.images, replace=True, allow_bad_rows=True))
    except UserError as error:
        assert "\n" not in str(error)


CASES = (
    Path(os.environ.get("PIXTRACK_TEST_SHARED") or PACKAGE_ROOT.parent / "shared")
    / "cases"
    / "rows"
)


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no case rows at {CASES}")
def test_the_cases_from_the_field(folder: Folder, home: Home) -> None:
    shutil.copy(folder.images / "0.png", folder.images / "page.bmp")
    shutil.copy(folder.images / "1.png", folder.images / "bilevel.png")
    for path in sorted(CASES.glob("*.jsonl")):
        try:
            samples, _ = added(folder, path, home, allow_bad_rows=True)
        except UserError as error:
            assert path.name in str(error) and "\n" not in str(error)
        else:
            assert samples and all("\n" not in sample.error for sample in samples)
