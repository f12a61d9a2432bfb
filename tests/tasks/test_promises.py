"""Promises that code once kept without a test: each was broken on purpose, and nothing failed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixtrack.configs.loading import load_dataset, load_model, load_prompt
from pixtrack.configs.schema import PromptConfig
from pixtrack.tasks.comparison import compare
from pixtrack.tasks.comparison.statistics import RANDOM_FLIPS, sign_flip_p
from pixtrack.tasks.inference.engines.base import EnginePrompt, RequestRefused
from pixtrack.tasks.inference.prompts.base import Draft
from pixtrack.tasks.inference.worker.fitting import fitting_draft
from pixtrack.tasks.records import Answer, PreparedDataset, Request, Sample
from pixtrack.tasks.runs import journal as journals
from pixtrack.tasks.runs.directory import fingerprint
from pixtrack.tasks.runs.journal import Journal, read_answers
from pixtrack.tasks.runs.opening import Cell, identity_of
from pixtrack.tasks.scoring import score_samples
from pixtrack.tasks.scoring.summaries import run_status, versions
from tests.doubles.patience import wait_until
from tests.doubles.synthetic_runs import DatasetFactory

FINGERPRINT = "f" * 64


# --- the fingerprint ------------------------------------------------------------


def identity(**changes: Any) -> str:
    """The fingerprint of a run, with something of it changed."""
    prompt = load_prompt("plain").for_dataset("sample")
    prompt = prompt.model_copy(update=changes.pop("prompt", {}))
    cell = Cell(load_model("pixtral-nano"), load_dataset("sample"), prompt)
    model = {"files": "abc", **changes.pop("model", {})}
    engine = {"name": "vllm", "version": "1", "options": {"dtype": "bfloat16"}}
    prepared = PreparedDataset(
        name="sample",
        directory=Path(),
        images=Path(),
        digest=changes.pop("digest", "d"),
        samples=(Sample(0, "", "What?", ("x",), options=changes.pop("options", ())),),
        source={},
    )
    return fingerprint(identity_of(cell, model, {**engine, **changes.pop("engine", {})}, prepared))


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"files": "abd"}},
        {"engine": {"name": "openai"}},
        {"engine": {"version": "2"}},
        {"engine": {"options": {"dtype": "float32"}}},
        {"prompt": {"system": "Be brief."}},
        {"prompt": {"template": "{question}!"}},
        {"prompt": {"history_template": "{question}!"}},
        {"prompt": {"context_template": "{context}!"}},
        {"prompt": {"max_new_tokens": 7}},
        {"prompt": {"stop": ("\n\n",)}},
        {"digest": "e"},
    ],
)
def test_whatever_can_change_an_answer_makes_another_run(changes: dict[str, Any]) -> None:
    assert identity(**changes) != identity()


def test_how_options_are_put_counts_where_there_are_options() -> None:
    other = {"option_template": "({letter}) {option}"}
    assert identity(prompt=other) == identity()
    assert identity(prompt=other, options=("a",)) != identity(options=("a",))


def test_what_cannot_change_an_answer_makes_no_other_run() -> None:
    assert (
        identity(prompt={"postprocess": ("lower",), "title": "Other", "name": "other"})
        == identity()
    )


def test_the_sampling_is_part_of_the_fingerprint() -> None:
    cell = Cell(load_model("pixtral-nano"), load_dataset("sample"), load_prompt("plain"))
    prepared = PreparedDataset("sample", Path(), Path(), "d", (), {})
    found = identity_of(cell, {}, {}, prepared)
    assert found["sampling"] == cell.sampling.model_dump(mode="json")
    for key in ("max_tokens", "temperature", "top_p", "seed", "stop"):
        assert key in found["sampling"]


# --- verdicts -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failed", "unanswered", "status"),
    [(0, 0, "completed"), (1, 0, "completed"), (2, 0, "failed"), (0, 1, "failed")],
)
def test_a_run_fails_beyond_the_datasets_share_not_at_it(
    failed: int, unanswered: int, status: str
) -> None:
    dataset = load_dataset("sample").model_copy(update={"max_failed_fraction": 0.01})
    assert run_status(dataset, 100, failed, unanswered)[0] == status


def test_a_metrics_version_is_that_of_the_datasets_own_evaluator() -> None:
    dataset = load_dataset("textvqa_val")
    assert dataset.evaluators, "the test needs a dataset that names an evaluator"
    prompt = PromptConfig(name="p", title="P", template="{question}", max_new_tokens=4)
    scored = score_samples(
        (Sample(0, "0", "q?", ("a",) * 10),), {0: Answer(0, "a", "stop")}, dataset, prompt
    )
    from pixtrack.tasks.scoring.metrics import METRICS

    for name, version in versions(dataset, scored).items():
        assert version == METRICS[dataset.evaluators.get(name, name)].version


# --- prompts and answers ----------------------------------------------------------


class _Builder:
    """Drafts of a given length."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def target_size(self, width: int, height: int) -> None:
        """Unknown."""

    def draft(self, request: Request) -> Draft:
        return Draft(request, self.tokens, 0)

    def prompt(self, draft: Draft, images: Sequence[Any]) -> EnginePrompt:
        raise NotImplementedError


