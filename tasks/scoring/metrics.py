"""The metrics by name."""

from __future__ import annotations

from pixtrack.configs.errors import unknown_name
from pixtrack.configs.references import is_reference
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring import damqa, mathvista, mmmu, mmmu_pro, multiple_choice
from pixtrack.tasks.scoring import mistral_evals_relaxed as relaxed
from pixtrack.tasks.scoring.anls import anls
from pixtrack.tasks.scoring.chartqapro import chartqapro, chartqapro_exact
from pixtrack.tasks.scoring.exact_match import exact_match
from pixtrack.tasks.scoring.metric import Metric, ScoreFunction
from pixtrack.tasks.scoring.mistral_evals import mistral_evals_anls
from pixtrack.tasks.scoring.mmlongbench_doc import f1, mmlongbench_doc
from pixtrack.tasks.scoring.ocrbench import mean_length, ocrbench
from pixtrack.tasks.scoring.own import load
from pixtrack.tasks.scoring.relaxed_accuracy import relaxed_accuracy
from pixtrack.tasks.scoring.vqa_accuracy import vqa_accuracy
from pixtrack.tasks.scoring.vqa_accuracy_m4c import vqa_accuracy_m4c
from pixtrack.tasks.scoring.vqa_accuracy_normalised import vqa_accuracy_normalised

_ALL = (
    Metric(
        "relaxed_accuracy",
        "relaxed accuracy",
        "google-research/pix2struct metrics.relaxed_correctness (ChartQA)",
        relaxed_accuracy,
    ),
    Metric(
        "anls",
        "ANLS",
        "Robust Reading Competition infographicsvqa_eval.py (Biten et al. 2019)",
        anls,
    ),
    Metric(
        "vqa_accuracy",
        "VQA accuracy",
        "GT-Vision-Lab/VQA vqaEval.py (VQAv2 official)",
        vqa_accuracy,
    ),
    Metric(
        "vqa_accuracy_m4c",
        "VQA accuracy (m4c)",
        "facebookresearch/mmf m4c_evaluators.TextVQAAccuracyEvaluator (TextVQA)",
        vqa_accuracy_m4c,
    ),
    Metric(
        "vqa_accuracy_normalised",
        "VQA accuracy, always normalised",
        "EvolvingLMMs-Lab/lmms-eval tasks/vqav2",
        vqa_accuracy_normalised,
    ),
    Metric(
        "chartqapro",
        "ChartQAPro, as published",
        "vis-nlp/ChartQAPro evaluate_predictions.py",
        chartqapro,
    ),
    Metric(
        "chartqapro_exact",
        "ChartQAPro, options exact",
        "vis-nlp/ChartQAPro evaluate_predictions.py with exact matching passed on",
        chartqapro_exact,
    ),
    Metric(
        "exact_match",
        "exact match",
        "google-research/pix2struct metrics.pix2struct_metrics",
        exact_match,
    ),
    Metric(
        "damqa",
        "DAM-QA evaluator",
        "Linvyl/DAM-QA evaluation/metrics.py (arXiv 2507.12441)",
        damqa.needs_dataset,
        function_by_headline=damqa.BY_HEADLINE,
    ),
    Metric(
        "damqa_csv",
        "DAM-QA evaluator over CSV",
        "Linvyl/DAM-QA evaluation/metrics.py, golds read back from its CSV files",
        damqa.needs_dataset,
        function_by_headline=damqa.BY_HEADLINE_CSV,
    ),
    Metric(
        "mistral_evals",
        "ANLS of mistral-evals",
        "mistralai/mistral-evals eval/metrics.py",
        mistral_evals_anls,
    ),
    Metric(
        "mistral_evals_explicit",
        "relaxed correctness of mistral-evals, explicit",
        "mistralai/mistral-evals eval/metrics.py ExplicitPromptRelaxedCorrectness",
        relaxed.mistral_evals_explicit,
        state=relaxed.not_parsed,
        reads_output=True,
    ),
    Metric(
        "mistral_evals_anywhere",
        "relaxed correctness of mistral-evals, anywhere",
        "mistralai/mistral-evals eval/metrics.py AnywhereInAnswerRelaxedCorrectness",
        relaxed.mistral_evals_anywhere,
        state=relaxed.not_parsed,
        reads_output=True,
    ),
    Metric(
        "mmmu",
        "MMMU, as published",
        "MMMU-Benchmark/MMMU mmmu/utils/eval_utils.py, each guess with a seed of its own",
        mmmu.mmmu,
        state=mmmu.guessed,
    ),
    Metric(
        "mmmu_no_guess",
        "MMMU without guesses",
        "MMMU-Benchmark/MMMU mmmu/utils/eval_utils.py, but what names no option is wrong",
        mmmu.mmmu_no_guess,
        state=mmmu.not_parsed,
    ),
    Metric(
        "mmmu_pro",
        "MMMU-Pro, as published",
        "MMMU-Benchmark/MMMU mmmu-pro/evaluate.py, each guess with a seed of its own",
        mmmu_pro.mmmu_pro,
        state=mmmu_pro.guessed,
    ),
    Metric(
        "mathvista",
        "MathVista, of extractions",
        "lupantech/MathVista evaluation/calculate_score.py",
        mathvista.mathvista,
        state=mathvista.state,
    ),
    Metric(
        "ocrbench",
        "OCRBench",
        "Yuliang-Liu/MultimodalOCR OCRBench/example.py",
        ocrbench,
        figures={"characters of an answer, on average": mean_length},
    ),
    Metric(
        "multiple_choice",
        "multiple choice, letter or text",
        "EvolvingLMMs-Lab/lmms-eval tasks/ai2d, with either of its targets",
        multiple_choice.multiple_choice,
        state=multiple_choice.not_parsed,
    ),
    Metric(
        "first_character",
        "multiple choice, first character",
        "EvolvingLMMs-Lab/lmms-eval tasks/seedbench_2_plus",
        multiple_choice.first_character,
    ),
    Metric(
        "mmlongbench_doc",
        "MMLongBench-Doc, of extractions",
        "mayubo2333/MMLongBench-Doc eval/eval_score.py, lists read without evaluating them",
        mmlongbench_doc,
        figures={"F1 over the answerable, %": f1},
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric.bounded() for metric in _ALL}


def metric_of(dataset: DatasetConfig, name: str) -> Metric:
    """What the name stands for on this dataset: its own official evaluator where it has one.

    "VQA accuracy" is one evaluator's for VQAv2 and another's for TextVQA. Raises UserError for a
    name that does not exist, and for a function of the user's own that cannot be loaded.
    """
    chosen = dataset.evaluators.get(name, name)
    if is_reference(chosen):
        own = load(chosen)
        return Metric(name, name, own.reference, _not_used, own.version, own=own)
    if chosen not in METRICS:
        raise unknown_name(f"metric of dataset {dataset.name!r}", chosen, METRICS)
    return METRICS[chosen]


def _not_used(prediction: str, gold: Gold) -> float | None:  # noqa: ARG001
    raise AssertionError("a metric of the user's own is called with all of the answered question")


def functions_of(dataset: DatasetConfig) -> dict[str, ScoreFunction]:
    """The dataset's metrics, in its order; UserError names one that does not exist."""
    return {name: metric_of(dataset, name).for_dataset(dataset) for name in dataset.metrics}
