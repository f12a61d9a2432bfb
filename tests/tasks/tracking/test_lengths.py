"""However long a model's title or a verdict is, MLflow gets it."""

from __future__ import annotations

from typing import Any

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.comparison import compare
from pixtrack.tasks.comparison.publish import publish
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking import log_run
from pixtrack.tasks.tracking.lengths import LONGEST_KEY, short_name, short_text
from pixtrack.tasks.tracking.mlflow_recorder import MlflowRecorder
from tests.doubles.finished_runs import finished_run
from tests.doubles.synthetic_runs import DatasetFactory


def test_what_is_too_long_is_cut_and_stays_its_own() -> None:
    assert short_name("x" * 250) == "x" * 250
    first, second = short_name("x" * 300 + "a"), short_name("x" * 300 + "b")
    assert len(first) <= LONGEST_KEY and first != second and first.startswith("x" * 200)
    assert short_text("y" * 9_000)[-1] == "…" and len(short_text("y" * 9_000)) == 8_000


@pytest.mark.parametrize("length", [201, 251, 6_001, 9_000])
def test_runs_and_a_comparison_of_long_titles_are_logged(
    home: Home, dataset: DatasetFactory, mlflow: Any, length: int
) -> None:
    runs: list[RunDirectory] = []
    for number, model in enumerate(("alpha", "beta")):
        run = finished_run(dataset, model, seed=number + 1)
        record = run.read_record()
        assert record is not None
        title = f"{model} {'long title ' * length}"[:length]
        run.write_record(record.model_copy(update={"model_title": title}))
        log_run(run, home.images)
        runs.append(run)
    published = publish(compare(runs, name=f"long-{length}"), home, recorder=MlflowRecorder())
    assert published.not_logged == "" and published.link
    assert published.written.markdown.is_file()
