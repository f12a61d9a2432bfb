"""Run as a program, where vLLM is: the same questions with our front end and with vLLM's own.

    python -m tests.tasks.inference.engines.front_end_program MODEL_DIR…

Prints JSON: for each model, who made the images ready, and the texts both ways.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.modes import grouped
from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.engines.vllm import VllmEngine
from pixtrack.tasks.inference.prompts import builder_for
from pixtrack.tasks.runs.protocol import EngineSpec
from tests.doubles.asking import draw_images, questions

SAMPLING = Sampling(max_tokens=12)


async def ask_both_ways(model_dir: Path, folder: Path) -> dict[str, Any]:
    # In float32: rounding must not decide between two tokens.
    spec = EngineSpec(
        engine="vllm",
        model_dir=str(model_dir),
        format="hf",
        family="",
        options={"dtype": "float32", "max_model_len": 2048},
    )
    engine = VllmEngine(spec)
    requests = questions(draw_images(folder, 6), 3)
    try:
        able = await engine.start()
        builder = builder_for(spec, able)
        ours = await grouped(engine, able, builder, requests, SAMPLING)
        await engine.reset_caches()
        engine._front_end = None
        theirs = await grouped(engine, able, builder, requests, SAMPLING)
    finally:
        await engine.close()
    return {"images": able.details["images"], "ours": ours.texts, "theirs": theirs.texts}


async def main(models: list[Path], folder: Path) -> None:
    print(json.dumps({model.name: await ask_both_ways(model, folder) for model in models}))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(main([Path(model) for model in sys.argv[1:]], Path(scratch)))
