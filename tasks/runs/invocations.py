"""A run's invocations, each time that its questions were asked, read from its journal.

Every answer's line says when its invocation began and how many seconds later the answer came. So
the next command can note the time of a command that was killed before it could do so itself.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.directory import RunRecord
from pixtrack.tasks.runs.journal import whole_lines


@dataclass
class Invocation:
    """One asking of a run's questions."""

    started: str
    """UTC, ISO 8601 with milliseconds; it identifies the invocation."""
    asked: int = 0
    """Answers that came, including failed ones."""
    seconds: float = 0.0
    """From its beginning to its last answer."""

    def to_json(self) -> dict[str, Any]:
        """The entry of a killed invocation in a run's record."""
        ended = datetime.datetime.fromisoformat(self.started) + datetime.timedelta(
            seconds=self.seconds
        )
        return {
            "started": self.started,
            "ended": ended.isoformat(timespec="seconds"),
            "asked": self.asked,
            "seconds": round(self.seconds, 3),
            "status": "killed",
            "reconstructed": True,
        }


def read_invocations(journal: Path) -> list[Invocation]:
    """The invocations whose answers the journal holds, in their order; [] without a journal.

    Answers that do not say when their invocation began belong to none: imported ones, those that
    were copied from another run, and those of journals older than this field.
    """
    found: dict[str, Invocation] = {}
    for line in whole_lines(journal)[1:]:
        data = json.loads(line)
        if "started" in data:
            one = found.setdefault(data["started"], Invocation(data["started"]))
            one.asked += 1
            one.seconds = max(one.seconds, float(data["elapsed"]))
    return list(found.values())


def note_invocation(record: RunRecord, asked: AskedRun) -> None:
    """Adds an invocation to the record, and its engine, if it asked anything."""
    if asked.engine:
        record.engine = asked.engine
    if asked.asked:
        record.invocations.append(
            {
                **({"started": asked.started} if asked.started else {}),
                "ended": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "asked": asked.asked,
                "seconds": round(asked.seconds, 3),
                **({"asked_twice": asked.asked_twice} if asked.asked_twice else {}),
                **({"replicas": asked.replicas} if asked.replicas else {}),
            }
        )


def account_for_killed(record: RunRecord, journal: Path) -> None:
    """Adds to the record, marked as killed, the invocations that are in the journal alone.

    An invocation that the record has with fewer answers than the journal (its last count was a
    moment old) is corrected. To be called while no question is being asked.
    """
    noted = {one.get("started"): one for one in record.invocations}
    for invocation in read_invocations(journal):
        entry = noted.get(invocation.started)
        if entry is None:
            record.invocations.append(invocation.to_json())
        elif invocation.asked > int(entry.get("asked") or 0):
            entry |= {"asked": invocation.asked, "seconds": round(invocation.seconds, 3)}
