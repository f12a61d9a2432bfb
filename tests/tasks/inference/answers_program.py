"""Run as a program, where vLLM is: the same questions in different orders on one engine.

    python -m tests.tasks.inference.answers_program MODEL_DIR IMAGES ENGINE_OPTIONS_AS_JSON…

Prints JSON, for each engine, one after the other: the texts by way of asking, for each question;
`chat` is vLLM's own chat path, one question at a time, as `llm.chat` asks.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.documents import sample_requests
from bench.modes import chat_batch, grouped, guide_loop
from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.engines.vllm import VllmEngine
from pixtrack.tasks.inference.prompts.mistral import MistralPrompts
from pixtrack.tasks.records import Request
from pixtrack.tasks.runs.protocol import EngineSpec

SAMPLING = Sampling(max_tokens=24)


async def ask_every_way(
    model_dir: Path, requests: list[Request], chosen: dict[str, Any], folder: Path
) -> dict[str, Any]:
    options = {"max_model_len": 2048, "allowed_local_media_path": str(folder), **chosen}
    spec = EngineSpec(
        engine="vllm",
        model_dir=str(model_dir),
        format="mistral",
        family="pixtral",
        options=options,
    )
    engine = VllmEngine(spec)
    builder = MistralPrompts(model_dir)
    shuffled = list(requests)
    random.Random(0).shuffle(shuffled)
    texts, resent = {}, {}
    try:
        able = await engine.start()
        for name, asked, groups in (
            ("grouped", requests, None),
            ("one group at a time", requests, 1),
            ("shuffled", shuffled, 7),
        ):
            await engine.reset_caches()
            outcome = await grouped(engine, able, builder, asked, SAMPLING, groups)
            texts[name] = outcome.texts
            resent[name] = outcome.details["images_resent"]
        await engine.reset_caches()
        texts["chat"] = (await guide_loop(engine, requests, SAMPLING)).texts
        await engine.reset_caches()
        texts["chat, everything at once"] = (await chat_batch(engine, shuffled, SAMPLING)).texts
    finally:
        await engine.close()
    return {"questions": len(requests), "texts": texts, "resent": resent}


async def main(model_dir: Path, images: int, engines: list[dict[str, Any]], folder: Path) -> None:
    requests = sample_requests(folder, images)
    results = [await ask_every_way(model_dir, requests, chosen, folder) for chosen in engines]
    print(json.dumps(results))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        engines = [json.loads(options) for options in sys.argv[3:]]
        asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), engines, Path(scratch)))
