from __future__ import annotations

import math
import re

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.runs.directory import Count, Interval, RunDirectory
from pixtrack.tasks.tracking.content import (
    RunContent,
    flatten,
    gpu_name,
    metrics,
    params,
    tags,
)
from tests.doubles.finished_runs import changed, finished_run
from tests.doubles.synthetic_runs import DatasetFactory


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    home = Home(tmp_path_factory.mktemp("home"))
    return finished_run(DatasetFactory(home, questions=20, images=5), failed=[3])


def test_params_are_what_can_change_an_answer_without_descriptions(run: RunDirectory) -> None:
    found = params(RunContent.read(run))
    assert found["model"] == "alpha" and found["prompt"] == "short"
    assert found["model.revision"] == "abc"
    assert found["sampling.max_tokens"] == "64"
    assert found["engine.options.max_num_seqs"] == "8"
    assert len(found["fingerprint"]) == 16
    assert not any("title" in name for name in found)


def test_flatten_leaves_out_what_is_empty_and_bounds_what_is_long() -> None:
    flat = flatten({"a": {"b": None, "c": "", "d": [], "e": 0, "f": False}, "g": "x" * 10_000})
    assert flat["a.e"] == "0" and flat["a.f"] == "false"
    assert set(flat) == {"a.e", "a.f", "g"}
    assert len(flat["g"]) == 500


def test_metrics_carry_dataset_interval_and_a_headline_of_their_own(run: RunDirectory) -> None:
    found = metrics(RunContent.read(run))
    assert next(iter(found)) == "headline"
    assert found["headline"] == found["docvqa_val/anls"]
    low, high = found["docvqa_val/anls_ci_low"], found["docvqa_val/anls_ci_high"]
    assert low < found["docvqa_val/anls"] < high
    assert found["docvqa_val/anls_stderr"] == 2.0
    assert found["counts/failed"] == 1
    assert found["perf/cached_share"] == 0.33
    assert found["perf/samples_per_s"] > 0


def test_a_value_that_does_not_exist_is_left_out_and_never_zero(run: RunDirectory) -> None:
    nothing = Interval(value=None, stderr=None, ci95=None, n=0)
    content = changed(
        run, metrics={"anls": nothing}, cached_share=None, samples_per_s=None,
        invocations=[], prompt_tokens=0,
    )  # fmt: skip
    found = metrics(content)
    assert not {"headline", "docvqa_val/anls", "perf/cached_share", "perf/samples_per_s"} & set(
        found
    )
    assert all(math.isfinite(value) for value in found.values())


def test_how_answers_were_read_is_counted_in_names_that_mlflow_takes(run: RunDirectory) -> None:
    content = changed(
        run,
        states={"reasoning": {"never reached an answer": Count(count=36, of=300)}},
        figures={"ocrbench": {"characters of an answer, on average": 41.25}},
    )
    found = metrics(content)
    assert found["counts/reasoning/never_reached_an_answer"] == 36
    assert found["figures/ocrbench/characters_of_an_answer_on_average"] == 41.25
    assert all(re.fullmatch(r"[\w\-. /]+", name) for name in found)


def test_speed_is_over_every_invocation_that_asked(run: RunDirectory) -> None:
    content = changed(
        run,
        samples_per_s=None,
        invocations=[{"asked": 10, "seconds": 2.0}, {"asked": 0, "seconds": 50.0}],
    )
    assert metrics(content)["perf/samples_per_s"] == 5.0


def test_tags_are_what_people_filter_by(run: RunDirectory) -> None:
    found = tags(RunContent.read(run))
    assert found["gpu"] == "NVIDIA H100" and found["engine_version"] == "0.32.0"
    assert found["mlflow.source.git.commit"] == "0123456789abcdef"
    assert found["weights"] == "trained" and found["scope"] == "full"


@pytest.mark.parametrize(
    ("host", "checks", "expected"),
    [
        ({}, [{"name": "cards", "detail": "no GPU here"}], "none"),
        ({"gpus": ["A", "A", "B"]}, [], "2 x A, B"),
        (
            {},
            [{"name": f"card {i}", "detail": "NVIDIA L4, 22.5 GiB"} for i in (0, 1)],
            "2 x NVIDIA L4",
        ),
    ],
)
def test_gpus_are_named_in_a_few_words(
    host: dict[str, object], checks: list[dict[str, str]], expected: str
) -> None:
    assert gpu_name(host, checks) == expected


def test_digest_changes_with_any_answer_and_not_with_where_it_was_logged(run: RunDirectory) -> None:
    content = RunContent.read(run)
    moved = changed(run, mlflow_run_id="x", mlflow_tracking_uri="http://y")
    before = content.digest()
    assert moved.digest() == before
    journal = run.journal_file.read_bytes()
    run.journal_file.write_bytes(journal + b"{}\n")
    try:
        assert content.digest() != before
    finally:
        run.journal_file.write_bytes(journal)
