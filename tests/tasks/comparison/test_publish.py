"""What a study ends with, and what the recorder is told."""

from __future__ import annotations

import pytest

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import StudyConfig
from pixtrack.tasks.comparison import compare
from pixtrack.tasks.comparison.publish import _two_digits, publish
from pixtrack.tasks.comparison.task import compare_runs
from tests.doubles.recorder import MemoryRecorder
from tests.doubles.synthetic_runs import DatasetFactory


def test_the_recorder_gets_the_folder_the_verdict_and_the_scores(docs: DatasetFactory) -> None:
    recorder = MemoryRecorder()
    result = compare([docs.run("al(pha)"), docs.run("beta", seed=2)])
    published = publish(result, docs.home, recorder=recorder)
    assert (published.link, published.not_logged) == (f"memory://reports/{result.name}", "")
    report = recorder.reports[result.name]
    assert report.directory == docs.home.comparisons / result.name
    assert result.verdict in report.note
    assert set(report.metrics) == {
        "docvqa_val/Al Pha ",
        "docvqa_val/Beta",
        "docvqa_val/Beta - Al Pha ",
        "docvqa_val/p of Beta - Al Pha ",
        *("difference", "difference_ci_low", "difference_ci_high", "p"),
    }
    (pair,) = result.datasets[0].differences
    assert report.metrics["difference"] == round(pair.difference, 2)
    assert report.metrics["p"] == pytest.approx(pair.p_corrected, rel=0.05)


def test_small_p_values_are_not_rounded_to_none() -> None:
    assert _two_digits(0.0000123) == 0.000012
    assert _two_digits(0.61) == 0.61


def test_comparisons_of_several_pairs_have_no_difference_that_stands_for_all(
    docs: DatasetFactory,
) -> None:
    recorder = MemoryRecorder()
    result = compare([docs.run("alpha"), docs.run("beta", seed=2), docs.run("gamma", seed=3)])
    publish(result, docs.home, recorder=recorder)
    metrics = recorder.reports[result.name].metrics
    assert not {"difference", "p"} & set(metrics)
    assert len([name for name in metrics if "/p of " in name]) == len(
        result.datasets[0].differences
    )


def test_a_study_ends_with_the_report_and_a_verdict(home: Home, docs: DatasetFactory) -> None:
    runs = [docs.run("alpha", skill=-2), docs.run("beta", skill=2, seed=2)]
    study = StudyConfig(
        name="mine", title="Mine", models=("alpha", "beta"), datasets=("d",), baseline="beta"
    )
    result = compare_runs(study, runs, home, MemoryRecorder(away="http://127.0.0.1:9: no answer"))
    assert result["verdict"].startswith("Beta beats Alpha")
    assert (home.comparisons / "mine" / "index.html").is_file()
    assert result["page"] == str(home.comparisons / "mine" / "index.html")
    assert "| Model |" in result["markdown"]
    assert result["not_logged"] == "http://127.0.0.1:9: no answer"
