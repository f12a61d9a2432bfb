"""Run directories for the tracking tests: the comparison's synthetic ones, with the files that
inference and scoring add (config, answers, environment, intervals)."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from pixtrack.tasks.runs.directory import Interval, RunDirectory
from pixtrack.tasks.tracking.content import RunContent
from tests.doubles.synthetic_runs import DatasetFactory


def finished_run(dataset: DatasetFactory, model: str = "alpha", **options: Any) -> RunDirectory:
    """A completed run with every file that tracking sends."""
    run = dataset.run(model, **options)
    scores = pd.read_parquet(run.scores_file)
    record, summary = run.read_record(), run.read_summary()
    assert record and summary
    metrics = {}
    for name in record.metrics:
        if not scores[name].count():
            metrics[name] = Interval(value=None, stderr=None, ci95=None)
            continue
        value = float(scores[name].mean() * 100)
        metrics[name] = Interval(
            value=value, stderr=2.0, ci95=(value - 4, value + 4), n=int(scores[name].count())
        )
    types = scores.groupby("question_type")[record.headline].mean() * 100
    by = {
        "question_type": {
            str(kind): {record.headline: Interval(value=float(mean), stderr=None, ci95=None, n=3)}
            for kind, mean in types.items()
            if mean == mean
        }
    }
    run.write_summary(
        summary.model_copy(update={"metrics": metrics, "by": by, "cached_share": 0.33})
    )
    run.write_record(
        record.model_copy(update={"mlflow_run_id": None, "git_commit": "0123456789abcdef"})
    )
    config = {
        "model": {"name": model, "title": model.title(), "engine": {"max_num_seqs": 8}},
        "dataset": {
            "name": dataset.name,
            "source": {
                "kind": "hub",
                "repo": "owner/docvqa",
                "revision": "abc",
                "files": ["*.parquet"],
            },
        },
        "prompt": {"name": record.prompt, "template": "{question}"},
    }
    run.config_file.write_text(json.dumps(config), encoding="utf-8")
    run.environment_file.write_text("[]", encoding="utf-8")
    run.journal_file.write_text(
        "".join(
            json.dumps({"index": int(i), "text": text, "finish_reason": "stop"}) + "\n"
            for i, text in zip(scores["index"], scores["output"], strict=True)
        ),
        encoding="utf-8",
    )
    run.engine_log.write_text("engine ready\n", encoding="utf-8")
    return run


def changed(run: RunDirectory, **update: object) -> RunContent:
    """The run's content with its record or summary changed."""
    content = RunContent.read(run)
    record = content.record.model_copy(
        update={k: v for k, v in update.items() if k in type(content.record).model_fields}
    )
    assert content.summary
    summary = content.summary.model_copy(
        update={k: v for k, v in update.items() if k in type(content.summary).model_fields}
    )
    return RunContent(run, record, summary, content.config)
