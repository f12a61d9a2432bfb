"""A bounded, chosen subset of questions as MLflow traces: its trace viewer is the error browser.

A trace takes 10-50 ms, a table row microseconds: so the table holds every question, and traces
hold the worst answers and a random sample of the others.

MLflow heads every numeric assessment with its average over the traces that are there. Over a
selection of mostly failures that number would look like the run's score and be none, so that a
trace has its outcome as a word, which MLflow counts, and its scores in the explanation.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pixtrack.configs.addresses import shown
from pixtrack.tasks.scoring.outcomes import outcome_of_row
from pixtrack.tasks.tracking.connection import (
    client,
    use_for_traces,
)
from pixtrack.tasks.tracking.content import RunContent
from pixtrack.tasks.tracking.links import TrackedRun
from pixtrack.tasks.tracking.pages import golds_text, options_text
from pixtrack.tasks.tracking.recorder import TrackingUnavailable
from pixtrack.tasks.tracking.settings import TraceSettings, settings
from pixtrack.tasks.tracking.waiting import still_there

_SLOW_SECONDS = 1.0

IMAGES_OF_A_TRACE = 8
"""Of a question on more images, a document's pages say, the first so many are attached."""

OUTCOME = "outcome in this selection"
"""The assessment that every trace has: one of `scoring.outcomes.OUTCOMES`."""

FORM = 2
"""Raised when a trace is made differently: logging a run again then replaces its traces."""

DIGEST_TAG = "mlflow.pixtrack.trace_digest"
"""Of what a trace shows: a trace whose digest is wanted again is kept, another is replaced."""


def chosen(scores: pd.DataFrame, metric: str, wanted: TraceSettings) -> pd.DataFrame:
    """The rows that become traces: failures first (lowest score, then index), then the sample.

    A failure is a question without a full score or without an answer. The same run yields the same
    choice.
    """
    score = scores[metric] if metric in scores else pd.Series(float("nan"), scores.index)
    # No score: a failure has none since there is no answer, another since there is no gold.
    failed = scores["error"].fillna("").ne("")
    ranked = scores.assign(_score=score.where(~failed, 0.0).fillna(1.0))
    failures = ranked[ranked["_score"] < 1.0].sort_values(["_score", "index"], kind="stable")
    worst = failures.head(wanted.failures)
    rest = ranked.drop(worst.index)
    lot = random.Random(wanted.seed)
    sampled = rest.loc[sorted(lot.sample(list(rest.index), min(wanted.random, len(rest))))]
    return pd.concat([worst, sampled]).drop(columns="_score")


def log_traces(content: RunContent, images: Path, tracked: TrackedRun, model_id: str) -> int:
    """Makes the run's traces what they should be: those missing are logged, stale ones deleted.

    Returns how many were logged.
    """
    scores = content.scores
    if scores is None or scores.empty:
        return 0
    rows = chosen(scores, content.metric_names[0], settings().traces)
    wanted = {_digest(content, row): row for row in rows.to_dict("records")}
    mlflow = client(tracked.uri)
    have = _have(mlflow, tracked)
    stale = [trace_id for digest, trace_id in have.items() if digest not in wanted]
    for start in range(0, len(stale), 100):  # MLflow's limit for one request
        mlflow.delete_traces(tracked.experiment_id, trace_ids=stale[start : start + 100])
    missing = [(digest, row) for digest, row in wanted.items() if digest not in have]
    if missing:
        use_for_traces(tracked.uri)
    now = time.time_ns()
    for rank, (digest, row) in enumerate(missing):
        # The viewer lists by start, latest first: a millisecond apart keeps the worst on top.
        started = time.monotonic()
        _log_trace(content, images, tracked, model_id, digest, row, now - rank * 1_000_000)
        if time.monotonic() - started > _SLOW_SECONDS:
            # MLflow's exporter swallows failed requests: after a slow one, ask the server itself.
            still_there(tracked.uri)
    if missing and len(_have(mlflow, tracked)) < len(wanted):
        raise TrackingUnavailable(
            f"MLflow store {shown(tracked.uri)} did not keep all traces of the run"
        )
    return len(missing)


def _have(mlflow: Any, tracked: TrackedRun) -> dict[str, str]:
    """Digest to trace id of the traces that the run has."""
    found: dict[str, str] = {}
    token = None
    while True:
        page = mlflow.search_traces(
            locations=[tracked.experiment_id],
            run_id=tracked.run_id,
            max_results=500,
            page_token=token,
            include_spans=False,
        )
        for trace in page:
            found[trace.info.tags.get(DIGEST_TAG, trace.info.trace_id)] = trace.info.trace_id
        token = page.token
        if not token:
            return found


