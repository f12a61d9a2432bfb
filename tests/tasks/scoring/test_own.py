"""Metrics and post-processing steps of the user's own: what they see, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, read_yaml
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.comparison.compatibility import check_metric
from pixtrack.tasks.comparison.load import load_run
from pixtrack.tasks.records import Answer, Sample, SampleImage
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.runs.journal import Journal
from pixtrack.tasks.runs.opening import OpenRun
from pixtrack.tasks.scoring import finishing
from pixtrack.tasks.scoring.finishing import finish_run, with_metrics
from pixtrack.tasks.scoring.own import load
from pixtrack.tasks.scoring.postprocess import read
from pixtrack.tasks.scoring.scored import ScoredRun, score_outputs
from pixtrack.tasks.scoring.uncertainty import clustered_interval, interval_of_whole
from tests.tasks.scoring.test_finishing import run as run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def metric(folder: Path, body: str, argument: str = "answered") -> str:
    """A reference to a function with that body."""
    file = folder / "mine.py"
    file.write_text(f"def score({argument}):\n    {body}\n", encoding="utf-8")
    return f"{file}:score"


def samples(count: int = 4) -> list[Sample]:
    return [
        Sample(
            i, f"q{i}", f"Question {i}?", (f"gold {i}",), (SampleImage(f"i{i // 2}", "", 9, 9),),
            context="a paragraph", options=("yes", "no"), details=(("precision", "2"),),
        )
        for i in range(count)
    ]  # fmt: skip


def scored(reference: str, texts: list[str], *steps: str) -> ScoredRun:
    config = load_dataset("sample").model_copy(update={"metrics": ("exact_match",)})
    config = config.with_metrics([reference], Path.cwd())
    answers = {index: Answer(index, text, "stop") for index, text in enumerate(texts)}
    return score_outputs(samples(len(texts)), answers, config, steps)


def test_it_sees_the_question_golds_options_and_the_answer_twice(folder: Path) -> None:
    body = (
        "assert answered.question == f'Question {answered.index}?' and answered.context\n"
        "    assert answered.options == ('yes', 'no') and answered.details['precision'] == '2'\n"
        "    assert answered.output == ' GOLD 0 ' and answered.prediction == 'gold 0'\n"
        "    return answered.prediction in answered.golds"
    )
    found = scored(metric(folder, body), [" GOLD 0 "], "strip", "lower")
    assert found.metrics["mine.score"].value == 100
    assert found.table["mine.score"].tolist() == [1.0]


def test_a_metric_of_the_whole_run_scores_each_answer_in_order(folder: Path) -> None:
    body = "return [None if one.index == 1 else one.index / 4 for one in answers]"
    found = scored(metric(folder, body, "answers"), ["a", "b", "c"])
    assert found.table["mine.score"].tolist()[::2] == [0.0, 0.5]
    assert np.isnan(found.table["mine.score"][1])
    assert found.metrics["mine.score"].n == 2


def test_one_number_for_all_has_an_uncertainty_and_no_scores_of_questions(folder: Path) -> None:
    body = "return sum(one.output == 'x' for one in answers) / len(answers)"
    found = scored(metric(folder, body, "answers"), ["x", "y"] * 3 + ["x"] * 6)
    interval = found.metrics["mine.score"]
    assert interval.value == pytest.approx(75) and interval.n == 12
    assert interval.stderr and interval.ci95 and interval.ci95[0] < 75 < interval.ci95[1]
    assert found.table["mine.score"].isna().all()


def test_the_jackknife_of_a_mean_is_near_its_clustered_error() -> None:
    random = np.random.default_rng(1)
    codes = np.repeat(np.arange(200), 2)
    values = (random.random(400) < np.repeat(random.random(200), 2)).astype(float)
    whole = interval_of_whole(lambda some: float(np.mean(some)), values.tolist(), codes.tolist())
    mean = clustered_interval(values, codes.tolist())
    assert whole.value == pytest.approx(mean.value)
    assert whole.stderr == pytest.approx(mean.stderr, rel=0.35)


def test_the_jackknife_is_that_of_the_textbook_written_out_by_hand() -> None:
    values, clusters = [0.9, 0.4, 0.5, 0.7, 0.6], ["a", "a", "b", "c", "c"]
    without = [np.mean([0.5, 0.7, 0.6]), np.mean([0.9, 0.4, 0.7, 0.6]), np.mean([0.9, 0.4, 0.5])]
    error = np.sqrt(2 / 3 * sum((one - np.mean(without)) ** 2 for one in without))
    half = stats.t.ppf(0.975, 2) * error
    found = interval_of_whole(lambda some: float(np.mean(some)), values, clusters)
    assert found.value == pytest.approx(62) and found.n == 5
    assert found.stderr == pytest.approx(100 * error)
    assert found.ci95 == pytest.approx((100 * (0.62 - half), 100 * (0.62 + half)))
    two = interval_of_whole(lambda some: float(np.mean(some)), [0.2, 0.6], "ab")
    assert two.stderr == pytest.approx(100 * np.sqrt(1 / 2 * 2 * 0.2**2))
    near_the_ends = interval_of_whole(lambda some: float(np.mean(some)), [0, 0, 1, 0.5], "abcd")
    assert near_the_ends.ci95 == (0, 100)
    one = interval_of_whole(lambda some: 0.5, values, ["a"] * 5)
    alike = interval_of_whole(lambda some: 0.5, values, clusters)
    assert (one.stderr, one.ci95, alike.stderr, alike.ci95) == (None, None, None, None)


def test_more_clusters_than_groups_are_left_out_together() -> None:
    calls: list[int] = []

    def mean(some: Sequence[float]) -> float:
        calls.append(len(some))
        return float(np.mean(some))

    assert interval_of_whole(mean, list(range(120)), range(120)).stderr is not None
    assert calls == [120, *[117] * 20, *[118] * 30]


def test_a_function_that_fails_on_parts_gives_a_number_without_uncertainty() -> None:
    def all_or_nothing(some: object) -> float:
        if len(some) < 4:  # type: ignore[arg-type]
            raise UserError("too few")
        return 0.5

    interval = interval_of_whole(all_or_nothing, "abcd", "abcd")
    assert (interval.value, interval.stderr, interval.ci95) == (50, None, None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 1 / 0", r"mine\.py:score: fails on question 0, line 2: ZeroDivisionError"),
        ("return 'right'", r"mine\.py:score: returned 'right' for question 0: a score is a number"),
        ("return 50", "returned 50 for question 0: a score is a number from 0 to 1"),
        ("return float('nan')", "returned nan for question 0"),
        ("return answered.gold", "fails on question 0, line 2: AttributeError"),
    ],
)
def test_what_is_no_score_names_file_line_and_question(folder: Path, body: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        scored(metric(folder, body), ["x"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return [1.0]", "returned 1 scores for 2 answers"),
        ("return None", "returned None for all answers"),
        ("return [1.0, 7]", "returned 7 for question 1"),
        ("return -1", "returned -1 for all answers"),
        ("raise KeyError('x')", "fails on all 2 answers, line 2: KeyError"),
    ],
)
def test_what_is_no_score_of_a_run_is_named_too(folder: Path, body: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        scored(metric(folder, body, "answers"), ["x", "y"])


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("absent.py:score", r"absent\.py: no such file: correct the path"),
        ("mine.py:absent", r"no function 'absent' \(it has: score\)"),
        ("mine.py:score:more", "no reference to a function"),
        ("broken.py:score", r"cannot be read, line 1: SyntaxError|cannot be read: SyntaxError"),
        ("two.py:score", "takes 2 arguments"),
        ("no_such_package.metrics:score", "cannot be imported|no module"),
        ("no_such_module:score", "there is no module 'no_such_module' here"),
    ],
)
def test_a_reference_that_leads_nowhere_says_why(folder: Path, reference: str, said: str) -> None:
    metric(folder, "return 1")
    (folder / "broken.py").write_text("def score(:\n")
    (folder / "two.py").write_text("def score(prediction, golds):\n    return 1\n")
    with pytest.raises(UserError, match=said):
        scored(reference, ["x"])


def test_what_python_can_import_is_a_metric_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "pixtrack_test_installed.py").write_text("def always(answered):\n    return 1\n")
    monkeypatch.syspath_prepend(str(folder))
    found = scored("pixtrack_test_installed:always", ["x"])
    assert found.metrics["pixtrack_test_installed.always"].value == 100


def test_relative_paths_start_at_the_dataset_s_file(folder: Path) -> None:
    metric(folder, "return 1")
    (folder / "datasets").mkdir()
    path = folder / "datasets" / "own.yaml"
    path.write_text(
        "title: T\nsource: {kind: annotations, qa_file: q.jsonl, img_folder: .}\nprompt: plain\n"
        "metrics: [anls, '../mine.py:score']\nheadline: '../mine.py:score'\nlicence: none\n"
    )
    config = read_yaml(path, DatasetConfig, name="own").read_from(path.parent)
    assert config.metrics == ("anls", "mine.score") and config.headline == "mine.score"
    assert config.evaluators["mine.score"] == f"{folder / 'mine.py'}:score"
    assert DatasetConfig.model_validate(config.model_dump()) == config


def test_a_step_of_ones_own_makes_the_prediction_and_must_return_a_text(folder: Path) -> None:
    (folder / "steps.py").write_text("def cut(text):\n    return text[:3] or None\n")
    step = f"{folder / 'steps.py'}:cut"
    assert read(["strip", step], "  abcdef").prediction == "abc"
    with pytest.raises(UserError, match=r"steps\.py:cut: returned None for a text"):
        read([step], "")


def answer_all(run: OpenRun) -> None:
    with Journal(run.directory.journal_file, run.fingerprint) as journal:
        for index in range(4):
            journal.append(Answer(index, "42", "stop"))


def own_run(run: OpenRun, reference: str) -> OpenRun:
    dataset = run.cell.dataset.with_metrics([reference], Path.cwd())
    return replace(run, cell=replace(run.cell, dataset=dataset))


def test_the_file_s_digest_is_in_the_record_and_no_part_of_the_fingerprint(
    run: OpenRun, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answer_all(run)
    reference = metric(folder, "return 1")
    finish_run(own_run(run, reference))
    record = run.directory.read_record()
    assert record is not None and record.own_code == {reference: load(reference).digest}
    assert "mine" not in json.dumps(record.identity) and record.fingerprint == run.fingerprint
    first = run.directory.read_summary()
    metric(folder, "return 0.5")
    now = finish_run(run)  # the run keeps the metric, although the dataset does not name it
    assert first is not None and first.metrics["mine.score"].value == 100
    assert now.metrics["mine.score"].value == 50
    assert now.history[-1]["metrics"]["mine.score"] == 100
    assert first.metric_versions["mine.score"] != now.metric_versions["mine.score"]
    (folder / "mine.py").unlink()
    assert "mine.score" not in with_metrics(run.cell.dataset, record).metrics
    assert "this metric of the run is left out" in caplog.text


def test_a_number_for_the_whole_run_is_not_compared_question_by_question(
    run: OpenRun, folder: Path
) -> None:
    answer_all(run)
    finish_run(own_run(run, metric(folder, "return 0.5", "answers")))
    loaded = load_run(RunDirectory(run.directory.path))
    with pytest.raises(UserError, match=r"cannot compare .* by mine\.score: it is one number for"):
        check_metric([loaded, loaded], "mine.score", ())
    check_metric([loaded, loaded], "exact_match", ())


def test_an_unknown_metric_offers_names_and_references() -> None:
    with pytest.raises(UserError, match=r"Did you mean 'anls'.*FILE\.py:FUNCTION"):
        finishing.check_metrics(["anlz"])
