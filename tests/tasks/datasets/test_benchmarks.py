"""The benchmarks beyond the seven: each is prepared from shards in its real schema."""

from __future__ import annotations

from typing import Any

import pytest

from pixtrack.configs.loading import load_dataset, load_prompt
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import HubDataset
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.formats.mmmu_pro_vision import QUESTION
from pixtrack.tasks.records import Answer, PreparedDataset
from pixtrack.tasks.runs.requests import build_requests
from pixtrack.tasks.scoring import METRICS
from pixtrack.tasks.scoring.scored import score_outputs
from tests.doubles.benchmark_datasets import NAMES, SCHEMAS, hub_row, put_benchmark
from tests.doubles.hub import FakeHub
from tests.doubles.hub_datasets import parquet, png

QUESTIONS = {
    "mmmu_val": 900,
    "mmmu_pro_standard": 1730,
    "mmmu_pro_vision": 1730,
    "mathvista_testmini": 1000,
    "ai2d_test": 3088,
    "ocrbench": 1000,
    "chartqa_test": 2500,
    "seedbench2_plus": 2277,
    "docvqa_test": 5188,
    "infographicvqa_test": 3288,
    "mmlongbench_doc": 1091,
}


def ready(hub: FakeHub, home: Home, name: str, count: int = 6) -> PreparedDataset:
    return prepare(put_benchmark(hub, name, count).config, home)


def bytes_of(home: Home, prepared: PreparedDataset, index: int) -> list[bytes]:
    """The image files of a sample, in their order."""
    return [(home.images / image.path).read_bytes() for image in prepared.samples[index].images]


def asked(prepared: PreparedDataset, name: str, prompt: str | None = None) -> list[Any]:
    """The pieces of each request's last turn: text, and None where an image stands."""
    wording = load_prompt(prompt or load_dataset(name).prompt).for_dataset(name)
    requests = build_requests(prepared.samples, wording, prepared.images)
    return [list(request.layout[-1]) for request in requests]


def score(
    prepared: PreparedDataset, name: str, outputs: list[str], metric: str = ""
) -> float | None:
    config = load_dataset(name)
    answers = {number: Answer(number, text, "stop") for number, text in enumerate(outputs)}
    samples = prepared.samples[: len(outputs)]
    return score_outputs(samples, answers, config).metrics[metric or config.headline].value


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


