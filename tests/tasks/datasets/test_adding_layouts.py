"""Files in the layouts of others: LLaVA, VQA, VLMEvalKit, chat messages."""

from __future__ import annotations

import base64
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets.adding import add_dataset
from pixtrack.tasks.datasets.new_dataset import NewDataset
from tests.tasks.datasets.adding_files import (
    added,
    write_json,
    write_lines,
)
from tests.tasks.datasets.conftest import Folder

pytestmark = pytest.mark.usefixtures("configs")


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
    samples, _ = added(folder, write_lines(tmp_path / "q.jsonl", rows), home)
    assert [s.question for s in samples] == ["What?", "Only asked?"]
    assert [s.answers for s in samples] == [("that",), ()]
    assert all(len(s.images) == 1 for s in samples)
