"""Whatever people have their questions in: read, understood aloud, or refused by file, row and key."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets.adding import add_dataset
from pixtrack.tasks.datasets.new_dataset import NewDataset
from tests.shared import SHARED, needs_shared
from tests.tasks.datasets.adding_files import (
    FILES,
    ROWS,
    added,
    write_lines,
    write_parquet,
)
from tests.tasks.datasets.conftest import Folder

pytestmark = pytest.mark.usefixtures("configs")


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
    samples, said = added(folder, write_lines(tmp_path / "q.jsonl", rows), home)
    assert [len(s.images) for s in samples] == [2, 1, 1, 0]
    assert [s.options for s in samples] == [("x", "y"), ("red", "blue"), (), ()]
    assert [s.answers for s in samples] == [("A",), ("B",), (), ("yes",)]
    assert "without a gold: asked, and not scored (1 row)" in said


def test_every_key_that_is_not_used_is_named(folder: Folder, home: Home, tmp_path: Path) -> None:
    rows = [{**ROWS[0], "bbox": [1], "notes": "x"}, {**ROWS[1], "split": "val"}]
    _, said = added(folder, write_lines(tmp_path / "q.jsonl", rows), home)
    assert "not used: 'bbox', 'notes', 'split'; use one with --column FIELD=KEY" in said


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
    file = write_lines(tmp_path / "q.jsonl", ROWS)
    with pytest.raises(UserError, match=said):
        add_dataset(NewDataset(name, file, folder.images))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answer": [""]}, "line 2: a gold answer is empty"),
        ({"answer": ["  "]}, "line 2: a gold answer is empty"),
        ({"answer": [None]}, "line 2: a gold answer is empty"),
        ({"answer": {"start": 3}}, "line 2: the gold is an object with start"),
        ({"image": 42}, "line 2: image '42': no such file"),
        ({"image": True}, "line 2: image True: neither a file name nor an image"),
        ({"image": [["0.png"]]}, "line 2: image ['0.png']: neither a file name nor an image"),
        (
            {"image": "https://example.org/0.png"},
            "line 2: image 'https://example.org/0.png': a web",
        ),
        ({"image": None}, "line 2: no image"),
        ({"image": "..\\0.png"}, "line 2: image"),
        ({"answer": "\ud800"}, "line 2: 'answer' is not valid Unicode"),
        ({"answer": True}, "line 2: the gold answer is 'True'"),
        ({"question": None}, "line 2: no question"),
        ({"question": ["a", "b"], "answer": ["c", "d", "e"]}, "2 questions but 3 gold answers"),
        ({"question": {"text": "q"}}, "expected text"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named_and_nothing_is_written(
    folder: Folder, tmp_path: Path, configs: Path, row: dict[str, Any], said: str
) -> None:
    file = write_lines(tmp_path / "q.jsonl", [ROWS[0], {**ROWS[1], **row}])
    with pytest.raises(UserError, match=r"rows? cannot be asked") as refused:
        add_dataset(NewDataset("mine", file, folder.images))
    assert said in str(refused.value)
    assert not list(configs.glob("datasets/mine.*"))


def test_nothing_is_left_of_a_file_that_is_refused(
    folder: Folder, tmp_path: Path, configs: Path
) -> None:
    data = base64.b64encode((folder.images / "1.png").read_bytes()).decode()
    file = write_lines(
        tmp_path / "q.jsonl", [{**ROWS[0], "image": data}, {"question": "no image?"}]
    )
    with pytest.raises(UserError, match="line 2: no image"):
        add_dataset(NewDataset("mine", file, folder.images))
    assert not list((tmp_path / "home" / "added").iterdir())
    assert not list(configs.glob("datasets/mine.*"))


def test_a_column_that_the_file_lacks_is_refused_for_every_field(
    folder: Folder, tmp_path: Path
) -> None:
    file = write_lines(tmp_path / "q.jsonl", ROWS)
    for name in ("answers", "question_type", "image"):
        with pytest.raises(UserError, match="no key 'nosuch'"):
            add_dataset(NewDataset("mine", file, folder.images, columns={name: "nosuch"}))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("q.xlsx", b"PK\x03\x04" + b"x" * 50, "not a file of questions but a ZIP archive"),
        ("q.jsonl.gz", b"\x1f\x8b" + b"x" * 50, "not a file of questions but a compressed file"),
        ("q.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        ("q.json", b"\x89PNG\r\n\x1a\n", "not a file of questions but an image"),
        ("q.csv", b'question,answer,image\n"q,a,0.png\n', "not a table of cells"),
        ("q.csv", "question,answer,image\né,a,0.png\n".encode("latin-1"), "save it as UTF-8"),
        ("q.csv", b"question,answer,answer,image\nq,a,b,0.png\n", "'answer' is given twice"),
        ("q.parquet", b"PAR1" + b"x" * 50 + b"PAR1", "not readable parquet"),
        ("q.json", b"[" * 100_000, "nested too deeply"),
        ("q.jsonl", b'{"question": ' + b"9" * 5000 + b"}", "line 1: a number of more than 4,300"),
        ("q.jsonl", b'{"question": "q",}', "line 1: not valid JSON"),
        ("q.jsonl", b'{"question": "a", "question": "b"}', "line 1: the key 'question' is given"),
        ("q.jsonl", b"", "no rows"),
        ("q.json", b"{}", "holds no list of questions"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_in_one_line(
    folder: Folder, tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=said) as refused:
        add_dataset(NewDataset("mine", tmp_path / name, folder.images))
    assert "\n" not in str(refused.value) and name in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_tables_are_read_as_spreadsheets_write_them(
    folder: Folder, home: Home, tmp_path: Path, encoding: str, delimiter: str
) -> None:
    lines = [["question", "answer", "image"], ["é?", "a", "0.png"]]
    text = "\r\n".join(delimiter.join(cells) for cells in lines)
    (tmp_path / "q.csv").write_bytes(text.encode(encoding))
    samples, _ = added(folder, tmp_path / "q.csv", home)
    assert [(s.question, s.answers) for s in samples] == [("é?", ("a",))]


def test_a_text_of_a_parquet_file_that_is_not_utf_8_spoils_its_row_alone(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    questions = pa.array([b"\xff", b"fine?"]).view(pa.string())
    columns = {"question": questions, "answer": ["a", "b"], "image": ["0.png", "1.png"]}
    pq.write_table(pa.table(columns), tmp_path / "q.parquet")
    samples, _ = added(folder, tmp_path / "q.parquet", home, allow_bad_rows=True)
    assert "not valid UTF-8" in samples[0].error and samples[1].error == ""


@needs_shared("cases/rows")
def test_the_cases_from_the_field(folder: Folder, home: Home) -> None:
    shutil.copy(folder.images / "0.png", folder.images / "page.bmp")
    shutil.copy(folder.images / "1.png", folder.images / "bilevel.png")
    for path in sorted((SHARED / "cases" / "rows").glob("*.jsonl")):
        try:
            samples, _ = added(folder, path, home, allow_bad_rows=True)
        except UserError as error:
            assert path.name in str(error) and "\n" not in str(error)
        else:
            assert samples and all("\n" not in sample.error for sample in samples)
