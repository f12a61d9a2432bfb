"""Which questions a run asks: drawn by image with the types mixed as in the whole, or named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.records import Sample
from pixtrack.tasks.runs.directory import run_name
from pixtrack.tasks.runs.selection import Selection, kept, read_ids, scope_words, selection_of

TYPES = ("counting",) * 2 + ("extractive",) * 7 + ("sum",)


def page(number: int, questions: int) -> list[Sample]:
    """The questions on one document, all of one type: what an ordered dataset looks like."""
    kind = TYPES[number * len(TYPES) // 200]
    return [
        Sample(
            number * 10 + i, f"q{number}-{i}", "?", ("a",), question_type=kind, cluster=f"d{number}"
        )
        for i in range(questions)
    ]


DATASET = tuple(sample for number in range(200) for sample in page(number, 1 + number % 5))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [20, 100, 301])
def test_a_sample_has_whole_images_and_the_types_of_the_whole(size: int, seed: int) -> None:
    chosen = Selection(sample=size, seed=seed).choose(DATASET)
    assert len(chosen) == size
    assert [one.index for one in chosen] == sorted(one.index for one in chosen)
    asked, whole = (Counter(one.cluster for one in samples) for samples in (chosen, DATASET))
    assert sum(asked[name] != whole[name] for name in asked) <= 1  # the last one is cut
    share = Counter(one.question_type for one in DATASET)
    for kind, count in Counter(one.question_type for one in chosen).items():
        assert abs(count / size - share[kind] / len(DATASET)) < 0.08, kind
    assert {one.question_type for one in chosen} == set(TYPES)  # the first 20 have one of them


def test_a_seed_draws_the_same_and_another_seed_others() -> None:
    first = Selection(sample=50, seed=1).choose(DATASET)
    assert Selection(sample=50, seed=1).choose(DATASET) == first
    assert Selection(sample=50, seed=2).choose(DATASET) != first
    assert Selection(sample=10_000).choose(DATASET) == DATASET


def test_named_questions_are_found_and_others_are_refused_by_name() -> None:
    chosen = Selection(questions=("q7-0", "q3-1")).choose(DATASET)
    assert [one.question_id for one in chosen] == ["q3-1", "q7-0"]
    with pytest.raises(UserError, match=r"1 of 2 are no ids of this dataset: nine; it has q0-0"):
        Selection(questions=("q7-0", "nine")).choose(DATASET)


def test_where_the_sources_ids_repeat_the_rows_numbers_count() -> None:
    repeated = [Sample(i, "-1", "?", ("a",)) for i in range(5)]
    assert [one.index for one in Selection(questions=("3", "1")).choose(repeated)] == [1, 3]
    with pytest.raises(UserError, match="its own ids repeat"):
        Selection(questions=("-1",)).choose(repeated)


def test_ids_are_read_a_line_each(tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_text("\ufeffq1\n\n  q2 \n#3\n")
    assert read_ids(file) == ["q1", "q2", "#3"]
    file.write_bytes(b"\xff\xfe")
    for bad in (file, tmp_path / "none", tmp_path):
        with pytest.raises(UserError, match=r"--questions .*cannot be read"):
            read_ids(bad)
    file.write_text("\n")
    with pytest.raises(UserError, match="has no id"):
        read_ids(file)


def test_one_way_of_choosing_at_a_time() -> None:
    assert selection_of(None, None, 3, None) is None and selection_of(20, None, None, None) is None
    assert selection_of(None, 20, None, None) == Selection(sample=20, seed=0)
    assert selection_of(None, None, None, ["b", "a", "b"]) == Selection(questions=("b", "a"))
    with pytest.raises(UserError, match="--limit and --sample: give one"):
        selection_of(20, 20, None, None)


def test_a_runs_record_finds_its_samples_again_and_old_ones_do() -> None:
    indices = [one.index for one in Selection(sample=30, seed=4).choose(DATASET)]
    selection = {"sample": 30, "seed": 4, "indices": indices}
    assert [one.index for one in kept(DATASET, 30, selection)] == indices
    assert kept(DATASET, 3, {}) == DATASET[:3] and kept(DATASET, None, {}) == DATASET
    assert scope_words(30, selection) == "sample of 30, seed 4"
    assert (scope_words(20, {}), scope_words(None, {})) == ("first 20", "")


def test_a_selections_run_has_a_folder_of_its_own_and_old_names_stay() -> None:
    named = {"questions": ["a"], "indices": [1]}
    others = {"questions": ["b"], "indices": [2]}
    assert run_name("m", "p", "f" * 64, None) == "m--p--" + "f" * 12
    assert run_name("m", "p", "f" * 64, 20) == "m--p--first20--" + "f" * 12
    drawn = {"sample": 20, "seed": 1, "indices": [3]}
    assert run_name("m", "p", "f" * 64, 20, drawn) == "m--p--sample20-seed1--" + "f" * 12
    assert run_name("m", "p", "f" * 64, 1, named) != run_name("m", "p", "f" * 64, 1, others)
