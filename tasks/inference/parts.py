"""A run's questions dealt out to several engines, and their answers put together again.

Each replica of the model gets a part of the requests and a journal of its own beside the run's:
answers.part0.jsonl, answers.part1.jsonl, … Their lines are moved into answers.jsonl when the part is
asked, and where a kill came first, by the next command that opens the run.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.inference.grouping import group_by_image
from tasks.inference.journal import Journal, read_answers, read_fingerprint, whole_lines
from tasks.inference.plan import Job
from tasks.records import Answer, Request, answer_from_json, to_json
from tasks.runs import write_atomically

PIXELS_PER_TOKEN = 256
"""Pixtral's patches of 16 x 16; other models' images cost in proportion."""
MOST_IMAGE_TOKENS = 4096
QUESTION_TOKENS = 150
"""What a question costs beside its image, in prompt tokens: its text, and its answer's decoding."""


def deal(requests: Sequence[Request], number: int) -> list[list[Request]]:
    """The requests in `number` parts of about equal cost; an image's questions stay together.

    In the requests' order, each image group goes to the part that has least so far.
    """
    parts: list[list[Request]] = [[] for _ in range(number)]
    costs = [0] * number
    for group in group_by_image(requests):
        least = costs.index(min(costs))
        parts[least] += group
        costs[least] += _cost(group)
    return parts


def split_job(job: Job, unanswered: Sequence[Request], number: int, started: str) -> list[Job]:
    """One job a replica, its requests written beside the run's. `started` is the asking's own time:
    all parts are one invocation.
    """
    jobs = []
    for part, requests in enumerate(deal(unanswered, number)):
        path = _part(Path(job.requests_path), part)
        lines = "".join(json.dumps(to_json(r), ensure_ascii=False) + "\n" for r in requests)
        write_atomically(path, lines)
        journal = _part(Path(job.journal_path), part)
        changed = {"requests_path": str(path), "journal_path": str(journal), "started": started}
        jobs.append(job.model_copy(update=changed))
    return jobs


def fold(journal: Path, fingerprint: str) -> int:
    """Moves the answers of all part journals into the run's; returns how many it took over.

    May be killed at any point and called again: an answer that is there already is not taken
    twice. A part of another fingerprint is nobody's and is removed. Raises UserError, and removes
    nothing, where somebody is still writing a part: the children of a killed command end a moment
    after it.
    """
    parts = _parts_of(journal)
    moved = 0
    if parts:
        with contextlib.ExitStack() as ours:
            whole = ours.enter_context(Journal(journal, fingerprint))
            for part in parts:
                if read_fingerprint(part) == fingerprint:
                    ours.enter_context(Journal(part, fingerprint))
                    moved += _take_over(part, whole)
            whole.sync()
            for part in parts:
                part.unlink(missing_ok=True)
    for requests in journal.parent.glob("requests.part*.jsonl"):
        requests.unlink(missing_ok=True)
    return moved


def read_with_parts(journal: Path, fingerprint: str) -> dict[int, Answer]:
    """The answers of a run's journal and of parts that nobody has folded yet; changes nothing."""
    parts = [p for p in _parts_of(journal) if read_fingerprint(p) == fingerprint]
    of_parts = [read_answers(part) for part in parts]
    answers = read_answers(journal)  # last: somebody may be folding them just now
    for found in of_parts:
        answers |= {i: answer for i, answer in found.items() if _is_news(answer, answers)}
    return answers


def _parts_of(journal: Path) -> list[Path]:
    return sorted(journal.parent.glob(f"{journal.stem}.part*{journal.suffix}"))


def _take_over(part: Path, whole: Journal) -> int:
    answers = whole.answers()
    moved = 0
    for line in whole_lines(part)[1:]:
        told = json.loads(line)
        stamp = {key: told[key] for key in ("started", "elapsed") if key in told}
        answer = answer_from_json(told)
        if _is_news(answer, answers):
            whole.append(answer, stamp)
            moved += 1
    return moved


def _is_news(answer: Answer, answers: Mapping[int, Answer]) -> bool:
    known = answers.get(answer.index)
    return known is None or (answer.final and not known.final)


def _cost(group: Sequence[Request]) -> int:
    images = sum(
        min(MOST_IMAGE_TOKENS, image.width * image.height // PIXELS_PER_TOKEN)
        for image in group[0].images
    )
    return images + QUESTION_TOKENS * len(group)


def _part(path: Path, part: int) -> Path:
    return path.with_name(f"{path.stem}.part{part}{path.suffix}")
