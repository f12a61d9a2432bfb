"""Divides a run's unanswered questions among several engines, one job for each replica.

Each replica writes a part journal beside the run's, which `pixtrack.tasks.runs.parts` merges into
it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.records import Request, request_to_json
from pixtrack.tasks.runs.image_groups import distinct_images, group_by_image
from pixtrack.tasks.runs.parts import part_path
from pixtrack.tasks.runs.protocol import Job

PIXELS_PER_TOKEN = 256
"""Pixtral's patches of 16 x 16 pixels; images of other models cost in proportion."""
MOST_IMAGE_TOKENS = 4096
QUESTION_TOKENS = 150
"""The cost of a question without its image, in prompt tokens: its text, and decoding its answer."""


def deal(requests: Sequence[Request], number: int) -> list[list[Request]]:
    """Divides the requests into `number` parts of about equal cost, keeping image groups together.

    In the requests' order, each image group goes to the part with the lowest cost so far.
    """
    parts: list[list[Request]] = [[] for _ in range(number)]
    costs = [0] * number
    for group in group_by_image(requests):
        least = costs.index(min(costs))
        parts[least] += group
        costs[least] += _cost(group)
    return parts


def split_job(job: Job, unanswered: Sequence[Request], number: int, started: str) -> list[Job]:
    """Makes one job for each replica and writes its requests beside the run's.

    Args:
        job: the run's job
        unanswered: its unanswered requests
        number: the number of replicas
        started: the time of this invocation, the same for all parts
    """
    jobs = []
    for part, requests in enumerate(deal(unanswered, number)):
        path = part_path(Path(job.requests_path), part)
        lines = "".join(json.dumps(request_to_json(r), ensure_ascii=False) + "\n" for r in requests)
        write_atomically(path, lines)
        journal = part_path(Path(job.journal_path), part)
        changed = {"requests_path": str(path), "journal_path": str(journal), "started": started}
        jobs.append(job.model_copy(update=changed))
    return jobs


def _cost(group: Sequence[Request]) -> int:
    images = sum(
        min(MOST_IMAGE_TOKENS, image.width * image.height // PIXELS_PER_TOKEN)
        for image in distinct_images(group)
    )
    return images + QUESTION_TOKENS * len(group)
