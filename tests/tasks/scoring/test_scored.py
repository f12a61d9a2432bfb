from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import DatasetConfig, PromptConfig, PromptVariant
from pixtrack.tasks.records import Answer, Gold, Sample, SampleImage
from pixtrack.tasks.scoring import METRICS, score_samples

COLUMNS = [
    "index",
    "question_id",
    "image",
    "image_path",
    "images",
    "cluster",
    "width",
    "height",
    "question",
    "answers",
    "options",
    "question_type",
    "answer_type",
    "output",
    "prediction",
    "finish_reason",
    "error",
    "prompt_tokens",
    "cached_tokens",
    "output_tokens",
    "seconds",
    "images_left_out",
    "state",
]


def dataset(**changes: Any) -> DatasetConfig:
    settings = {
        "name": "papers",
        "title": "Papers",
        "source": {"kind": "sample"},
        "metrics": ("anls", "exact_match"),
        "headline": "anls",
        "prompt": "plain",
        "licence": "none",
    }
    return DatasetConfig.model_validate(settings | changes)


def prompt(**changes: Any) -> PromptConfig:
    settings = {"name": "p", "title": "P", "template": "{question}", "max_new_tokens": 8}
    return PromptConfig.model_validate(settings | changes)


def sample(index: int, **changes: Any) -> Sample:
    settings: dict[str, Any] = {
        "index": index,
        "question_id": str(index),
        "question": "what?",
        "answers": ("forty two",),
        "images": (SampleImage(f"sha{index // 2}", "a/b.png", 100, 50),),
    }
    return Sample(**settings | changes)


def answer(index: int, text: str = "forty two", **changes: Any) -> Answer:
    return Answer(index, text, **{"finish_reason": "stop"} | changes)


def test_the_table_has_what_was_asked_what_came_back_and_a_column_a_metric() -> None:
    run = score_samples(
        [sample(1), sample(0)],
        {0: answer(0), 1: answer(1, "no", prompt_tokens=7, seconds=0.5)},
        dataset(),
        prompt(),
    )
    assert list(run.table.columns) == [*COLUMNS, "anls", "exact_match"]
    assert run.table["index"].tolist() == [0, 1]
    assert run.table["anls"].tolist() == [1.0, 0.0]
    assert run.table["answers"].tolist() == [["forty two"]] * 2
    assert run.table["prompt_tokens"].tolist() == [0, 7]
    assert run.metrics["anls"].value == 50.0
    assert run.metrics["anls"].n == 2


def test_the_table_survives_parquet(tmp_path: Any) -> None:
    run = score_samples([sample(0), sample(1, error="bad")], {0: answer(0)}, dataset(), prompt())
    run.table.to_parquet(tmp_path / "scores.parquet")
    back = pd.read_parquet(tmp_path / "scores.parquet")
    assert back["answers"].map(list).tolist() == run.table["answers"].tolist()
    pd.testing.assert_frame_equal(
        back.drop(columns="answers"), run.table.drop(columns="answers"), check_dtype=False
    )


def test_an_answer_cut_in_the_middle_of_an_emoji_can_be_stored(tmp_path: Any) -> None:
    whole_and_half = {0: answer(0, "\ud83d\ude00 ok"), 1: answer(1, "ok \ud83d")}
    run = score_samples([sample(0), sample(1)], whole_and_half, dataset(), prompt())
    run.table.to_parquet(tmp_path / "scores.parquet")
    assert run.table["output"].tolist() == ["\U0001f600 ok", "ok \ufffd"]
    assert run.table["prediction"].tolist() == run.table["output"].tolist()


def test_the_prompts_postprocessing_for_this_dataset_makes_the_prediction() -> None:
    chosen = prompt(datasets={"papers": PromptVariant(postprocess=("final_answer",))})
    run = score_samples([sample(0)], {0: answer(0, "So. Answer: forty two")}, dataset(), chosen)
    assert run.table["output"][0] == "So. Answer: forty two"
    assert run.table["prediction"][0] == "forty two"
    assert run.metrics["exact_match"].value == 100.0


def test_a_failure_never_becomes_a_number() -> None:
    samples = [sample(i) for i in range(4)] + [sample(4, error="image cannot be read")]
    answers = {
        0: answer(0),
        1: answer(1, "", finish_reason="refused", error="prompt too long"),
        2: answer(2, "", finish_reason="error"),
        4: answer(4),
    }
    run = score_samples(samples, answers, dataset(), prompt())
    assert run.table["error"].tolist() == [
        "",
        "prompt too long",
        "request error",
        "not answered",
        "image cannot be read",
    ]
    assert run.table["anls"].isna().tolist() == [False, True, True, True, True]
    assert run.metrics["anls"].n == 1
    assert run.metrics["anls"].value == 100.0


def test_an_empty_answer_is_wrong_not_missing() -> None:
    run = score_samples([sample(0)], {0: answer(0, "")}, dataset(), prompt())
    assert run.table["anls"].tolist() == [0.0]


