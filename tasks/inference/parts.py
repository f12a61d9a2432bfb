"""A run's questions dealt out to several engines, and their answers put together again.

Each replica of the model gets a part of the requests and a journal of its own beside the run's:
answers.part0.jsonl, answers.part1.jsonl, … Their lines are moved into answers.jsonl when the part is
asked, and where a kill came first, by the next command that opens the run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tasks.inference.grouping import group_by_image
from tasks.inference.journal import Journal, read_fingerprint, whole_lines
from tasks.inference.plan import Job
from tasks.records import Request, answer_from_json, to_json
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
    twice. Nobody may be writing a part. A part of another fingerprint is nobody's and is removed.
    """
    parts = sorted(journal.parent.glob(f"{journal.stem}.part*{journal.suffix}"))
    moved = 0
    if parts:
        with Journal(journal, fingerprint) as whole:
            for part in parts:
                if read_fingerprint(part) != fingerprint:
                    continue
                answers = whole.answers()
                for line in whole_lines(part)[1:]:
                    told = json.loads(line)
                    stamp = {key: told[key] for key in ("started", "elapsed") if key in told}
                    answer = answer_from_json(told)
                    known = answers.get(answer.index)
                    if known is None or (answer.final and not known.final):
                        whole.append(answer, stamp)
                        moved += 1
    for part in parts:
        part.unlink(missing_ok=True)
    for requests in journal.parent.glob("requests.part*.jsonl"):
        requests.unlink(missing_ok=True)
    return moved


def _cost(group: Sequence[Request]) -> int:
    images = sum(
        min(MOST_IMAGE_TOKENS, image.width * image.height // PIXELS_PER_TOKEN)
        for image in group[0].images
    )
    return images + QUESTION_TOKENS * len(group)


def _part(path: Path, part: int) -> Path:
    return path.with_name(f"{path.stem}.part{part}{path.suffix}")
