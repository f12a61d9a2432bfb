"""Runs the schedule with an engine that records how it is driven."""

import asyncio
from collections.abc import Callable
from typing import Any

from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.engines.base import (
    Capabilities,
)
from pixtrack.tasks.inference.worker.schedule import run_schedule
from pixtrack.tasks.inference.worker.schedule_stats import ScheduleStats
from pixtrack.tasks.records import Answer, Request
from tests.doubles.recording_engine import (
    PlainBuilder,
    RecordingEngine,
    capabilities,
)

SAMPLING = Sampling(max_tokens=8)


# Seconds to decode that outlast every submission of a test, on a busy machine too: what is counted
# is then what the schedule lets in, not how fast this machine is.
LONG = 0.3


def ask(
    engine: RecordingEngine,
    asked: list[Request],
    on_answer: Callable[[Answer], None] | None = None,
    able: Capabilities | None = None,
    **options: Any,
) -> tuple[dict[int, Answer], ScheduleStats]:
    """The answers by index, where no `on_answer` takes them, and what the schedule counted."""
    answers: list[Answer] = []
    stats = asyncio.run(
        run_schedule(
            engine,
            able or capabilities(),
            asked,
            SAMPLING,
            PlainBuilder(),
            on_answer or answers.append,
            **options,
        )
    )
    return {answer.index: answer for answer in answers}, stats
