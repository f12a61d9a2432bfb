"""Journals that an earlier pixtrack left beside a run's, one for each of several engines.

It wrote answers.part0.jsonl, answers.part1.jsonl, … and moved their lines into answers.jsonl in the
end; where it was killed before, they are still there.
"""

from __future__ import annotations

import json
from pathlib import Path

from pixtrack.tasks.records import answer_from_json
from pixtrack.tasks.runs.journal import Journal, read_fingerprint, whole_lines


def take_over_parts(journal: Path, fingerprint: str) -> int:
    """Moves the answers of such parts into the run's journal; returns how many it moved.

    An answer that is there already is not moved twice. A part with another fingerprint belongs to
    no run and is removed. Raises UserError where the journal cannot be written.
    """
    parts = sorted(journal.parent.glob(f"{journal.stem}.part*{journal.suffix}"))
    moved = 0
    if parts:
        with Journal(journal, fingerprint) as whole:
            for part in parts:
                if read_fingerprint(part) == fingerprint:
                    moved += _move(part, whole)
            whole.sync()
    for left in (*parts, *journal.parent.glob("requests.part*.jsonl")):
        left.unlink(missing_ok=True)
    return moved


def _move(part: Path, whole: Journal) -> int:
    moved, have = 0, whole.answers()
    for line in whole_lines(part)[1:]:
        data = json.loads(line)
        answer = answer_from_json(data)
        known = have.get(answer.index)
        if known is None or (answer.final and not known.final):
            whole.append(answer, {key: data[key] for key in ("started", "elapsed") if key in data})
            have[answer.index] = answer
            moved += 1
    return moved