@pytest.mark.parametrize("name", NAMES)
def test_each_is_prepared_from_shards_in_its_real_schema(
    hub: FakeHub, home: Home, name: str
) -> None:
    copy = put_benchmark(hub, name)
    prepared = prepare(copy.config, home)
    assert [sample.index for sample in prepared.samples] == list(range(6))
    assert [sample.error for sample in prepared.samples] == [""] * 6
    assert prepared.source["revision"] == copy.commit
    assert all(sample.images for sample in prepared.samples)
    assert all(pieces[-1] for pieces in asked(prepared, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_column_that_the_source_lacks_is_named(hub: FakeHub, home: Home, name: str) -> None:
    copy = put_benchmark(hub, name)
    source = copy.source
    wanted = {*source.columns.values(), *source.image_columns, *source.option_columns}
    there = hub.repos[("dataset", source.repo)].commits[copy.commit]
    documents = {path: data for path, data in there.items() if path.endswith(".pdf")}
    for column in wanted:
        place = SCHEMAS[name].get_field_index(column)
        data = parquet([], SCHEMAS[name].remove(place), 2)
        (pattern,) = source.files
        commit = hub.add("dataset", source.repo, {pattern.replace("*", "0"): data, **documents})
        without = source.model_copy(update={"revision": commit})
        with pytest.raises(
            Exception, match=rf"no column '{column}' \(source\..* of dataset {name}"
        ):
            prepare(copy.config.model_copy(update={"source": without}), home)


def test_mmmu_shows_its_images_where_the_question_and_the_options_mention_them(
    hub: FakeHub, home: Home
) -> None:
    prepared = ready(hub, home, "mmmu_val", 3)
    choice, opened, pictures = prepared.samples
    assert choice.options == ("a $6 note", 'it\'s "seven"')
    assert (choice.answers, choice.question_type) == (("B",), "Art")
    assert (opened.options, opened.answers) == ((), ("24/7", "3.429"))
    assert opened.answer_type == "open"
    # The fourth image is mentioned by nobody.
    assert bytes_of(home, prepared, 2) == [png(102), png(202), png(302)]
    first, _, third = asked(prepared, "mmmu_val")
    assert first[:2] == ["What does ", None]
    assert first[2].startswith(' show in box 0?\nA. a $6 note\nB. it\'s "seven"\nAnalyze the image')
    assert third[:6] == ["Which one is ", None, "?\nA. ", None, "\nB. ", None]
    assert third[6].startswith("\nAnalyze")
    wording = load_prompt("reasoning").for_dataset("mmmu_val")
    shown = build_requests([pictures], wording, prepared.images)[0].images
    assert [image.sha256 for image in shown] == [
        pictures.images[number].sha256 for number in (0, 2, 1)
    ]


def test_mmmu_scores_letters_and_open_answers(hub: FakeHub, home: Home) -> None:
    prepared = ready(hub, home, "mmmu_val", 3)
    assert score(prepared, "mmmu_val", ["B", "The result is 3.429", "(A)"]) == 100
    final = ["Final Answer: B", "Final Answer: 24/7", "Final Answer: A"]
    assert score(prepared, "mmmu_val", final, "mistral_evals_explicit") == 100
    assert score(prepared, "mmmu_val", ["A", "7", "B"], "mmmu_no_guess") == 0


def test_an_image_that_a_question_mentions_and_the_row_lacks_spoils_that_row_only(
    hub: FakeHub, home: Home
) -> None:
    rows = [hub_row("mmmu_val", number) for number in range(3)]
    del rows[2]["image_3"], rows[2]["image_4"]
    samples = prepare(put_benchmark(hub, "mmmu_val", rows=rows).config, home).samples
    assert samples[2].error == "row 2: <image 3> is mentioned, and there are 2 images"
    assert [sample.error for sample in samples[:2]] == ["", ""]


def test_mmmu_pro_has_ten_options_and_its_vision_half_none_that_are_shown(
    hub: FakeHub, home: Home
) -> None:
    standard = ready(hub, home, "mmmu_pro_standard", 3)
    assert [len(sample.options) for sample in standard.samples] == [10] * 3
    assert {sample.question_type for sample in standard.samples} == {"History"}
    assert score(standard, "mmmu_pro_standard", ["Answer: J"] * 3) == 100
    pieces = asked(standard, "mmmu_pro_standard")
    assert "J. option j" in pieces[0][-1]
    # Image 2 comes first; the second time it is mentioned, the mark stays.
    assert pieces[2][:4] == ["Compare ", None, " with ", None]
    assert pieces[2][4].startswith(", and <image 2> again.")
    assert bytes_of(home, standard, 2) == [png(6), png(202)]
    vision = ready(hub, home, "mmmu_pro_vision", 3)
    for prompt in ("reasoning", "plain", "lmms_eval", "mistral_evals"):
        (image, text), *_ = asked(vision, "mmmu_pro_vision", prompt)
        assert image is None
        assert text.startswith(QUESTION)
        assert "option a" not in text
    assert score(vision, "mmmu_pro_vision", ["Final Answer: C", "Answer: C", "A"]) == pytest.approx(
        200 / 3
    )


def test_mathvista_asks_its_query_and_keeps_what_its_metric_reads(hub: FakeHub, home: Home) -> None:
    prepared = ready(hub, home, "mathvista_testmini", 2)
    number, choice = prepared.samples
    assert number.question.startswith("Hint: Please answer with one decimal place.\nQuestion:")
    assert (number.gold.detail("precision"), number.gold.detail("unit")) == ("1.0", "cm")
    assert choice.options == ("135°", "140°", "145°")
    text = asked(prepared, "mathvista_testmini")[1][-1]
    assert text.count("135°") == 1  # the choices stand in the query already
    assert score(prepared, "mathvista_testmini", ["1.2", "145°"]) == 100
    assert score(prepared, "mathvista_testmini", ["1.24", "C"]) == 100
    final = ["Final Answer: 1.2", "Final Answer: C"]
    assert score(prepared, "mathvista_testmini", final, "mistral_evals_explicit") == 100


def test_ai2ds_position_becomes_a_letter_and_its_diagrams_are_clusters(
    hub: FakeHub, home: Home
) -> None:
    prepared = ready(hub, home, "ai2d_test")
    assert [sample.answers for sample in prepared.samples[:5]] == [
        ("A",), ("B",), ("C",), ("D",), ("A",),
    ]  # fmt: skip
    assert len({sample.cluster_key for sample in prepared.samples}) == 2
    assert asked(prepared, "ai2d_test")[1] == [
        None,
        "What eats the plant 1?\nA. rabbit\nB. fox\nC. owl\nD. beetle 1\n"
        "Answer with the option's letter from the given choices directly.",
    ]
    assert score(prepared, "ai2d_test", ["A. rabbit", "b", "owl", "fox"]) == 75


@pytest.mark.parametrize("gold", ["4", "-1", "B", "", "1.0"])
def test_a_position_that_no_option_has_spoils_its_row(hub: FakeHub, home: Home, gold: str) -> None:
    rows = [hub_row("ai2d_test", 0), {**hub_row("ai2d_test", 1), "answer": gold}]
    samples = prepare(put_benchmark(hub, "ai2d_test", rows=rows).config, home).samples
    assert samples[0].error == ""
    assert "expected the position of one of 4 options" in samples[1].error


def test_seedbenchs_four_columns_are_the_options(hub: FakeHub, home: Home) -> None:
    prepared = ready(hub, home, "seedbench2_plus")
    assert {sample.options for sample in prepared.samples} == {("one", "two", "three", "four")}
    assert [sample.question_type for sample in prepared.samples[:3]] == ["chart", "map", "web"]
    assert "A. one\nB. two\nC. three\nD. four\nAnswer" in asked(prepared, "seedbench2_plus")[0][-1]
    assert score(prepared, "seedbench2_plus", ["A", "B. two", "c", "The answer is D"]) == 75


@pytest.mark.parametrize("name", ["docvqa_test", "infographicvqa_test"])
def test_a_split_without_golds_is_asked_and_has_no_score(
    hub: FakeHub, home: Home, name: str
) -> None:
    prepared = ready(hub, home, name)
    assert {sample.answers for sample in prepared.samples} == {()}
    assert len(asked(prepared, name)) == 6
    assert len({sample.question_id for sample in prepared.samples}) == 6
    assert len({sample.cluster_key for sample in prepared.samples}) == 3
    assert score(prepared, name, ["whatever"] * 6) is None


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
