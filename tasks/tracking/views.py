"""Saved views: how MLflow's run list and charts look when our links open them.

Left to itself MLflow hides the metric columns, sorts chart sections by name (counts before scores)
and draws a chart for every end of an interval. A saved view is an experiment tag that its interface
lists under "Views" and opens by `viewStateShareKey=`; the form is that of MLflow 3.17's own.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

KEY = "pixtrack"
"""The view's key in links; one view an experiment."""

TAG = f"mlflow.sharedViewState.{KEY}"

_PERFORMANCE = (
    "perf/samples_per_s",
    "perf/inference_seconds",
    "perf/prompt_tokens",
    "perf/output_tokens",
    "perf/cached_share",
)
_COUNTS = ("counts/answered", "counts/failed", "counts/truncated")


def dataset_view(dataset: str, metrics: Sequence[str]) -> dict[str, Any]:
    """Runs of one dataset: best headline first, its interval beside it, then speed and counts."""
    scores = [f"{dataset}/{name}" for name in metrics]
    trade_off = {
        "type": "SCATTER",
        "displayName": "headline against questions a second",
        "xaxis": {"key": "perf/samples_per_s", "type": "METRIC"},
        "yaxis": {"key": "headline", "type": "METRIC"},
    }
    return _state(
        columns=[
            *(_metric(name) for name in ("headline", "headline_ci_low", "headline_ci_high")),
            *(_metric(name) for name in scores[1:]),
            *(_metric(name) for name in ("counts/questions", "counts/failed", "counts/truncated")),
            _metric("perf/samples_per_s"),
            *(f"tags.`{name}`" for name in ("weights", "scope", "engine_version", "gpu")),
        ],
        order_by=_metric("headline"),
        sections={
            "Scores (0-100)": [_bar(name) for name in scores],
            "Speed": [*(_bar(name) for name in _PERFORMANCE[:2]), trade_off],
            "Questions": [_bar(name) for name in _COUNTS],
            "Tokens": [_bar(name) for name in _PERFORMANCE[2:]],
        },
    )


def leaderboard_view(headlines: Sequence[str]) -> dict[str, Any]:
    """One row a model and prompt, one column a dataset's headline."""
    return _state(
        columns=[
            *(_metric(name) for name in headlines),
            *(f"params.`{name}`" for name in ("model", "prompt", "weights")),
        ],
        order_by=_metric(headlines[0]) if headlines else "attributes.start_time",
        sections={"Headline of every dataset (0-100)": [_bar(name) for name in headlines]},
    )


def comparisons_view() -> dict[str, Any]:
    """The comparisons, latest first; of those of two runs, the difference and its p value."""
    names = ("difference", "difference_ci_low", "difference_ci_high", "p")
    return _state(
        columns=[*(_metric(name) for name in names), "tags.`datasets`"],
        order_by="attributes.start_time",
        sections={"Differences (points)": [_bar("difference"), _bar("p")]},
    )


def _metric(name: str) -> str:
    return f"metrics.`{name}`"


def _bar(metric: str) -> dict[str, Any]:
    return {"type": "BAR", "metricKey": metric, "displayName": metric, "runsCountToCompare": 20}


def _state(
    columns: list[str], order_by: str, sections: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    charts = [
        {
            "uuid": f"{section}-{number}",
            "metricSectionId": section,
            "deleted": False,
            "isGenerated": False,
            "runsCountToCompare": 20,
            **chart,
        }
        for section, drawn in sections.items()
        for number, chart in enumerate(drawn)
    ]
    return {
        "searchFilter": "",
        "orderByKey": order_by,
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {},
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": charts,
        "compareRunSections": [
            {
                "uuid": name,
                "name": name,
                "display": True,
                "isReordered": False,
                "deleted": False,
                "isGenerated": False,
            }
            for name in sections
        ],
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }


def encode(name: str, state: Mapping[str, Any]) -> str:
    """The tag's value for a view of that name; equal states give equal values."""
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    return json.dumps(
        {"name": name, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"},
        separators=(",", ":"),
    )


def decode(value: str) -> dict[str, Any]:
    """The state in a tag's value."""
    packed = json.loads(value)["state"].removeprefix("deflate;")
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return state


def publish(
    mlflow: Any, experiment_id: str, name: str, state: Mapping[str, Any], note: str
) -> None:
    """Puts view and description on the experiment where they are missing or differ."""
    have = mlflow.get_experiment(experiment_id).tags
    wanted = {TAG: encode(name, state), "mlflow.note.content": note}
    for key, value in wanted.items():
        if have.get(key) != value:
            mlflow.set_experiment_tag(experiment_id, key, value)
