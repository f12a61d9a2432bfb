"""Our scores are those of the published code.

golden_rows.json: [metric, headline of the dataset, prediction, golds, question type, flags, score,
options, answer type and details where the metric needs them];
published_figures.json: [dataset, metric, perturbation, mean in percent, digest of the per-row
scores]. Both were made by running the published code, never ours:
  relaxed_accuracy         google-research/pix2struct 945f27e pix2struct/metrics.py
  anls                     QwenLM/Qwen-VL aa00ed0 eval_mm/infographicsvqa_eval.py (the script of
                           the Robust Reading Competition)
  vqa_accuracy             GT-Vision-Lab/VQA a013f00 vqaEval.py (its two print statements removed,
                           to run under Python 3)
  vqa_accuracy_m4c         facebookresearch/mmf b0ffc7f m4c_evaluators.py
  vqa_accuracy_normalised  EvolvingLMMs-Lab/lmms-eval 75571cf tasks/vqav2/utils.py
  chartqapro, _exact       vis-nlp/ChartQAPro 4b422c6 evaluate_predictions.py with anls 0.0.2
  damqa, damqa_csv         Linvyl/DAM-QA cf49b72 evaluation/metrics.py
  mistral_evals, _explicit, _anywhere
                           mistralai/mistral-evals d61811f eval/metrics.py
  mmmu                     MMMU-Benchmark/MMMU bb0b95a mmmu/utils/eval_utils.py; no answer at which
                           it guesses, which mmmu_no_guess scores 0
  mmmu_pro                 MMMU-Benchmark/MMMU bb0b95a mmmu-pro/evaluate.py, likewise
  mathvista                lupantech/MathVista 53d5258 evaluation/calculate_score.py
  ocrbench                 Yuliang-Liu/MultimodalOCR 794c36d OCRBench/example.py
  multiple_choice          EvolvingLMMs-Lab/lmms-eval 75571cf tasks/ai2d, the better of its targets
  first_character          EvolvingLMMs-Lab/lmms-eval 75571cf tasks/seedbench_2_plus/utils.py
  mmlongbench_doc          mayubo2333/MMLongBench-Doc d73f0dc eval/eval_score.py; 0 where it fails
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import pytest

from pixtrack.configs.loading import load_dataset
from pixtrack.tasks.records import Answer, Gold
from pixtrack.tasks.scoring import METRICS
from pixtrack.tasks.scoring.metric import ScoreFunction
from pixtrack.tasks.scoring.scored import score_outputs
from tests.doubles.patience import processor_at_most
from tests.shared import needs_annotations
from tests.tasks.scoring.annotations import DATASETS, samples
from tests.tasks.scoring.perturbations import PERTURBATIONS

HERE = Path(__file__).parent
GOLDEN_ROWS = json.loads((HERE / "golden_rows.json").read_text(encoding="utf-8"))
FIGURES = json.loads((HERE / "published_figures.json").read_text(encoding="utf-8"))


def function_of(metric: str, headline: str) -> ScoreFunction:
    found = METRICS[metric]
    return found.function_by_headline.get(headline, found.function)


def gold_of(
    golds: list[str],
    question_type: str,
    flags: list[str],
    options: tuple[str, ...] = (),
    answer_type: str = "",
    details: tuple[tuple[str, str], ...] = (),
) -> Gold:
    pairs = tuple((name, value) for name, value in details)
    return Gold(tuple(golds), question_type, tuple(flags), 0, tuple(options), answer_type, pairs)


@pytest.mark.parametrize("metric", sorted({row[0] for row in GOLDEN_ROWS}))
def test_every_golden_row_scores_as_the_published_code_scored_it(metric: str) -> None:
    rows = [row for row in GOLDEN_ROWS if row[0] == metric]
    assert len(rows) >= 10
    for _, headline, prediction, golds, question_type, flags, expected, *more in rows:
        gold = gold_of(golds, question_type, flags, **(more[0] if more else {}))
        score = function_of(metric, headline)(prediction, gold)
        assert score == pytest.approx(expected, abs=1e-8), (prediction, golds, flags)


def test_every_metric_but_the_trivial_one_has_golden_rows() -> None:
    assert set(METRICS) - {row[0] for row in GOLDEN_ROWS} == {"exact_match"}


@lru_cache
def scores(dataset: str, metric: str, perturbation: str) -> tuple[float | None, ...]:
    rows = samples(dataset)
    function = METRICS[metric].for_dataset(load_dataset(dataset))
    perturb = PERTURBATIONS[perturbation]
    others = [rows[(i * 7919 + 13) % len(rows)].answers[0] for i in range(len(rows))]
    return tuple(
        function(
            perturb(row.answers, other, row.index), Gold(row.answers, row.question_type, row.flags)
        )
        for row, other in zip(rows, others, strict=True)
    )


def mean(dataset: str, metric: str, perturbation: str) -> float:
    known = [score for score in scores(dataset, metric, perturbation) if score is not None]
    return 100 * sum(known) / len(known)


@needs_annotations
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_real_question_scores_as_the_published_code_scored_it(dataset: str) -> None:
    """22,675 questions by 23 kinds of prediction: the mean, and a digest of every single score."""
    figures = [figure[1:] for figure in FIGURES if figure[0] == dataset]
    assert {figure[1] for figure in figures} == set(PERTURBATIONS)
    for metric, perturbation, expected, digest in figures:
        rows = scores(dataset, metric, perturbation)
        assert mean(dataset, metric, perturbation) == pytest.approx(expected, abs=1e-5), (
            metric,
            perturbation,
        )
        text = ",".join("-" if score is None else str(round(score * 1e6)) for score in rows)
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest, (metric, perturbation)


@needs_annotations
@pytest.mark.parametrize(
    ("dataset", "metric", "perturbation", "expected"),
    [
        ("vqav2_restval", "vqa_accuracy", "majority", 96.57),
        ("vqav2_restval", "vqa_accuracy", "capitalised", 68.80),
        ("vqav2_restval", "vqa_accuracy", "capitalised, period", 64.37),
        ("vqav2_restval", "vqa_accuracy_normalised", "capitalised, period", 96.57),
        ("vqav2_restval", "damqa", "capitalised, period", 97.56),
        ("textvqa_val", "vqa_accuracy_m4c", "capitalised, period", 98.46),
        ("textvqa_val", "damqa", "capitalised, period", 99.09),
        ("docvqa_val", "anls", "first, period", 86.76),
        ("docvqa_val", "mistral_evals", "first, period", 100.0),
        ("docvqa_val", "damqa", "first, period", 100.0),
        ("docvqa_val", "anls", "first, sentence", 22.99),
        ("docvqa_val", "mistral_evals", "first, sentence", 41.10),
        ("docvqa_val", "damqa", "first, sentence", 100.0),
        ("chartqa_test_human", "relaxed_accuracy", "first, period", 43.12),
        ("chartqa_test_human", "damqa", "first, period", 99.68),
        ("chartqa_test_human", "damqa_csv", "first, period", 98.88),
        ("chartqa_test_augmented", "relaxed_accuracy", "percent", 13.60),
        ("chartqa_test_augmented", "damqa", "percent", 13.60),
        ("chartqapro_test", "chartqapro", "unanswerable", 19.03),
    ],
)
def test_the_known_figures_of_the_public_implementations_come_out(
    dataset: str, metric: str, perturbation: str, expected: float
) -> None:
    assert round(mean(dataset, metric, perturbation), 2) == expected


@needs_annotations
def test_damqa_leaves_chartqapros_conversations_out() -> None:
    kinds = [row.question_type for row in samples("chartqapro_test")]
    found = scores("chartqapro_test", "damqa", "majority")
    assert all(
        (score is None) == (kind == "Conversational")
        for score, kind in zip(found, kinds, strict=True)
    )
    assert kinds.count("Conversational") == 311


@needs_annotations
@pytest.mark.parametrize(
    ("dataset", "questions", "images"),
    [
        ("chartqapro_test", 1948, 1948),
        ("chartqa_test_human", 1250, 625),
        ("chartqa_test_augmented", 1250, 987),
        ("docvqa_val", 5349, 1286),
        ("infographicvqa_val", 2801, 500),
        ("textvqa_val", 5000, 3166),
        ("vqav2_restval", 5077, 1000),
    ],
)
def test_every_annotation_row_is_read(dataset: str, questions: int, images: int) -> None:
    rows = samples(dataset)
    assert len(rows) == questions
    assert len({row.image_path for row in rows}) == images
    assert [row.error for row in rows if row.error] == []


@needs_annotations
def test_all_questions_of_all_datasets_score_in_seconds() -> None:
    """By every metric of their dataset, with intervals and breakdowns."""
    work = [
        (
            load_dataset(name),
            rows,
            {row.index: Answer(row.index, row.answers[-1], "stop") for row in rows},
        )
        for name in DATASETS
        for rows in [samples(name)]
    ]
    with processor_at_most(60):
        scored = [score_outputs(rows, answers, dataset) for dataset, rows, answers in work]
    assert sum(len(run.table) for run in scored) == 22_675