def test_a_run_without_any_answer_has_no_score() -> None:
    run = score_samples([sample(0), sample(1)], {}, dataset(), prompt())
    assert run.metrics["anls"].value is None
    assert run.metrics["anls"].n == 0


def test_errors_are_clustered_by_the_images_content() -> None:
    samples = [sample(i) for i in range(40)]
    answers = {i: answer(i, "forty two" if (i // 2) % 2 else "no") for i in range(40)}
    interval = score_samples(samples, answers, dataset(), prompt()).metrics["anls"]
    assert interval.stderr is not None and interval.stderr_naive is not None
    # Two questions an image that always agree are one observation: the error grows by sqrt 2.
    assert interval.stderr == pytest.approx(interval.stderr_naive * np.sqrt(2), rel=0.02)


def test_a_row_that_a_metric_leaves_out_does_not_count_for_it() -> None:
    config = dataset(metrics=("chartqapro", "damqa"), headline="chartqapro")
    samples = [
        sample(0, question_type="Conversational", flags=("NO",)),
        sample(1, question_type="Factoid", flags=("NO",)),
    ]
    run = score_samples(samples, {0: answer(0), 1: answer(1)}, config, prompt())
    assert run.metrics["chartqapro"].n == 2
    assert run.metrics["damqa"].n == 1
    assert run.table["damqa"].isna().tolist() == [True, False]


def test_scores_are_broken_down_by_what_the_rows_have() -> None:
    samples = [
        sample(
            i,
            question_type="table/list, form" if i % 2 else "form",
            answers=("one two three four",) if i < 4 else ("one",),
            images=(SampleImage(f"sha{i // 2}", "a/b.png", 3000 if i < 2 else 300, 1000),),
        )
        for i in range(8)
    ]
    answers = {i: answer(i, "one") for i in range(8)}
    by = score_samples(samples, answers, dataset(), prompt()).by
    assert list(by) == ["question_type", "image_size", "answer_length"]
    assert {group: metrics["anls"].n for group, metrics in by["question_type"].items()} == {
        "form": 8,
        "table/list": 4,
    }
    assert list(by["image_size"]) == ["0.25 to 0.5 MP", "2 to 4 MP"]
    assert list(by["answer_length"]) == ["1 word", "4 to 6 words"]
    assert by["answer_length"]["1 word"]["exact_match"].value == 100.0
    assert by["answer_length"]["4 to 6 words"]["exact_match"].value == 0.0


def test_an_unknown_metric_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"'anlz'.*Did you mean 'anls'"):
        score_samples([], {}, dataset(metrics=("anlz",), headline="anlz"), prompt())


def test_an_unknown_postprocess_step_is_an_error_before_anything_is_scored() -> None:
    with pytest.raises(UserError, match="postprocess step 'strp'"):
        score_samples([sample(0)], {}, dataset(), prompt(postprocess=("strp",)))


def test_damqa_refuses_a_dataset_that_its_evaluator_has_no_rule_for() -> None:
    config = dataset(metrics=("exact_match", "damqa"), headline="exact_match")
    with pytest.raises(UserError, match=r"papers\.yaml: metrics: damqa has no rule.*leave damqa"):
        score_samples([sample(0)], {}, config, prompt())
    with pytest.raises(ValueError, match="for_dataset"):
        METRICS["damqa"].function("x", Gold(("x",)))


def test_every_metric_says_whose_it_is_and_which_way_is_better() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.source
        assert metric.title
        assert metric.version >= 1
        assert metric.higher_is_better


def test_a_sample_without_golds_is_asked_and_has_no_score() -> None:
    samples = [sample(0), sample(1, answers=()), sample(2)]
    answers = {index: answer(index) for index in range(3)}
    scored = score_samples(samples, answers, dataset(), prompt())
    assert scored.table["anls"].isna().tolist() == [False, True, False]
    assert scored.metrics["anls"].n == 2 and scored.metrics["anls"].value == 100
    assert scored.table["prediction"].tolist() == ["forty two"] * 3
    nothing = score_samples([sample(0, answers=())], answers, dataset(), prompt())
    assert nothing.metrics["anls"].value is None and nothing.metrics["anls"].n == 0


def test_errors_are_clustered_by_the_samples_own_cluster() -> None:
    right = ["forty two", "forty two", "no", "no"]
    answers = {index: answer(index, text) for index, text in enumerate(right)}
    apart = [sample(i, images=(SampleImage(f"s{i}", "a.png", 1, 1),)) for i in range(4)]
    alone = score_samples(apart, answers, dataset(), prompt()).metrics["anls"]
    assert alone.stderr == pytest.approx(alone.stderr_naive)
    joined = [
        sample(i, images=(SampleImage(f"s{i}", "a.png", 1, 1),), cluster=f"doc{i // 2}")
        for i in range(4)
    ]
    table = score_samples(joined, answers, dataset(), prompt())
    assert table.table["cluster"].tolist() == ["doc0", "doc0", "doc1", "doc1"]
    clustered = table.metrics["anls"]
    assert clustered.stderr and alone.stderr and clustered.stderr > alone.stderr
