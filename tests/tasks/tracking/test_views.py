from __future__ import annotations

from pixtrack.tasks.tracking.views import dataset_view, decode, encode, leaderboard_view


def test_encoded_view_reads_back_and_is_stable() -> None:
    state = dataset_view("docvqa_val", ["anls", "damqa"])
    assert decode(encode("Scores", state)) == state
    assert encode("Scores", state) == encode(
        "Scores", dataset_view("docvqa_val", ["anls", "damqa"])
    )


def test_dataset_view_sorts_by_headline_and_shows_its_interval_beside_it() -> None:
    state = dataset_view("docvqa_val", ["anls", "damqa"])
    assert state["orderByKey"] == "metrics.`headline`" and state["orderByAsc"] is False
    assert state["selectedColumns"][:4] == [
        "metrics.`headline`",
        "metrics.`headline_ci_low`",
        "metrics.`headline_ci_high`",
        "metrics.`docvqa_val/damqa`",
    ]


def test_every_chart_lies_in_a_section_that_exists() -> None:
    for state in (dataset_view("d", ["anls"]), leaderboard_view(["d/anls", "e/anls"])):
        sections = {section["uuid"] for section in state["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} <= sections
        uuids = [chart["uuid"] for chart in state["compareRunCharts"]]
        assert len(uuids) == len(set(uuids))
