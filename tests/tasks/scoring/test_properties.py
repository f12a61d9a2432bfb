"""What holds for any text at all."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pixtrack.configs.loading import load_dataset
from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring import METRICS
from pixtrack.tasks.scoring.anls import collapse
from pixtrack.tasks.scoring.metrics import functions_of

# Letters, digits, punctuation, blanks and the odd ones that a normaliser may trip over.
MARKS = "ab01.,;:!?%$-_/\\'\"()[]{}<>@`=+ \n\t"
WORDS = ["the", "two", "dont", "'s", "1,000", "nan", "[1, 2]", "['a']", "the answer is", "5%"]
ODD = ["ß", "İ", "é", "\u200b", "\xa0", "\ud800", "\U0001f600", "٣"]
PIECES = st.sampled_from([*MARKS, *WORDS, *ODD])
TEXTS = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=30)
TYPES = st.sampled_from(["", "Factoid", "Conversational", "Fact Checking", "Multi Choice"])
GOLDS = st.builds(
    Gold,
    st.lists(TEXTS, min_size=1, max_size=10).map(tuple),
    TYPES,
    st.lists(st.sampled_from(["YES", "Yes", "NO"]), max_size=3).map(tuple),
    st.integers(0, 99),
    st.lists(TEXTS, max_size=5).map(tuple),
    st.sampled_from(["", "integer", "float", "list", "Int", "Float", "Str", "None", "List"]),
    st.sampled_from([(), (("precision", "1"),), (("precision", "x"),), (("gold", "text"),)]),
)
FUNCTIONS = [
    (name, function)
    for name, metric in METRICS.items()
    for function in {*metric.function_by_headline.values()} or {metric.function}
]


@settings(max_examples=400, deadline=None)
@given(TEXTS, GOLDS)
def test_every_score_lies_between_0_and_1_or_is_none(prediction: str, gold: Gold) -> None:
    for name, function in FUNCTIONS:
        score = function(prediction, gold)
        assert score is None or 0.0 <= score <= 1.0, name


@settings(max_examples=400, deadline=None)
@given(TEXTS, GOLDS)
def test_a_score_depends_on_nothing_but_prediction_and_gold(prediction: str, gold: Gold) -> None:
    """Caches of normalised golds must not show: asked again, the score is the same."""
    for name, function in FUNCTIONS:
        first = function(prediction, gold)
        function(gold.answers[0], replace(gold, answers=(prediction,), index=gold.index + 1))
        assert function(prediction, gold) == first, name


@settings(max_examples=400, deadline=None)
@given(GOLDS, st.data())
def test_a_gold_is_right_where_the_protocol_says_so(gold: Gold, data: st.DataObject) -> None:
    answer = data.draw(st.sampled_from(gold.answers))
    for name in ("anls", "exact_match", "mistral_evals"):
        assert METRICS[name].function(answer, gold) == 1.0, name
    unanimous = Gold((answer,) * 10)
    for name in ("vqa_accuracy", "vqa_accuracy_m4c", "vqa_accuracy_normalised"):
        assert METRICS[name].function(answer, unanimous) == 1.0, name


@settings(max_examples=400, deadline=None)
@given(TEXTS, GOLDS, TEXTS)
def test_one_more_accepted_answer_never_lowers_a_score(
    prediction: str, gold: Gold, more: str
) -> None:
    wider = Gold((*gold.answers, more), gold.question_type, gold.flags)
    for name in ("anls", "exact_match", "mistral_evals", "relaxed_accuracy"):
        before, after = (METRICS[name].function(prediction, g) for g in (gold, wider))
        assert before is not None and after is not None and after >= before, name


@settings(max_examples=300, deadline=None)
@given(TEXTS, GOLDS)
def test_the_order_of_the_golds_does_not_matter(prediction: str, gold: Gold) -> None:
    turned = Gold(gold.answers[::-1], gold.question_type, gold.flags)
    for name in ("anls", "exact_match", "relaxed_accuracy", "vqa_accuracy", "vqa_accuracy_m4c"):
        function = METRICS[name].function
        assert function(prediction, gold) == function(prediction, turned), name


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_without_a_gold_there_is_no_score(prediction: str) -> None:
    for name, function in FUNCTIONS:
        assert function(prediction, Gold(())) is None, name


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_collapsing_white_space_twice_changes_nothing(text: str) -> None:
    assert collapse(collapse(text)) == collapse(text)


def test_vqa_accuracy_is_the_datasets_own_official_evaluator() -> None:
    ten = Gold(("yes",) * 10)
    textvqa = functions_of(load_dataset("textvqa_val"))["vqa_accuracy"]
    vqav2 = functions_of(load_dataset("vqav2_restval"))["vqa_accuracy"]
    # Where all ten golds agree VQAv2's evaluator normalises nothing; TextVQA's always does.
    assert (textvqa("Yes", ten), vqav2("Yes", ten)) == (1.0, 0.0)
