"""What a study ends with, and what the recorder is told."""

from __future__ import annotations

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import StudyConfig
from pixtrack.tasks.comparison import compare
from pixtrack.tasks.comparison.publish import publish
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
    }


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
