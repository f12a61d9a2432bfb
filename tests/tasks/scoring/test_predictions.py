from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.records import Sample, SampleImage, Turn
from pixtrack.tasks.scoring.predictions import read_predictions

SAMPLES = [
    Sample(
        index=index,
        question_id=f"{index:03d}",
        question=f"How many  bars in {index}?",
        answers=("1",),
        images=(SampleImage("", "a.png", 0, 0),),
        history=(Turn("And before?", "2"),) if index == 3 else (),
    )
    for index in range(5)
]


def write(folder: Path, text: str, name: str = "predictions.jsonl") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def lines(folder: Path, *rows: object) -> Path:
    return write(folder, "".join(json.dumps(row) + "\n" for row in rows))


def rows(*indexes: int) -> list[object]:
    return [{"index": index, "prediction": str(index)} for index in indexes]


def problem(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_predictions(path, SAMPLES)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_json_lines_may_come_in_any_order(tmp_path: Path) -> None:
    found = read_predictions(lines(tmp_path, *rows(4, 0, 3, 1, 2)), SAMPLES)
    assert found == {0: "0", 1: "1", 2: "2", 3: "3", 4: "4"}


def test_blank_lines_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    text = "\ufeff" + "\r\n\r\n".join(json.dumps(row) for row in rows(0, 1, 2, 3, 4)) + "\r\n"
    assert len(read_predictions(write(tmp_path, text), SAMPLES)) == 5


def test_a_number_stays_as_it_is_written(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "".join(
            f'{{"index": {i}, "prediction": {number}}}\n'
            for i, number in enumerate(("0.50", "1e400", "NaN", "-Infinity", "9" * 5_000))
        ),
    )
    found = read_predictions(path, SAMPLES).values()
    assert list(found) == ["0.50", "1e400", "NaN", "-Infinity", "9" * 5_000]


def test_line_breaks_and_separators_inside_a_prediction_are_kept(tmp_path: Path) -> None:
    odd = "a\nb\u2028c\x85d"
    path = write(
        tmp_path,
        "".join(
            json.dumps({"index": i, "prediction": odd}, ensure_ascii=False) + "\n" for i in range(5)
        ),
    )
    assert set(read_predictions(path, SAMPLES).values()) == {odd}


def test_missing_extra_and_duplicate_indexes_are_all_listed(tmp_path: Path) -> None:
    message = problem(lines(tmp_path, *rows(0, 3, 3, 7, 8, 9, 12)))
    assert "missing: 1-2, 4 (3 in all)" in message
    assert "extra: 7-9, 12 (4 in all)" in message
    assert "more than once: 3 (1 in all)" in message
    assert "each of the 5 rows" in message


def test_a_very_long_list_of_indexes_is_cut_and_counted(tmp_path: Path) -> None:
    message = problem(lines(tmp_path, *rows(*range(5), *range(10, 1000, 2))))
    assert "(495 in all)" in message
    assert "and 435 more" in message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nonsense {", "neither JSON lines nor a CSV"),
        ('{"index": 1, "prediction": "a"', ":1: not a JSON object a line"),
        ('[{"index": 1}]', ":1: expected"),
        ('{"index": 1, "answer": "a"}', ":1: no key 'prediction'; the line has index, answer"),
        ('{"prediction": "a"}', ":1: no key 'index'"),
        ('{"index": -1, "prediction": "a"}', ":1: index: expected the 0-based row number"),
        ('{"index": 1.0, "prediction": "a"}', ":1: index: expected the 0-based row number"),
        ('{"index": true, "prediction": "a"}', ":1: index: expected the 0-based row number"),
        ('{"index": "x", "prediction": "a"}', ":1: index: expected the 0-based row number"),
        (f'{{"index": {"9" * 5_000}, "prediction": "a"}}', ":1: index: expected the 0-based row"),
        ('{"index": ["a"], "prediction": "a"}', ":1: index: expected the 0-based row number"),
        ('{"index": 1, "prediction": null}', ":1: prediction: expected a string, found null"),
        ('{"index": 1, "prediction": ["a"]}', ":1: prediction: expected a string"),
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_the_remedy(
    tmp_path: Path, line: str, expected: str
) -> None:
    assert expected in problem(write(tmp_path, line))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert "no such predictions file" in problem(tmp_path / "none.jsonl")
    path = tmp_path / "latin.jsonl"
    path.write_bytes('{"index": 0, "prediction": "é"}'.encode("latin-1"))
    assert "not valid UTF-8 at byte 28" in problem(path)


HEADER = "question_id,question,predict,gt,image_id\n"


def original(*questions: str, ids: tuple[str, ...] = ()) -> str:
    ids = ids or tuple(f"{i:03d}" for i in range(len(questions)))
    return HEADER + "".join(
        f'{i},"{question}","p{n}",1,x\n'
        for n, (i, question) in enumerate(zip(ids, questions, strict=True))
    )


QUESTIONS = tuple(sample.question for sample in SAMPLES)


def test_the_original_scripts_csv_is_read_in_annotation_order(tmp_path: Path) -> None:
    path = write(tmp_path, original(*QUESTIONS), "pixtral_docvqa_val.csv")
    assert read_predictions(path, SAMPLES) == {i: f"p{i}" for i in range(5)}


def test_a_conversation_may_be_written_as_the_list_of_its_turns(tmp_path: Path) -> None:
    for turns in ("And before?", "['And before?', 'How many  bars in 3?']"):
        text = original(*QUESTIONS[:3], turns, QUESTIONS[4])
        assert read_predictions(write(tmp_path, text), SAMPLES)[3] == "p3"


def test_question_ids_may_have_lost_their_zeros_on_the_way(tmp_path: Path) -> None:
    text = original(*QUESTIONS, ids=("0", "1", "2", "3", "4"))
    assert len(read_predictions(write(tmp_path, text), SAMPLES)) == 5


def test_a_csv_whose_rows_are_in_another_order_names_the_first_that_differs(
    tmp_path: Path,
) -> None:
    text = original(QUESTIONS[0], QUESTIONS[2], QUESTIONS[1], *QUESTIONS[3:])
    message = problem(write(tmp_path, text))
    assert "row 1 (0-based) asks 'How many bars in 2?'" in message
    assert "row 1 of the annotations asks 'How many bars in 1?'" in message


def test_a_csv_of_the_same_questions_on_other_images_is_told_by_its_ids(tmp_path: Path) -> None:
    text = original(*QUESTIONS, ids=("000", "001", "999", "003", "004"))
    assert "row 2 (0-based) has question_id '999'" in problem(write(tmp_path, text))


def test_a_csv_that_ends_early_or_late_lists_the_rows(tmp_path: Path) -> None:
    assert "3 rows for the 5 of the annotations; missing: 3-4 (2 in all)" in problem(
        write(tmp_path, original(*QUESTIONS[:3]))
    )
    assert "6 rows for the 5 of the annotations; extra: 5 (1 in all)" in problem(
        write(tmp_path, original(*QUESTIONS, "more?"))
    )


def test_a_csv_with_other_columns_says_which_are_needed(tmp_path: Path) -> None:
    message = problem(write(tmp_path, "question,answer\nx,y\n"))
    assert "index, prediction, or question, predict" in message
    assert "it has question, answer" in message


def test_our_own_scores_csv_can_be_scored_again(tmp_path: Path) -> None:
    text = "index,prediction,anls\n" + "".join(f'{i},"a, ""b""\nc",0.5\n' for i in range(5))
    assert set(read_predictions(write(tmp_path, text), SAMPLES).values()) == {'a, "b"\nc'}


def test_a_field_longer_than_pythons_default_limit_is_read(tmp_path: Path) -> None:
    text = "index,prediction\n" + "".join(f"{i},{'x' * 200_000}\n" for i in range(5))
    assert len(read_predictions(write(tmp_path, text), SAMPLES)[4]) == 200_000
