"""Drive modes side by side on one engine: the setup guide's loop, `llm.chat` with everything, ours.

    python -m bench.drive_modes                                     # the small model, this CPU
    python -m bench.drive_modes --architecture pixtral-12b --weights dummy   # the real size, a GPU
    python -m bench.every_model                                     # every architecture, a GPU

Writes bench.json, table.txt and drive_modes.png under --out. Ours comes first, so that what the
engine compiles on the way is charged to us; every mode begins with empty caches and a few questions
that are not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.architectures import ARCHITECTURES, ROOT

WARM_UP = 6
"""Questions asked before a mode is timed."""

PARTS_PAGES = 48
"""Pages of the modes that tell the parts of the time."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--architecture", choices=tuple(ARCHITECTURES), default="nano")
    add("--model-dir", type=Path, help="the architecture's files; default: made for the run")
    add("--weights", choices=("files", "dummy"), help="dummy: random weights made by the engine")
    add("--data", choices=("sample", "synthetic"), help="default: sample for nano, else synthetic")
    add("--images", type=int, help="default: 72 of the sample, 128 synthetic")
    add("--questions", default="4", help="questions an image, or docvqa: its real group sizes")
    add("--size", default="1700x2200", help="of synthetic pages, in pixels")
    add("--pages", type=Path, help="folder for the drawn pages, kept for another run")
    add("--max-tokens", type=int, default=16)
    add(
        "--modes",
        default="grouped,chat_batch,guide_loop",
        help="grouped@16: at most 16 groups; grouped:docvqa: other questions an image;\n"
        "vllm_images: grouped, but vLLM makes the images ready; pages: one question and one token\n"
        "a page; text: prompts as long, without images, one token",
    )
    add("--variant-images", type=int, help="only so many for modes with @ or :")
    add("--chat-samples", type=int, help="only so many for chat_batch (whole groups)")
    add("--guide-samples", type=int, help="only so many for guide_loop (whole groups)")
    add("--engine", action="append", default=[], metavar="KEY=VALUE", help="engine option")
    add("--rates", type=Path, help="what the device reached, from a run before; else measured")
    add("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if "PIXTRACK_SCRATCH" not in os.environ:
        return restart(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    result = asyncio.run(run(options, Path(os.environ["PIXTRACK_SCRATCH"])))
    from bench.report import write

    print(write(result, options.out))
    return 0


def restart(arguments: Sequence[str]) -> int:
    """Once more as the inference child would be started: vLLM and the processes that it spawns need
    its start-up hooks."""
    from pixtrack.tasks.inference.host.environment import child_environment

    with tempfile.TemporaryDirectory(prefix="pixtrack-bench-") as scratch:
        environment = child_environment(os.environ, scratch)
        del environment["PYTHONSAFEPATH"]
        environment["PYTHONPATH"] += os.pathsep + str(ROOT)
        command = [sys.executable, "-m", "bench.drive_modes", *arguments]
        return subprocess.run(command, env=environment, check=False).returncode


async def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from bench import limit
    from pixtrack.configs.schema import Sampling
    from pixtrack.tasks.inference.engines.vllm import VllmEngine
    from pixtrack.tasks.inference.prompts import builder_for
    from pixtrack.tasks.runs.protocol import EngineSpec

    sampling = Sampling(max_tokens=options.max_tokens)
    architecture = ARCHITECTURES[options.architecture]
    model_dir = options.model_dir or architecture.files(folder / "model")
    requests, warm_up = questions(options, folder)
    rates = limit.measured(options.rates)
    log(f"{len(requests)} questions; matrix product {rates.flops / 1e12:.1f} TFLOP/s")
    spec = EngineSpec(
        engine="vllm",
        model_dir=str(model_dir),
        format=architecture.format,
        family=architecture.family,
        options={
            "max_model_len": architecture.max_model_len,
            "allowed_local_media_path": str(options.pages or folder),
            **{key: value(text) for key, _, text in (e.partition("=") for e in options.engine)},
        },
        weights="dummy" if options.weights == "dummy" else "files",
    )
    engine = VllmEngine(spec)
    modes: dict[str, Any] = {}
    texts: dict[str, dict[int, str]] = {}
    try:
        capabilities = await engine.start()
        log(f"engine ready after {capabilities.details['start_seconds']} s: {capabilities}")
        builder = builder_for(spec, capabilities)
        for mode in options.modes.split(","):
            asked = of_mode(mode, requests, options)
            log(f"{mode}: {len(asked)} questions")
            for counted, some in ((False, warm_up), (True, asked)):
                await engine.reset_caches()
                outcome = await drive(mode, engine, capabilities, builder, some, sampling)
                if counted:
                    modes[mode] = outcome.to_json()
                    texts[mode] = outcome.texts
                    log(f"{mode}: {json.dumps(modes[mode])}")
    finally:
        await engine.close()
    if options.data == "sample":
        (options.out / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    arithmetic = limit.Arithmetic.of(model_dir, architecture.family)
    assert arithmetic is not None, "an architecture without arithmetic"
    load = load_of(requests, builder, options.max_tokens, arithmetic)
    fp8 = spec.options.get("quantization") == "fp8" and bool(rates.fp8_flops)
    return {
        "device": rates.name or cpu_name(),
        "architecture": options.architecture,
        "modes": modes,
        "limit_samples_per_s": limit.limit_samples_per_s(arithmetic, load, rates, fp8),
        "conditions": {
            "engine": f"vLLM {capabilities.version} ({capabilities.platform}), one engine start",
            "options": capabilities.details["arguments"],
            "kv_cache_tokens": capabilities.kv_cache_tokens,
            "images_made": capabilities.details["images"],
            "start_seconds": capabilities.details["start_seconds"],
            "start": {
                key: seconds
                for key, seconds in capabilities.details.items()
                if key.endswith("_seconds")
            },
            "weights": options.weights or "files",
            "images": options.data,
            "size": options.size if options.data == "synthetic" else "",
            "load": load.__dict__,
            "max_tokens": options.max_tokens,
            "chat": "guide_loop and chat_batch use AsyncLLM's own chat renderer in one thread, as "
            "LLM.chat does; prefix and image caches are emptied before every mode",
            "rates": rates.to_json(),
            "same_text_as_guide": same_texts(texts),
        },
    }


def questions(options: argparse.Namespace, folder: Path) -> tuple[list[Any], list[Any]]:
    """What is asked and counted, and the questions on other images before it."""
    from bench.documents import sample_requests, synthetic_requests

    options.data = options.data or ("sample" if options.architecture == "nano" else "synthetic")
    started = time.monotonic()
    pages = options.pages or folder / "pages"
    if options.data == "sample":
        images = options.images or 72
        asked = sample_requests(pages, images + 2)
        last = {request.images[0].sha256 for request in asked[-WARM_UP:]}
        warm_up = [request for request in asked if request.images[0].sha256 in last]
        asked = [request for request in asked if request.images[0].sha256 not in last]
    else:
        width, _, height = options.size.partition("x")
        size = (int(width), int(height))
        images = options.images or 128
        asked = synthetic_requests(pages, images, options.questions, size)
        warm_up = synthetic_requests(pages, 3, "2", size, seed=10**6)
    log(f"{images} images in {time.monotonic() - started:.1f} s")
    return asked, warm_up


def of_mode(mode: str, requests: Sequence[Any], options: argparse.Namespace) -> list[Any]:
    """The first so many requests, in whole image groups, or other questions on the same pages."""
    from bench.documents import ask_pages

    name, _, number = mode.partition(":")
    if options.variant_images and (number or "@" in name):
        pages = list(dict.fromkeys(request.images[0] for request in requests))
        return ask_pages(pages[: options.variant_images], number or options.questions)
    if name in ("pages", "text"):
        return ask_pages(list(dict.fromkeys(r.images[0] for r in requests))[:PARTS_PAGES], "1")
    most = {
        "guide_loop": options.guide_samples,
        "chat_batch": options.chat_samples,
        "vllm_images": options.chat_samples,
    }.get(mode)
    chosen = list(requests[:most])
    while most and len(chosen) < len(requests):
        following = requests[len(chosen)]
        if following.images[0].sha256 != chosen[-1].images[0].sha256:
            break
        chosen.append(following)
    return chosen


async def drive(
    mode: str, engine: Any, capabilities: Any, builder: Any, asked: Sequence[Any], sampling: Any
) -> Any:
    from bench import modes

    if mode == "guide_loop":
        return await modes.guide_loop(engine, asked, sampling)
    if mode == "chat_batch":
        return await modes.chat_batch(engine, asked, sampling)
    if mode == "vllm_images":
        return await modes.vllm_images(engine, capabilities, builder, asked, sampling)
    if mode == "text":
        return await modes.text(engine, builder, asked, sampling)
    name, _, groups = mode.partition(":")[0].partition("@")
    if name not in ("grouped", "pages"):
        raise SystemExit(
            f"no drive mode {mode!r}: grouped, grouped@GROUPS, vllm_images, chat_batch, guide_loop, "
            "pages, text"
        )
    most = int(groups) if groups else None
    if name == "pages":
        sampling = sampling.model_copy(update={"max_tokens": 1})
    return await modes.grouped(engine, capabilities, builder, asked, sampling, most)


def load_of(requests: Sequence[Any], builder: Any, output_tokens: int, arithmetic: Any) -> Any:
    from bench.limit import Load

    drafts = [builder.draft(request) for request in requests]
    number = len(requests)
    sizes = [(image.width, image.height) for request in requests for image in request.images]
    return Load(
        questions_per_image=number / len({request.images[0].sha256 for request in requests}),
        image_tokens=sum(draft.image_tokens for draft in drafts) / number,
        vision_flops=arithmetic.vision_flops(sizes) / number,
        text_tokens=sum(draft.prompt_tokens - draft.image_tokens for draft in drafts) / number,
        output_tokens=output_tokens,
    )


def same_texts(texts: dict[str, dict[int, str]]) -> dict[str, str]:
    """Of the questions that the guide's loop was asked, how many each mode answered alike."""
    guide = texts.get("guide_loop", {})
    return {
        mode: f"{sum(guide[i] == other[i] for i in guide if i in other)} of "
        f"{sum(i in other for i in guide)}"
        for mode, other in texts.items()
        if mode != "guide_loop" and guide
    }


def value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return f"{os.cpu_count()} cores of {line.partition(':')[2].strip()}"
    return f"{os.cpu_count()} CPU cores"


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
