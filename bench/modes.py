"""Three ways to drive one engine with the same questions."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.engines.base import Capabilities, EnginePrompt
from pixtrack.tasks.inference.engines.vllm import VllmEngine
from pixtrack.tasks.inference.prompts.base import PromptBuilder
from pixtrack.tasks.inference.worker.schedule import run_schedule
from pixtrack.tasks.records import Answer, Request


@dataclass
class Outcome:
    """What a mode did."""

    samples: int
    seconds: float
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    front_end_seconds: float
    """Processor time of the front end's one thread (the event loop), or of the two (it and the one
    that renders) in the chat modes."""
    texts: dict[int, str]
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "seconds": self.seconds,
            "samples_per_s": self.samples / self.seconds,
            "cached_share": self.cached_tokens / max(1, self.prompt_tokens),
            "front_end_ms": 1000 * self.front_end_seconds / self.samples,
            "output_tokens": self.output_tokens / self.samples,
            **self.details,
        }


class Chat:
    """As `LLM.chat` drives the engine: one thread renders each conversation with vLLM's own
    renderer (reading the image, chat template, tokens, pixels), then the engine is handed it."""

    def __init__(self, engine: VllmEngine, sampling: Sampling) -> None:
        from vllm import SamplingParams
        from vllm.renderers.params import ChatParams
        from vllm.sampling_params import RequestOutputKind

        self.llm = engine._llm
        self.chat_params = ChatParams(
            chat_template_kwargs={
                "add_generation_prompt": True,
                "continue_final_message": False,
                "tools": None,
                "tokenize": True,
            }
        )
        self.sampling = SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self.outcome = Outcome(0, 0.0, 0, 0, 0, 0.0, {})

    def messages(self, request: Request) -> list[dict[str, Any]]:
        """As the setup guide writes them: the text, then the image by its file's URL."""
        (image,) = request.images
        return [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": request.turns[-1]},
                    {"type": "image_url", "image_url": {"url": f"file://{image.path}"}},
                ],
            }
        ]

    def render(self, request: Request) -> Any:
        started = time.thread_time()
        _, (prompt,) = self.llm.renderer.render_chat([self.messages(request)], self.chat_params)
        self.outcome.front_end_seconds += time.thread_time() - started
        return prompt

    async def generate(self, request: Request, prompt: Any) -> None:
        async for last in self.llm.generate(prompt, self.sampling, str(request.index)):
            output = last
        answer = output.outputs[0]
        self.outcome.samples += 1
        self.outcome.prompt_tokens += len(output.prompt_token_ids)
        self.outcome.cached_tokens += output.num_cached_tokens or 0
        self.outcome.output_tokens += len(answer.token_ids)
        self.outcome.texts[request.index] = answer.text


async def guide_loop(
    engine: VllmEngine, requests: Sequence[Request], sampling: Sampling
) -> Outcome:
    """The setup guide's loop: one `llm.chat` at a time."""
    return await _chat(engine, requests, sampling, at_once=False)


async def chat_batch(
    engine: VllmEngine, requests: Sequence[Request], sampling: Sampling
) -> Outcome:
    """`llm.chat` with the whole list: each is handed over as soon as it is rendered."""
    return await _chat(engine, requests, sampling, at_once=True)


async def _chat(
    engine: VllmEngine, requests: Sequence[Request], sampling: Sampling, at_once: bool
) -> Outcome:
    chat = Chat(engine, sampling)
    loop = asyncio.get_running_loop()
    started, thread = time.perf_counter(), time.thread_time()
    with ThreadPoolExecutor(1) as renderer:
        answers = []
        for request in requests:
            prompt = await loop.run_in_executor(renderer, chat.render, request)
            answers.append(asyncio.create_task(chat.generate(request, prompt)))
            if not at_once:
                await answers[-1]
        await asyncio.gather(*answers)
    chat.outcome.front_end_seconds += time.thread_time() - thread
    chat.outcome.seconds = time.perf_counter() - started
    return chat.outcome


async def vllm_images(
    engine: VllmEngine,
    capabilities: Capabilities,
    builder: PromptBuilder,
    requests: Sequence[Request],
    sampling: Sampling,
) -> Outcome:
    """Ours, but for the images: vLLM makes them ready, in a thread of its own, one by one."""
    front_end, engine._front_end = engine._front_end, None
    try:
        return await grouped(engine, capabilities, builder, requests, sampling)
    finally:
        engine._front_end = front_end


async def text(
    engine: VllmEngine, builder: PromptBuilder, requests: Sequence[Request], sampling: Sampling
) -> Outcome:
    """Prompts as long as the requests', without images, and one token: the language model alone."""
    once = sampling.model_copy(update={"max_tokens": 1})
    random_ = random.Random(0)
    prompts = [
        EnginePrompt(
            str(request.index),
            # Ids that every vocabulary here has, and no special ones.
            tuple(random_.randrange(300, 400) for _ in range(draft.prompt_tokens or 1)),
        )
        for request in requests
        for draft in (builder.draft(request),)
    ]
    started, thread = time.perf_counter(), time.thread_time()
    outputs = await asyncio.gather(*(engine.generate(prompt, once) for prompt in prompts))
    return Outcome(
        samples=len(outputs),
        seconds=time.perf_counter() - started,
        prompt_tokens=sum(output.prompt_tokens for output in outputs),
        cached_tokens=sum(output.cached_tokens for output in outputs),
        output_tokens=len(outputs),
        front_end_seconds=time.thread_time() - thread,
        texts={},
    )


async def grouped(
    engine: VllmEngine,
    capabilities: Capabilities,
    builder: PromptBuilder,
    requests: Sequence[Request],
    sampling: Sampling,
    max_groups: int | None = None,
) -> Outcome:
    """Ours: leader and followers."""
    answers: list[Answer] = []
    stats = await run_schedule(
        engine, capabilities, requests, sampling, builder, answers.append, max_groups=max_groups
    )
    failed = [answer for answer in answers if answer.failed]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(answers)} failed: {failed[0].error}")
    return Outcome(
        samples=stats.asked,
        seconds=stats.seconds,
        prompt_tokens=stats.prompt_tokens,
        cached_tokens=stats.cached_tokens,
        output_tokens=stats.output_tokens,
        front_end_seconds=stats.loop_seconds,
        texts={answer.index: answer.text for answer in answers},
        details={
            "ideal_cached_share": stats.ideal_cached_share,
            "leader_ms": stats.blocking_ms[0],
            "follower_ms": stats.blocking_ms[1],
            "image_worker_ms": 1000 * stats.image_seconds / max(1, stats.images_read),
            "images": stats.images_read,
            "images_resent": stats.images_resent,
            "peak_groups": stats.peak_groups,
            "peak_requests": stats.peak_requests,
        },
    )
