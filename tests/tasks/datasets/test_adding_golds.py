"""Golds and options of every shape: read as they were meant, or named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from tests.tasks.datasets.adding_files import (
    ROWS,
    added,
    write_json,
    write_lines,
)
from tests.tasks.datasets.conftest import Folder

pytestmark = pytest.mark.usefixtures("configs")


def test_golds_of_other_shapes_are_read_as_what_they_are(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    rows = [
        {"question": "a?", "image": "0.png", "answer": "['42', 'forty-two']"},
        {"question": "b?", "image": "0.png", "answer": {"text": ["7"], "answer_start": [0]}},
        {"question": "c?", "image": {"path": "1.png", "bytes": None}, "answer": 3},
    ]
    samples, said = added(folder, write_lines(tmp_path / "q.jsonl", rows), home)
    assert [s.answers for s in samples] == [("42", "forty-two"), ("7",), ("3",)]
    assert "the text of a list" in said


@pytest.mark.parametrize(
    ("answer", "golds", "said_of_it"),
    [
        ('["42", "forty-two"]', ("42", "forty-two"), "the text of a list, read as the list"),
        (" ['42', 'forty-two'] ", ("42", "forty-two"), "the text of a list, read as the list"),
        ("['42' 'forty-two']", ("42", "forty-two"), "the text of a list, read as the list"),
        ("('42', 'forty-two')", ("42", "forty-two"), "the text of a list, read as the list"),
        ("[42, 43]", ("42", "43"), "the text of a list, read as the list"),
        ('["caf\\u00e9"]', ("café",), "the text of a list, read as the list"),
        ("{'text': ['x'], 'answer_start': [0]}", ("x",), "the text of an object"),
        ('{"answer": "x"}', ("x",), "the text of an object"),
        ([{"text": "x"}, {"text": "y"}], ("x", "y"), ""),
        ([{"answer": "x"}, {"answer": "y"}], ("x", "y"), ""),
        (["['42', 'forty-two']"], ("['42', 'forty-two']",), "scored as that text"),
        ("(1, 2)", ("(1, 2)",), ""),  # a point
        ("{1, 2}", ("{1, 2}",), ""),
        ("[sic] 7", ("[sic] 7",), ""),
        ("(a) red", ("(a) red",), ""),
        ("[" * 6000, ("[" * 6000,), ""),
    ],
)
def test_golds_that_are_written_out_are_never_scored_as_text_without_a_word(
    folder: Folder, home: Home, tmp_path: Path, answer: Any, golds: tuple[str, ...], said_of_it: str
) -> None:
    row = {"question": "a?", "image": "0.png", "answer": answer}
    ((sample,), said) = added(folder, write_lines(tmp_path / "q.jsonl", [row]), home)
    assert sample.answers == golds
    assert said_of_it in said if said_of_it else "the text of" not in said


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ([{"txt": "x"}], "an object with txt"),
        ({"start": 0}, "an object with start"),
        ("{'start': 0}", "an object with start"),
        ('["42", null]', "a gold answer is empty"),
        ("['', '42']", "a gold answer is empty"),
        ("[['42'], ['43']]", "expected text or a number"),
        ([["42"]], "expected text or a number"),
    ],
)
def test_golds_without_a_text_are_named(
    folder: Folder, home: Home, tmp_path: Path, answer: Any, problem: str
) -> None:
    rows = [{"question": "a?", "image": "0.png", "answer": answer}]
    with pytest.raises(UserError, match=f"line 1: .*{problem}"):
        added(folder, write_lines(tmp_path / "q.jsonl", rows), home)


@pytest.mark.parametrize(
    ("answer", "answer_format", "gold"),
    [
        ("['a', 'b']", "List", "['a', 'b']"),
        (["a", "b"], "List", "['a', 'b']"),
        (["a"], "List", "['a']"),
        (["14"], "Int", "14"),
        (14, "Int", "14"),
    ],
)
def test_a_list_is_one_gold_of_mmlongbench(
    folder: Folder, home: Home, tmp_path: Path, answer: Any, answer_format: str, gold: str
) -> None:
    rows = [{"doc_id": "0.png", "question": "?", "answer": answer, "answer_format": answer_format}]
    file = write_json(tmp_path / "q.json", rows)
    samples, _ = added(
        folder, file, home, row_format="mmlongbench_doc", metrics=("mmlongbench_doc",)
    )
    assert (samples[0].answers, samples[0].error) == ((gold,), "")


@pytest.mark.parametrize(
    ("golds", "letters", "first"), [([0, 1], "AB", 0), ([1, 2], "AB", 1), (["1", "0"], "BA", 0)]
)
def test_golds_that_are_positions_become_letters_and_that_is_said(
    folder: Folder, home: Home, tmp_path: Path, golds: list[Any], letters: str, first: int
) -> None:
    rows = [{**ROWS[0], "options": ["x", "y"], "answer": gold} for gold in golds]
    samples, said = added(folder, write_lines(tmp_path / "q.jsonl", rows), home)
    assert "".join(s.answers[0] for s in samples) == letters
    assert f"an option's position, counted from {first} (2 rows)" in said


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"A": "x", "B": "y"}, ("x", "y")),
        (["A. x", "B. y"], ("x", "y")),
        (["(A) x", "(B) y"], ("x", "y")),
        ("['x', 'y']", ("x", "y")),
        ("A) x\nB) y", ("x", "y")),
        (["B. x", "A. y"], ("B. x", "A. y")),
        ([1, 2], ("1", "2")),
        ('["x", "y"]', ("x", "y")),
        ("['x' 'y']", ("x", "y")),
        ("['x, or' 'y']", ("x, or", "y")),
    ],
)
def test_options_of_every_shape(
    folder: Folder, home: Home, tmp_path: Path, options: Any, found: tuple[str, ...]
) -> None:
    rows = [{**ROWS[0], "options": options, "answer": "B"}]
    samples, _ = added(folder, write_lines(tmp_path / "q.jsonl", rows), home)
    assert samples[0].options == found and samples[0].answers == ("B",)


@pytest.mark.parametrize(
    "options", ["red", "red; blue", "['x', 'y'", "('x', 'y')", "['x', null]", 5, True, {"A": None}]
)
def test_what_is_no_list_of_options_is_a_bad_row(
    folder: Folder, home: Home, tmp_path: Path, options: Any
) -> None:
    rows = [ROWS[0], {**ROWS[0], "options": options, "answer": "B"}, {**ROWS[0], "options": " "}]
    file = write_lines(tmp_path / "q.jsonl", rows)
    samples, _ = added(folder, file, home, allow_bad_rows=True)
    assert [bool(s.error) for s in samples] == [False, True, False]
    assert "line 2: the option" in samples[1].error
    assert samples[2].options == ()


def test_a_gold_that_is_no_option_is_said(folder: Folder, home: Home, tmp_path: Path) -> None:
    rows = [{**ROWS[0], "choice_a": "x", "choice_b": "y", "answer": "z"}]
    samples, said = added(folder, write_lines(tmp_path / "q.jsonl", rows), home)
    assert samples[0].options == ("x", "y")
    assert "whose gold is neither an option nor its letter: no answer is right (1 row)" in said


@pytest.mark.parametrize(
    ("gold", "golds"),
    [
        (42.0, ("42",)),
        (float("nan"), ()),
        ("['42' 'forty-two']", ("42", "forty-two")),
        ("['it''s']", ("it", "s")),
        ("['42', \"forty-two\"]", ("42", "forty-two")),
        ("[unclosed", ("[unclosed",)),
        ("[" * 5000, ("[" * 5000,)),
        ([1, 2.5, "x"], ("1", "2.5", "x")),
    ],
)
def test_golds_are_what_was_meant(
    folder: Folder, home: Home, tmp_path: Path, gold: Any, golds: tuple[str, ...]
) -> None:
    file = write_lines(tmp_path / "q.jsonl", [ROWS[0], {**ROWS[1], "answer": gold}])
    samples, _ = added(folder, file, home)
    assert samples[1].answers == golds
