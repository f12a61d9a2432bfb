"""Whatever people have their questions in: read, understood aloud, or refused by file, row and key."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pypdfium2
import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import PACKAGE_ROOT, Home
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.adding import add_dataset
from pixtrack.tasks.datasets.new_dataset import NewDataset
from pixtrack.tasks.records import Sample
from tests.shared import SHARED, needs_shared
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
    assert "without a gold: asked, and not scored (1 row)" in said


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
    ((sample,), said) = added(folder, _lines(tmp_path / "q.jsonl", [row]), home)
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
        added(folder, _lines(tmp_path / "q.jsonl", rows), home)


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
        {"id": "z", "conversations": [
            {"from": "human", "value": "On no image?"}, {"from": "gpt", "value": "yes"}]},
    ]  # fmt: skip
    samples, said = added(folder, write_json(tmp_path / "q.json", rows), home)
    assert (samples[2].question, samples[2].images, samples[2].error) == ("On no image?", (), "")
    assert "a conversation on no image (1 row)" in said
    assert samples[0].question == "Second?" and samples[0].answers == ("two",)
    assert [(t.question, t.answer) for t in samples[0].history] == [("First?", "one")]
    assert samples[1].question == "Compare <image 1> and <image 2>."
    assert "conversation" in said


def test_a_conversation_that_marks_an_image_and_gives_none_is_a_bad_row(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    asked = {"conversations": [{"from": "human", "value": "<image>\nWhat?"}]}
    file = write_json(tmp_path / "q.json", [{**asked, "image": "0.png"}, asked])
    samples, _ = added(folder, file, home, allow_bad_rows=True)
    assert [bool(s.error) for s in samples] == [False, True]


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
    file = _lines(tmp_path / "q.jsonl", [ROWS[0], {**ROWS[1], **row}])
    with pytest.raises(UserError, match=r"rows? cannot be asked") as refused:
        add_dataset(NewDataset("mine", file, folder.images))
    assert said in str(refused.value)
    assert not list(configs.glob("datasets/mine.*"))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", [*FILES, "names and bytes"])
def test_a_users_own_files_are_never_moved_or_changed(
    folder: Folder, home: Home, tmp_path: Path, kind: str
) -> None:
    """The image folder is called `images`, as the folder of converted ones is."""
    own = tmp_path / "own"
    own.mkdir()
    if kind == "names and bytes":
        data = base64.b64encode((folder.images / "1.png").read_bytes()).decode()
        file = _lines(own / "q.jsonl", [ROWS[0], {**ROWS[1], "image": data}])
    else:
        file = FILES[kind](own, folder)
    before = (snapshot(folder.images), snapshot(own))
    samples, _ = added(folder, file, home)
    assert (snapshot(folder.images), snapshot(own)) == before
    assert [len(s.images) for s in samples] == [1, 1] and not any(s.error for s in samples)
    assert len({s.image for s in samples}) == 2


def test_nothing_is_left_of_a_file_that_is_refused(
    folder: Folder, tmp_path: Path, configs: Path
) -> None:
    data = base64.b64encode((folder.images / "1.png").read_bytes()).decode()
    file = _lines(tmp_path / "q.jsonl", [{**ROWS[0], "image": data}, {"question": "no image?"}])
    with pytest.raises(UserError, match="line 2: no image"):
        add_dataset(NewDataset("mine", file, folder.images))
    assert not list((tmp_path / "home" / "added").iterdir())
    assert not list(configs.glob("datasets/mine.*"))


@pytest.mark.parametrize(
    ("named", "there", "said"),
    [
        ("documents/x.png", "x.png", "folders that the image folder lacks"),
        ("a\\x.png", "a/x.png", "folders that the image folder lacks"),
        ("x", "x.jpg", "without their ending"),
        (262148, "COCO_val2014_000000262148.jpg", "by number"),
        ("262148", "val/000000262148.png", "by number"),
    ],
)
def test_images_are_found_by_the_names_that_people_give_them(
    folder: Folder, home: Home, tmp_path: Path, named: Any, there: str, said: str
) -> None:
    place = folder.images / there
    place.parent.mkdir(exist_ok=True)
    shutil.copy(folder.images / "0.png", place)
    file = _lines(tmp_path / "q.jsonl", [{"question": "q?", "answer": "a", "image": named}])
    samples, told = added(folder, file, home)
    assert len(samples[0].images) == 1 and said in told


def test_an_absolute_path_into_the_folder_is_taken_and_another_is_not(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.png"
    shutil.copy(folder.images / "0.png", outside)
    rows = [{**ROWS[0], "image": str(folder.images / "0.png")}, {**ROWS[1], "image": str(outside)}]
    samples, _ = added(folder, _lines(tmp_path / "q.jsonl", rows), home, allow_bad_rows=True)
    assert len(samples[0].images) == 1
    assert "not a path inside the image folder" in samples[1].error


@pytest.mark.parametrize(
    ("first", "second", "there"),
    [("a/x.png", "b/x.png", ["x.png"]), ("x", "x", ["p/x.png", "q/x.jpg"])],
)
def test_a_name_that_may_mean_another_image_is_not_guessed(
    folder: Folder, tmp_path: Path, first: str, second: str, there: list[str]
) -> None:
    for name in there:
        (folder.images / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder.images / "0.png", folder.images / name)
    rows = [{**ROWS[0], "image": first}, {**ROWS[1], "image": second}]
    with pytest.raises(UserError, match=r"line 2: image '.*': (may be|would be)"):
        add_dataset(NewDataset("mine", _lines(tmp_path / "q.jsonl", rows), folder.images))


def test_vlmevalkits_tables_hold_images_as_base64_and_refer_to_earlier_rows(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    data = base64.b64encode((folder.images / "2.png").read_bytes()).decode()
    file = tmp_path / "t.tsv"
    file.write_text(
        f"index\tquestion\timage\tA\tB\tanswer\n0\tWhich?\t{data}\tred\tblue\tB\n"
        "1\tAnd?\t0\tup\tdown\tA\n"
    )
    samples, said = added(folder, file, home)
    assert samples[0].image == samples[1].image
    assert samples[0].image == hashlib.sha256((folder.images / "2.png").read_bytes()).hexdigest()
    assert [s.options for s in samples] == [("red", "blue"), ("up", "down")]
    assert "options from 'A', 'B'" in said and "images given as base64 (1 row)" in said


def test_vqas_own_files_name_images_by_number(folder: Folder, home: Home, tmp_path: Path) -> None:
    shutil.copy(folder.images / "0.png", folder.images / "COCO_val2014_000000000042.jpg")
    questions = {"questions": [{"image_id": 42, "question": "q?", "question_id": 420}]}
    annotations = {"annotations": [{
        "question_id": 420, "image_id": 42, "multiple_choice_answer": "net",
        "answers": [{"answer": "net", "answer_confidence": "yes", "answer_id": 1}] * 10,
        "question_type": "what is", "answer_type": "other"}]}  # fmt: skip
    answers = write_json(tmp_path / "a.json", annotations)
    file = write_json(tmp_path / "q.json", questions)
    samples, said = added(folder, file, home, answers_file=answers)
    assert samples[0].answers == ("net",) * 10 and samples[0].question_type == "what is"
    assert "not used: 'multiple_choice_answer'" in said


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ([{"question_id": "a", "answer": "1"}, {"question_id": "a", "answer": "2"}], "once more"),
        ([{"question_id": "z", "answer": "1"}], "none of its rows has a 'question_id'"),
        ([{"question_id": None, "answer": "1"}], "item 1: no 'question_id'"),
        ([{"answer": "1"}], "no key 'question_id' to join it by"),
        ([7], "item 1: expected an object"),
    ],
)
def test_answers_that_cannot_be_joined_are_refused_by_their_own_file(
    folder: Folder, tmp_path: Path, annotations: list[Any], said: str
) -> None:
    questions = write_json(
        tmp_path / "q.json", [{"question_id": "a", "question": "q?", "image": "0.png"}]
    )
    answers = write_json(tmp_path / "a.json", annotations)
    with pytest.raises(UserError, match=said) as refused:
        add_dataset(NewDataset("mine", questions, folder.images, answers_file=answers))
    assert "a.json" in str(refused.value)


def test_answers_that_find_no_question_and_questions_without_one_are_said(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    rows = [{"question_id": n, "question": "q?", "image": "0.png"} for n in range(3)]
    answers = write_json(
        tmp_path / "a.json", [{"question_id": n, "answer": "x"} for n in (0, 8, 9)]
    )
    _, said = added(folder, write_json(tmp_path / "q.json", rows), home, answers_file=answers)
    assert "of which a.json has no answer (2 rows)" in said
    assert "of a.json that answer no question here (2 rows)" in said


@pytest.mark.parametrize(
    ("golds", "letters", "first"), [([0, 1], "AB", 0), ([1, 2], "AB", 1), (["1", "0"], "BA", 0)]
)
def test_golds_that_are_positions_become_letters_and_that_is_said(
    folder: Folder, home: Home, tmp_path: Path, golds: list[Any], letters: str, first: int
) -> None:
    rows = [{**ROWS[0], "options": ["x", "y"], "answer": gold} for gold in golds]
    samples, said = added(folder, _lines(tmp_path / "q.jsonl", rows), home)
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
    samples, _ = added(folder, _lines(tmp_path / "q.jsonl", rows), home)
    assert samples[0].options == found and samples[0].answers == ("B",)


@pytest.mark.parametrize(
    "options", ["red", "red; blue", "['x', 'y'", "('x', 'y')", "['x', null]", 5, True, {"A": None}]
)
def test_what_is_no_list_of_options_is_a_bad_row(
    folder: Folder, home: Home, tmp_path: Path, options: Any
) -> None:
    rows = [ROWS[0], {**ROWS[0], "options": options, "answer": "B"}, {**ROWS[0], "options": " "}]
    file = _lines(tmp_path / "q.jsonl", rows)
    samples, _ = added(folder, file, home, allow_bad_rows=True)
    assert [bool(s.error) for s in samples] == [False, True, False]
    assert "line 2: the option" in samples[1].error
    assert samples[2].options == ()


def test_a_gold_that_is_no_option_is_said(folder: Folder, home: Home, tmp_path: Path) -> None:
    rows = [{**ROWS[0], "choice_a": "x", "choice_b": "y", "answer": "z"}]
    samples, said = added(folder, _lines(tmp_path / "q.jsonl", rows), home)
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
    file = _lines(tmp_path / "q.jsonl", [ROWS[0], {**ROWS[1], "answer": gold}])
    samples, _ = added(folder, file, home)
    assert samples[1].answers == golds


def test_messages_of_chat_interfaces_are_conversations(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    rows = [
        {"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "image", "image": "1.png"},
                                         {"type": "text", "text": "What?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "that"}]}]},
        {"images": ["0.png"], "messages": [{"role": "user", "content": "<image>Only asked?"}]},
    ]  # fmt: skip
    samples, _ = added(folder, _lines(tmp_path / "q.jsonl", rows), home)
    assert [s.question for s in samples] == ["What?", "Only asked?"]
    assert [s.answers for s in samples] == [("that",), ()]
    assert all(len(s.images) == 1 for s in samples)


def test_a_column_that_the_file_lacks_is_refused_for_every_field(
    folder: Folder, tmp_path: Path
) -> None:
    file = _lines(tmp_path / "q.jsonl", ROWS)
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
