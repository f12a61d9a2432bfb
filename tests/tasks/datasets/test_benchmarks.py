"""The benchmarks beyond the seven: each is prepared from shards in its real schema."""

from __future__ import annotations

import pytest

from pixtrack.configs.loading import load_dataset, load_prompt
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import HubDataset
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.records import Answer
from pixtrack.tasks.scoring import METRICS
from pixtrack.tasks.scoring.scored import score_outputs
from tests.doubles.benchmark_datasets import put_benchmark
from tests.doubles.hub import FakeHub

QUESTIONS = {"chartqa_test": 2500, "ocrbench": 1000}


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_each_is_pinned_and_says_its_counts_licence_prompt_and_published_scores(name: str) -> None:
    config = load_dataset(name)
    assert isinstance(config.source, HubDataset)
    assert len(config.source.revision) == 40
    assert config.questions == QUESTIONS[name]
    assert config.licence and config.prompt_reason and config.notes
    assert all(metric in METRICS for metric in config.metrics)
    assert config.published_scores
    assert all(score.by and score.model and score.metric for score in config.published_scores)
    assert load_prompt(config.prompt).for_dataset(name).max_new_tokens > 0


def test_chartqa_reports_both_halves_and_their_mean(hub: FakeHub, home: Home) -> None:
    copy = put_benchmark(hub, "chartqa_test")
    samples = prepare(copy.config, home).samples
    kinds = [sample.question_type for sample in samples]
    assert kinds == ["human_test"] * 3 + ["augmented_test"] * 3
    assert len({sample.image for sample in samples}) == 3  # one chart is in both halves
    right = {0, 3, 4}
    answers = {
        s.index: Answer(s.index, s.answers[0] if s.index in right else "?", "stop") for s in samples
    }
    scored = score_outputs(samples, answers, copy.config)
    halves = scored.by["question_type"]
    assert copy.config.headline == "relaxed_accuracy"
    one, other = (halves[half]["relaxed_accuracy"].value for half in dict.fromkeys(kinds))
    assert one is not None and other is not None
    assert (one, other) == pytest.approx((100 / 3, 200 / 3))
    assert scored.metrics["relaxed_accuracy"].value == pytest.approx((one + other) / 2)


def test_ocrbench_keeps_every_gold_and_the_kind_that_its_metric_reads(
    hub: FakeHub, home: Home
) -> None:
    copy = put_benchmark(hub, "ocrbench", 3)
    samples = prepare(copy.config, home).samples
    assert samples[0].answers == ("CENTRE", "center")
    outputs = ("The word is Centre.", "It says CENTER", "\\frac{a}{B}")
    answers = {number: Answer(number, text, "stop") for number, text in enumerate(outputs)}
    assert score_outputs(samples, answers, copy.config).metrics["ocrbench"].value == 100
    answers[2] = Answer(2, "\\frac{a}{b}", "stop")  # case matters in formulas only
    scored = score_outputs(samples, answers, copy.config)
    assert scored.by["question_type"][samples[2].question_type]["ocrbench"].value == 0
    assert scored.figures["ocrbench"]
