"""No shape of a user's rows is a traceback: what cannot be asked is one line, whatever the file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset
from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.adding import add_dataset
from pixtrack.tasks.datasets.new_dataset import NewDataset
from tests.tasks.datasets.conftest import Folder

NAMES = ["0.png", "1", "images/2.png", "../0.png", "nosuch.png", "\\0.png", "https://x/0.png", ""]
TEXTS = st.sampled_from([*NAMES, "A", "['a', 'b']", "['a' 'b']", "[", "\ud800", "<image>", "\0"])
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | TEXTS
    | st.just(10**400)
)  # fmt: skip
INNER = st.sampled_from(
    ["text", "path", "bytes", "from", "role", "content", "value", "answer", "type"]
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(INNER, inner, max_size=3),
    max_leaves=6,
)
TURN = st.fixed_dictionaries(
    {"from": st.sampled_from(["human", "gpt", "system", "?"]), "value": SCALARS}
)
KEYS = st.sampled_from(
    [
        "question",
        "answer",
        "image",
        "options",
        "id",
        "conversations",
        "messages",
        "A",
        "B",
        "year",
        "z",
    ]
)
ROW = st.dictionaries(KEYS, JSON | st.lists(TURN, max_size=4), max_size=7)
GOOD = {"question": "q?", "answer": "a", "image": "0.png"}
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


pytestmark = pytest.mark.usefixtures("configs")


def add(folder: Folder, file: Path, home: Home) -> None:
    """Adds and prepares; only UserError may be raised, of one line."""
    new = NewDataset("mine", file, folder.images, replace=True, allow_bad_rows=True)
    try:
        add_dataset(new)
        prepare(load_dataset("mine"), home)
    except UserError as error:
        assert "\n" not in str(error)


@FUZZ
@given(rows=st.lists(ROW | JSON, max_size=4), lines=st.booleans(), good=st.booleans())
@example(rows=[{**GOOD, "answer": "\ud800"}], lines=False, good=True)
@example(rows=[{**GOOD, "image": "\ud800.png"}], lines=True, good=True)
@example(rows=[{**GOOD, "image": {"bytes": [1]}}], lines=False, good=True)
def test_no_json(
    folder: Folder, home: Home, tmp_path: Path, rows: Any, lines: bool, good: bool
) -> None:
    rows = [*rows, GOOD] if good else rows
    file = tmp_path / ("q.jsonl" if lines else "q.json")
    file.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows))
    add(folder, file, home)


@FUZZ
@given(
    data=st.binary(max_size=200), suffix=st.sampled_from(["jsonl", "json", "csv", "tsv", "parquet"])
)
def test_no_bytes(folder: Folder, home: Home, tmp_path: Path, data: bytes, suffix: str) -> None:
    file = tmp_path / f"q.{suffix}"
    file.write_bytes(data)
    add(folder, file, home)


@FUZZ
@given(
    cells=st.lists(st.lists(st.text(max_size=6) | TEXTS, max_size=5), max_size=4),
    delimiter=st.sampled_from(",;\t"),
)
def test_no_table(
    folder: Folder, home: Home, tmp_path: Path, cells: list[list[str]], delimiter: str
) -> None:
    file = tmp_path / "q.csv"
    with file.open("w", newline="", encoding="utf-8", errors="surrogatepass") as out:
        writer = csv.writer(out, delimiter=delimiter, escapechar="\\")
        writer.writerows([["question", "answer", "image", "A"], ["q?", "a", "0.png", "x"], *cells])
    add(folder, file, home)


COLUMN = st.sampled_from(
    [
        [None, None],
        [b"\xff\xd8", b"x"],
        ["q?", "\x1b[31m"],
        [1, 2**62],
        [float("nan"), 1.0],
        [True, None],
        [["a", None], []],
        [{"bytes": b"x", "path": None}, None],
        [[{"bytes": None, "path": "0.png"}], []],
        ["0.png", "1.png"],
    ]
)


@FUZZ
@given(columns=st.dictionaries(KEYS, COLUMN, min_size=1, max_size=6))
def test_no_parquet(folder: Folder, home: Home, tmp_path: Path, columns: dict[str, Any]) -> None:
    file = tmp_path / "q.parquet"
    pq.write_table(pa.table(columns), file)
    add(folder, file, home)