def _digest(content: RunContent, row: dict[Any, Any]) -> str:
    shown = [
        FORM,
        row["index"],
        row["question"],
        list(row["answers"]),
        row["output"],
        row["error"],
        [str(row.get(name)) for name in content.metric_names],
    ]
    return hashlib.sha256(json.dumps(shown, default=str).encode()).hexdigest()[:16]


def _log_trace(
    content: RunContent,
    images: Path,
    tracked: TrackedRun,
    model_id: str,
    digest: str,
    row: dict[Any, Any],
    started: int,
) -> None:
    """One question: image and question in, answer out, golds and outcome as assessments."""
    import mlflow
    from mlflow.entities import AssessmentSource, SpanType
    from mlflow.tracing.provider import safe_set_span_in_context

    record = content.record
    outcome = outcome_of_row(row, content.metric_names[0])
    seconds = float(row["seconds"] or 0)
    inputs: dict[str, Any] = {"question": row["question"]}
    if options := options_text(row.get("options")):
        inputs["options"] = options
    paths = row.get("images")
    shown = [str(row["image_path"])] if paths is None else [str(path) for path in paths]
    for number, path in enumerate(shown[:IMAGES_OF_A_TRACE], 1):
        picture = _attachment(images, path)
        if picture is not None:
            inputs["image" if len(shown) == 1 else f"image {number}"] = picture
    span = mlflow.start_span_no_context(
        name=f"{record.dataset} {row['index']}",
        span_type=SpanType.CHAT_MODEL,
        inputs=inputs,
        attributes={
            "finish_reason": str(row["finish_reason"]),
            "image_path": ", ".join(shown),
            "image_pixels": f"{row['width']} x {row['height']}",
            "mlflow.llm.model": record.model_title or record.model,
        },
        tags={
            DIGEST_TAG: digest,
            "model": record.model,
            "prompt": record.prompt,
            "dataset": record.dataset,
            "question_id": str(row["question_id"]),
            "index": str(row["index"]),
            "question_type": str(row["question_type"] or ""),
            "outcome": outcome,
        },
        metadata={"mlflow.sourceRun": tracked.run_id, "mlflow.modelId": model_id},
        experiment_id=tracked.experiment_id,
        start_time_ns=started,
    )
    source = AssessmentSource(source_type="CODE", source_id="pixtrack scoring")
    # Assessments of the active trace travel with it, instead of one request each.
    with safe_set_span_in_context(span):
        mlflow.update_current_trace(
            request_preview=row["question"],
            response_preview=row["prediction"] or row["error"] or "(empty)",
        )
        if len(row["answers"]):
            mlflow.log_expectation(
                trace_id=span.trace_id,
                name="expected_response",
                value=golds_text(row["answers"]),
                source=AssessmentSource(source_type="HUMAN", source_id=record.dataset),
            )
        mlflow.log_feedback(
            trace_id=span.trace_id,
            name=OUTCOME,
            value=outcome,
            rationale=scores_text(content, row) or None,
            source=source,
        )
    span.set_outputs({"prediction": row["prediction"], "output": row["output"]})
    span.set_attribute(
        "mlflow.chat.tokenUsage",
        {
            "input_tokens": int(row["prompt_tokens"] or 0),
            "output_tokens": int(row["output_tokens"] or 0),
            "total_tokens": int(row["prompt_tokens"] or 0) + int(row["output_tokens"] or 0),
        },
    )
    if row["error"]:
        span.set_status("ERROR")
        span.set_attribute("error", str(row["error"]))
    span.end(end_time_ns=started + int(seconds * 1e9))


def scores_text(content: RunContent, row: Mapping[Any, Any]) -> str:
    """What each metric gives the answer, 0 to 1: `anls 0.62, exact_match 0`; "" without scores."""
    scores = [
        f"{name} {float(value):.4g}"
        for name in content.metric_names
        if (value := row.get(name)) is not None and not pd.isna(value)
    ]
    return ", ".join(scores)


def _attachment(images: Path, image_path: str) -> Any | None:
    """The image as a JPEG of bounded size; None where there is no such file."""
    from mlflow.tracing.attachments import Attachment
    from PIL import Image, ImageOps

    file = images / image_path
    if not image_path or not file.is_file():
        return None
    limit = settings().traces.image_max_pixels
    try:
        with Image.open(file) as opened:
            if opened.width * opened.height <= limit and opened.format in ("JPEG", "PNG"):
                return Attachment(
                    content_type=f"image/{opened.format.lower()}", content_bytes=file.read_bytes()
                )
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError):
        return None  # a bad image is its sample's error; the trace shows the question without it
    share = min(1.0, (limit / (picture.width * picture.height)) ** 0.5)
    picture = picture.resize(
        (max(1, int(picture.width * share)), max(1, int(picture.height * share)))
    )
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return Attachment(content_type="image/jpeg", content_bytes=stream.getvalue())
