"""The inference child, `python -m pixtrack.tasks.inference.worker.main`; `host.process` starts it.

Reads an EngineSpec and then Jobs from standard input, one JSON object a line; runs the engine;
writes answers to the jobs' journals and Events to standard output. (The child of a replica reads
Orders in place of Jobs: see `worker.serving`.) Ends when standard input ends, when the engine
fails, or on SIGTERM, and then closes the engine. Runs under the interpreter that has vLLM, and
imports nothing that vLLM does not install.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.engines import create_engine
from pixtrack.tasks.inference.engines.base import Capabilities, Engine, EngineDied
from pixtrack.tasks.inference.prompts import PromptBuilder, builder_for
from pixtrack.tasks.inference.worker.progress import EventWriter, JobProgress
from pixtrack.tasks.inference.worker.schedule import run_schedule
from pixtrack.tasks.inference.worker.serving import serve
from pixtrack.tasks.processes import die_with_parent
from pixtrack.tasks.runs.journal import Journal
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job, Order
from pixtrack.tasks.runs.requests import read_requests

EXIT_ENGINE_FAILED = 3


class Worker:
    """One engine, and the jobs that it carries out in order of arrival."""

    def __init__(self, jobs: asyncio.Queue[Any], events: EventWriter) -> None:
        self.jobs = jobs
        self.events = events

    async def run(self, spec: EngineSpec) -> int:
        """Runs the engine until the end. Returns the exit code: 0, or EXIT_ENGINE_FAILED."""
        try:
            engine = create_engine(spec)
        except UserError as error:
            self.events.write(_engine_failed(str(error), error))
            return EXIT_ENGINE_FAILED
        self.events.write(Event(event="starting", message=f"starting {spec.engine}"))
        try:
            started = await self._start(engine, spec)
            if started is None:
                return EXIT_ENGINE_FAILED
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
            if spec.takes == "orders":
                return await self._serve(engine, *started)
            return await self._work(engine, *started)
        finally:
            await engine.close()

    async def _start(
        self, engine: Engine, spec: EngineSpec
    ) -> tuple[Capabilities, PromptBuilder] | None:
        started = time.monotonic()
        try:
            capabilities = await engine.start()
            builder = await asyncio.to_thread(builder_for, spec, capabilities)
        except UserError as error:
            self.events.write(_engine_failed(str(error), error))
            return None
        except Exception as error:
            traceback.print_exc()
            self.events.write(_engine_failed(_one_line(error), error))
            return None
        ready = {
            "name": capabilities.name,
            "version": capabilities.version,
            "platform": capabilities.platform,
            "kv_cache_tokens": capabilities.kv_cache_tokens,
            "max_model_len": capabilities.max_model_len,
            "prefix_caching": capabilities.prefix_caching,
            **capabilities.details,
        }
        elapsed = time.monotonic() - started
        self.events.write(Event(event="ready", elapsed_seconds=elapsed, details=ready))
        return capabilities, builder

    async def _serve(
        self, engine: Engine, capabilities: Capabilities, builder: PromptBuilder
    ) -> int:
        try:
            await serve(engine, capabilities, builder, self.jobs, self.events)
        except Exception as error:
            if not isinstance(error, UserError):
                traceback.print_exc()
            reason = "engine_died" if isinstance(error, EngineDied) else ""
            message = str(error) if isinstance(error, UserError) else _one_line(error)
            self.events.write(_engine_failed(message, error, reason))
            return EXIT_ENGINE_FAILED
        return 0

    async def _work(
        self, engine: Engine, capabilities: Capabilities, builder: PromptBuilder
    ) -> int:
        while (job := await self.jobs.get()) is not None:
            progress = JobProgress(job.job_id, self.events, lambda: engine.retried)
            try:
                stats = await self._ask(job, engine, capabilities, builder, progress)
            except EngineDied as error:
                traceback.print_exc()
                reason = {"reason": "engine_died"}
                self.events.write(progress.event("job_failed", str(error), reason))
                self.events.write(_engine_failed(str(error), error, reason="engine_died"))
                return EXIT_ENGINE_FAILED
            except UserError as error:
                self.events.write(progress.event("job_failed", message=str(error)))
            except Exception as error:
                traceback.print_exc()
                self.events.write(progress.event("job_failed", message=_one_line(error)))
            else:
                self.events.write(progress.event("job_done", details=stats))
        return 0

    async def _ask(
        self,
        job: Job,
        engine: Engine,
        capabilities: Capabilities,
        builder: PromptBuilder,
        progress: JobProgress,
    ) -> dict[str, Any]:
        """Asks the requests without a final answer in the journal; returns the statistics."""
        requests = await asyncio.to_thread(read_requests, Path(job.requests_path))
        with Journal(Path(job.journal_path), job.fingerprint) as journal:
            answered = {index for index, answer in journal.answers().items() if answer.final}
            unanswered = [request for request in requests if request.index not in answered]
            progress.begin(unanswered, already_answered=len(requests) - len(unanswered))
            if not unanswered:
                return {}

            def on_answer(answer: Any) -> None:
                journal.append(answer, progress.stamp())
                progress.note(answer)

            stats = await run_schedule(
                engine, capabilities, unanswered, job.sampling, builder, on_answer
            )
        return stats.to_json()


def _engine_failed(message: str, error: BaseException, reason: str = "") -> Event:
    details: dict[str, Any] = {"error": type(error).__name__}
    if reason:
        details["reason"] = reason
    return Event(event="engine_failed", message=message, details=details)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: " + " ".join(str(error).split())


async def _read_messages(
    reader: asyncio.StreamReader, jobs: asyncio.Queue[Any], message: type[Job] | type[Order]
) -> None:
    """Puts the jobs or orders from standard input into the queue, and None at its end."""
    async for line in reader:
        await jobs.put(message.model_validate_json(line))
    await jobs.put(None)


async def _serve(events: EventWriter) -> int:
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        spec = EngineSpec.model_validate_json(await reader.readline())
    except ValidationError as error:
        events.write(_engine_failed(f"bad engine spec: {error}", error))
        return EXIT_ENGINE_FAILED
    jobs: asyncio.Queue[Any] = asyncio.Queue()
    message = Order if spec.takes == "orders" else Job
    reading = asyncio.create_task(_read_messages(reader, jobs, message))
    working = asyncio.create_task(Worker(jobs, events).run(spec))
    try:
        await asyncio.wait({reading, working}, return_when=asyncio.FIRST_COMPLETED)
        if reading.done() and reading.exception() is not None:
            working.cancel()
            reading.result()
        return await working
    finally:
        reading.cancel()


def _claim_standard_output() -> BinaryIO:
    """Reserves standard output for events: redirects everything that libraries print to the log.

    Returns the pipe to the parent.
    """
    sys.stdout.flush()
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return events


def main() -> int:
    """The program; returns its exit code."""
    die_with_parent()
    if "PIXTRACK_GUARD" in os.environ and os.getppid() != int(os.environ["PIXTRACK_GUARD"]):
        return 1  # the guard died before the kernel could be asked for a signal at its death
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The engine's start blocks the event loop. Until it is over nothing needs to be closed
    # properly,
    # and the guard kills what the engine has started.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    events = EventWriter(_claim_standard_output())
    try:
        return asyncio.run(_serve(events))
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    finally:
        events.write(Event(event="closed"))
        events.close()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # The engine is closed, and the flow waits for this process: Python's own exit would take a
    # second for a last garbage collection.
    os._exit(code)