@pytest.mark.parametrize(("tokens", "fits"), [(99, True), (100, False), (101, False)])
def test_a_prompt_as_long_as_the_context_leaves_no_room_for_an_answer(
    tokens: int, fits: bool
) -> None:
    request = Request(0, (), ("q",))
    if fits:
        assert fitting_draft(request, _Builder(tokens), 100, 1).prompt_tokens == tokens
    else:
        with pytest.raises(RequestRefused, match="does not fit max_model_len 100"):
            fitting_draft(request, _Builder(tokens), 100, 1)


def test_the_last_final_answer_wins(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Journal(path, FINGERPRINT) as journal:
        journal.append(Answer(0, "", "error"))
        journal.append(Answer(0, "first", "stop"))
        journal.append(Answer(1, "", "error", error="once"))
        journal.append(Answer(1, "", "error", error="twice"))
    lines = path.read_text().splitlines(keepends=True)
    # As a merge of two data homes may leave it: a failure and another final answer behind the first.
    path.write_text("".join([*lines, lines[1], lines[2].replace("first", "second")]))
    found = read_answers(path)
    assert (found[0].text, found[1].error) == ("second", "twice")


def test_what_was_answered_is_on_the_disk_when_the_journal_closes_and_soon_after_each_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[float] = []
    real = os.fsync

    def fsync(file: int) -> None:
        real(file)
        synced.append(time.monotonic())

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(journals, "SYNC_SECONDS", 0.02)
    journal = Journal(tmp_path / "answers.jsonl", FINGERPRINT).__enter__()
    for index in (0, 1):
        journal.append(Answer(index, "a", "stop"))
        wait_until(
            lambda: len(synced) > index,  # noqa: B023
            "an answer is written through without waiting for the end",
        )
    time.sleep(0.1)
    before = len(synced)
    journal.append(Answer(2, "b", "stop"))
    journal.close()
    assert len(synced) > before


# --- comparisons ------------------------------------------------------------------


def test_a_permutation_p_is_never_zero() -> None:
    alike = np.ones(400)
    p = sign_flip_p(alike, np.arange(400))
    assert p == pytest.approx(1 / (RANDOM_FLIPS + 1))
    exact = sign_flip_p(np.ones(5), np.arange(5))
    assert exact == pytest.approx(2 / 2**5)


def test_the_baselines_own_prompt_is_compared_with(docs: DatasetFactory) -> None:
    """Where a model has runs of two prompts, each dataset's baseline is the one that was named."""
    short, long = docs.run("alpha", prompt="short"), docs.run("alpha", prompt="long", seed=2)
    other = docs.run("beta", seed=3)
    for wanted, same_model in ((short, long), (long, short)):
        result = compare([short, long, other], baseline=wanted)
        (dataset,) = result.datasets
        pairs = {dataset.row(p.run).name: dataset.row(p.against).name for p in dataset.differences}
        assert wanted.path.name not in pairs
        assert pairs[same_model.path.name] == wanted.path.name


@pytest.fixture
def docs(tmp_path: Path) -> DatasetFactory:
    """Questions on images for comparisons."""
    from pixtrack.configs.paths import Home

    return DatasetFactory(Home(tmp_path), questions=24, images=6)
