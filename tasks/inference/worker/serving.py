"""A replica's child: asks the image groups that it is sent, and tells every answer.

One of several engines that share a run. Whoever sends the groups keeps the journal, and knows from
the events how many more this engine has room for.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pixtrack.tasks.inference.engines.base import Capabilities, Engine
from pixtrack.tasks.inference.prompts import PromptBuilder
from pixtrack.tasks.inference.worker.lots import Lot, StreamSource
from pixtrack.tasks.inference.worker.progress import EventWriter
from pixtrack.tasks.inference.worker.schedule import Schedule
from pixtrack.tasks.inference.worker.schedule_stats import ScheduleStats
from pixtrack.tasks.records import Answer, request_from_json, to_json
from pixtrack.tasks.runs.protocol import Event, Order


async def serve(
    engine: Engine,
    capabilities: Capabilities,
    builder: PromptBuilder,
    orders: asyncio.Queue[Any],
    events: EventWriter,
) -> ScheduleStats:
    """Follows the orders until None comes and everything is answered.

    Raises EngineDied where the engine is gone, and whatever else ends a schedule.
    """

    def tell(kind: Any, **details: Any) -> None:
        events.write(Event(event=kind, details=details))

    def answered(answer: Answer) -> None:
        tell("answer", **to_json(answer))

    source = StreamSource()
    schedule = Schedule(engine, capabilities, builder, answered)
    schedule.on_start = lambda lot: tell("begun", group=lot.key)
    schedule.on_asked = lambda index: tell("asked", index=index)

    async def follow() -> None:
        while (order := await orders.get()) is not None:
            _follow(order)
        source.end()

    def _follow(order: Order) -> None:
        if order.order == "give_back":
            tell("given_back", groups=[lot.key for lot in schedule.give_back(order.most)])
            return
        assert order.sampling is not None
        requests = [request_from_json(request) for request in order.requests]
        source.put(Lot(requests, order.sampling, order.group))

    following = asyncio.create_task(follow())
    asking = asyncio.create_task(schedule.run(source))
    try:
        await asyncio.wait({following, asking}, return_when=asyncio.FIRST_EXCEPTION)
        if following.done() and following.exception() is not None:
            following.result()
        return await asking
    finally:
        for task in (following, asking):
            task.cancel()
        await asyncio.gather(following, asking, return_exceptions=True)
