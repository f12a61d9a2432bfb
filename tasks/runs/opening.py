"""Opens a run: from a prepared dataset and a model's files to a run directory with its requests.

Called after the dataset is prepared and before the engine is fed. Two openings with the same
fingerprint open the same run, and find its answers.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pixtrack.configs.checkout import git_commit
from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import (
    DatasetConfig,
    ModelConfig,
    PromptConfig,
    Sampling,
    Settings,
)
from pixtrack.configs.version import version
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.records import Answer, PreparedDataset, Request, Sample, request_to_json
from pixtrack.tasks.runs.directory import (
    RunDirectory,
    RunRecord,
    fingerprint,
    run_name,
)
from pixtrack.tasks.runs.invocations import account_for_killed
from pixtrack.tasks.runs.journal import Journal, read_answers
from pixtrack.tasks.runs.left_parts import take_over_parts
from pixtrack.tasks.runs.lock import RunLock
from pixtrack.tasks.runs.protocol import Job
from pixtrack.tasks.runs.requests import PageRule, build_requests, check_shots
from pixtrack.tasks.runs.selection import Selection


@dataclass(frozen=True)
class Cell:
    """One run to be: a model on a dataset with a prompt."""

    model: ModelConfig
    dataset: DatasetConfig
    prompt: PromptConfig
    """Already `for_dataset`."""
    limit: int | None = None
    """The first so many samples; None: all."""
    settings: Settings = field(default_factory=Settings)
    """What the command says of how answers are drawn; its part in the prompt is applied already."""
    shots: tuple[Sample, ...] = ()
    """The worked examples of the prompt, once its dataset is prepared."""
    selection: Selection | None = None
    """Which samples, where it is neither all nor the first ones."""

    def samples(self, prepared: PreparedDataset) -> tuple[Sample, ...]:
        """The samples that this run asks: the selected ones, the first `limit`, or all."""
        if self.selection is not None:
            return self.selection.choose(prepared.samples)
        return prepared.samples[: self.limit] if self.limit else prepared.samples

    @property
    def sampling(self) -> Sampling:
        """As the command says; otherwise greedy. The output limit is the prompt's.

        A seed counts only where something is drawn, so that it makes no other run of the same
        answers.
        """
        temperature = self.settings.temperature or 0.0
        return Sampling(
            max_tokens=self.prompt.max_new_tokens,
            temperature=temperature,
            seed=self.settings.seed or 0 if temperature else 0,
            stop=self.prompt.stop,
        )


@dataclass(frozen=True)
class OpenRun:
    """A run whose requests are written and whose unanswered questions are counted."""

    cell: Cell
    directory: RunDirectory
    lock: RunLock
    """Acquired; whoever opens a run releases it with `close`."""
    samples: tuple[Sample, ...]
    images: Path
    requests: tuple[Request, ...]
    unanswered: int
    fingerprint: str

    @property
    def job(self) -> Job:
        """The run as a job for the inference child."""
        return Job(
            job_id=self.directory.path.name,
            requests_path=str(self.directory.requests_file),
            journal_path=str(self.directory.journal_file),
            fingerprint=self.fingerprint,
            sampling=self.cell.sampling,
        )

    def close(self, status: Literal["failed", "cancelled"], message: str) -> None:
        """Releases the run; one whose record still says `running` gets that status and message."""
        try:
            record = self.directory.read_record()
            if record is not None and record.status == "running":
                record.status, record.message = status, message
                self.directory.write_record(record)
        except UserError:
            pass  # a damaged record: the next command that opens the run says so
        finally:
            self.lock.release()

    def answers(self) -> dict[int, Answer]:
        """The journal's answers to this run's questions, by sample index."""
        wanted = {request.index for request in self.requests}
        found = read_answers(self.directory.journal_file)
        return {index: answer for index, answer in found.items() if index in wanted}


def identity_of(
    cell: Cell,
    model_identity: dict[str, Any],
    engine: dict[str, Any],
    prepared: PreparedDataset,
    longest: int | None = None,
) -> dict[str, Any]:
    """Everything that can change an answer, as plain JSON: what the fingerprint is made of.

    `model_identity`: a digest of the files, or the endpoint. `engine`: name, version, platform
    and those of its options that can change an answer. `longest` is the max_model_len that the
    engine gets, where it is known: it decides how many pages a prompt shows. The post-processing is
    left out: it is applied to stored output, at any time. How options are put, and which pages are
    shown, is in it only where there are any, so that runs of before there were keep their
    fingerprint.
    """
    prompt = cell.prompt
    identity: dict[str, Any] = {
        "model": model_identity,
        "engine": engine,
        "prompt": {
            "system": prompt.system,
            "template": prompt.template,
            "history_template": prompt.history_template,
            "context_template": prompt.context_template,
        },
        "sampling": cell.sampling.model_dump(mode="json"),
        "dataset": prepared.digest,
    }
    if any(sample.options for sample in prepared.samples):
        identity["prompt"] = {
            **identity["prompt"],
            "option_template": prompt.option_template,
            "option_separator": prompt.option_separator,
            "options_template": prompt.options_template,
        }
    if cell.shots:
        identity["prompt"] = {**identity["prompt"], "shots": [_shown(one) for one in cell.shots]}
    rule = PageRule.of(cell.dataset, cell.model, cell.shots)
    several = any(len(sample.images) > 1 for sample in prepared.samples)
    if several and rule.choice != "refuse":
        identity["pages"] = {"choice": rule.choice, "most": rule.most, "max_model_len": longest}
    return identity


def _shown(shot: Sample) -> dict[str, Any]:
    """What of a worked example can change an answer."""
    return {
        "images": [image.sha256 for image in shot.images],
        "turns": [[turn.question, turn.answer] for turn in shot.history],
        "context": shot.context,
        "question": shot.question,
        "options": list(shot.shown_options),
        "answer": shot.answers[0],
    }


def note_pages(record: RunRecord, answers: Mapping[int, Answer]) -> None:
    """Notes in the record how many images the answered prompts left out, and by which rule.

    Nothing is noted of a run whose dataset does not choose pages.
    """
    rule = record.identity.get("pages")
    if rule:
        left_out = [answer.left_out for answer in answers.values() if answer.left_out]
        record.pages = {**rule, "questions": len(left_out), "images": sum(left_out)}


def open_run(
    cell: Cell,
    prepared: PreparedDataset,
    identity: dict[str, Any],
    home: Home,
    flow_run_id: str | None = None,
) -> OpenRun:
    """Makes or finds the run's directory, writes its requests, counts what is unanswered.

    The run is locked from here on, until `OpenRun.close`. Answers that a run of the same
    fingerprint with another limit already has are copied: after a look at the first twenty
    questions, the whole run does not ask those again. Raises UserError where another process has
    the run locked.
    """
    print_ = fingerprint(identity)
    samples = cell.samples(prepared)
    limit = len(samples) if len(samples) < len(prepared.samples) else None
    selection: dict[str, Any] = {}
    if cell.selection is not None and limit:
        rule = cell.selection.model_dump(mode="json", exclude_defaults=True)
        selection = {**rule, "indices": [sample.index for sample in samples]}
    name = run_name(cell.model.name, cell.prompt.name, print_, limit, selection)
    directory = RunDirectory.of(home, cell.dataset.name, name)
    lock = RunLock(directory)
    lock.acquire()
    try:
        scope = (samples, limit, selection)
        return _open_locked(directory, lock, cell, prepared, identity, scope, flow_run_id)
    except BaseException:
        lock.release()
        raise


def _open_locked(
    directory: RunDirectory,
    lock: RunLock,
    cell: Cell,
    prepared: PreparedDataset,
    identity: dict[str, Any],
    scope: tuple[tuple[Sample, ...], int | None, dict[str, Any]],
    flow_run_id: str | None,
) -> OpenRun:
    samples, limit, selection = scope
    print_ = fingerprint(identity)
    take_over_parts(directory.journal_file, print_)
    rule = PageRule.of(cell.dataset, cell.model, cell.shots)
    check_shots(cell.shots, samples, cell.model, rule)
    requests = tuple(build_requests(samples, cell.prompt, prepared.images, rule, cell.shots))
    lines = "".join(json.dumps(request_to_json(r), ensure_ascii=False) + "\n" for r in requests)
    write_atomically(directory.requests_file, lines)
    config = {
        "model": cell.model.model_dump(mode="json"),
        "dataset": cell.dataset.model_dump(mode="json"),
        "prompt": cell.prompt.model_dump(mode="json"),
        "sampling": cell.sampling.model_dump(mode="json"),
        "limit": limit,
        "dataset_source": prepared.source,
    }
    write_atomically(directory.config_file, json.dumps(config, indent=2, ensure_ascii=False))
    taken = _copy_answers(directory, print_, {request.index for request in requests})
    record = directory.read_record() or RunRecord(
        name=directory.path.name,
        fingerprint=print_,
        identity=identity,
        dataset=cell.dataset.name,
        dataset_digest=prepared.digest,
        model=cell.model.name,
        model_title=cell.model.title,
        prompt=cell.prompt.name,
        limit=limit,
        selection=selection,
        headline=cell.dataset.headline,
        metrics=cell.dataset.metrics,
        weights=cell.model.weights,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    run = OpenRun(cell, directory, lock, samples, prepared.images, requests, 0, print_)
    answered = sum(answer.final for answer in run.answers().values())
    unanswered = len(requests) - answered
    account_for_killed(record, directory.journal_file)
    record.invocations += taken
    record.archived = False
    if unanswered or record.status == "running":
        record.status = "running"
        record.message = ""
        record.host = host_facts()
        record.git_commit = git_commit()
        record.prefect_flow_run_id = flow_run_id or record.prefect_flow_run_id
    directory.write_record(record)
    return replace(run, unanswered=unanswered)


def everything_answered(
    cell: Cell, prepared: PreparedDataset, identity: dict[str, Any], home: Home
) -> bool:
    """Whether the run exists and has a final answer to every question, so that no engine is needed.

    Reads only; `open_run` decides for good.
    """
    return not unanswered_in(cell, prepared, identity, home)


def unanswered_in(
    cell: Cell, prepared: PreparedDataset, identity: dict[str, Any], home: Home
) -> set[int]:
    """The questions of the cell, by index, without a final answer in any run of its fingerprint.

    Reads only; `open_run` decides for good.
    """
    print_ = fingerprint(identity)
    askable = {sample.index for sample in cell.samples(prepared) if not sample.error}
    for run in (home.runs / cell.dataset.name).glob(f"*--{print_[:12]}"):
        journal = RunDirectory(run).journal_file
        answers = read_answers(journal)
        askable -= {index for index, answer in answers.items() if answer.final}
    return askable


def _copy_answers(directory: RunDirectory, print_: str, wanted: set[int]) -> list[dict[str, Any]]:
    """Copies the answers to `wanted` samples that other runs of this fingerprint have.

    Returns the entries for the run's invocations; the time that the answers took is in the records
    of the other runs.
    """
    taken: list[dict[str, Any]] = []
    for sibling in directory.path.parent.glob(f"*--{print_[:12]}"):
        journal = sibling / directory.journal_file.name
        if sibling == directory.path:
            continue
        have = read_answers(directory.journal_file)
        missing = [
            answer
            for index, answer in sorted(read_answers(journal).items())
            if index in wanted and answer.final and (index not in have or not have[index].final)
        ]
        if missing:
            with Journal(directory.journal_file, print_) as own:
                for answer in missing:
                    own.append(answer)
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            taken.append(
                {
                    "status": "taken over",
                    "from": sibling.name,
                    "ended": now,
                    "answers": len(missing),
                    "asked": 0,
                    "seconds": 0.0,
                }
            )
    return taken


def host_facts() -> dict[str, Any]:
    """What machine this is, for the run's record."""
    return {
        "hostname": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "pixtrack": version(),
        "cpus": os.cpu_count() or 0,
        "command": " ".join(Path(part).name if i == 0 else part for i, part in enumerate(sys.argv)),
    }
