"""Run as a program, where vLLM is: renders conversations as vLLM's chat path does and as we do.

    python -m tests.tasks.inference.prompts.chat_path FORMAT:MODEL_DIR…

Prints JSON: for each model and case, whether ids, planned length and (Mistral) pixels are equal.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixtrack.tasks.inference.engines.base import EnginePrompt, RequestRefused
from pixtrack.tasks.inference.engines.front_ends import FrontEnd, front_end_for
from pixtrack.tasks.inference.engines.vllm import _prompt
from pixtrack.tasks.inference.engines.vllm_setup import inspect_models_here
from pixtrack.tasks.inference.prompts.base import Draft
from pixtrack.tasks.inference.prompts.hf import HfPrompts
from pixtrack.tasks.inference.prompts.mistral import MistralPrompts
from pixtrack.tasks.records import ImageRef, Request

SIZES = ((1, 1), (16, 16), (17, 40), (500, 300), (300, 900), (1700, 2200), (4000, 50), (50, 20000))
TALKS = (
    ("", ((None, "What is the total?"),)),
    ("Be brief.", ((None, "First?"), ("one",), ("Second?",))),
    ("", ((None, None, "Compare them."),)),
)
Size = tuple[int, int]
Layout = tuple[tuple[str | None, ...], ...]
Talk = tuple[str, Layout]

INTERLEAVED_SIZES = ((17, 40), (500, 300), (1700, 2200))
INTERLEAVED = (
    ("", (("Is it in ", None, " or in ", None, "?"),)),
    ("", (("See ", None),)),
    ("Be brief.", ((None, " (A) ", None, " (B) neither\nAnswer:"),)),
    ("", (("No image yet?",), ("none",), ("And ", None, " now?"))),
    ("", ((None, "First?"), ("one",), ("Or ", None, "?"))),
    ("", ((*[None] * 7, "Which of these pages?"),)),
    ("", (("No image at all?",),)),
)
"""System and turns; None stands for an image."""
MOST_IMAGES = 7


def main(models: list[str]) -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.renderers import renderer_from_config

    inspect_models_here()
    report: dict[str, dict[str, object]] = {}
    for model in models:
        kind, _, folder = model.partition(":")
        mistral = dict.fromkeys(("tokenizer_mode", "config_format"), "mistral")
        config = AsyncEngineArgs(
            model=folder,
            load_format="dummy",
            dtype="bfloat16",
            limit_mm_per_prompt={"image": MOST_IMAGES},
            **(mistral if kind == "mistral" else {}),
        ).create_engine_config()
        renderer = renderer_from_config(config)
        made = MistralPrompts if kind == "mistral" else HfPrompts
        builder = made(Path(folder), max_images=MOST_IMAGES)
        front_end, told = front_end_for(kind, renderer, config.model_config.dtype)
        cases = report[Path(folder).name] = {"front_end": told}
        READY.clear()
        asked: list[tuple[Size, Talk]] = [(size, talk) for size in SIZES for talk in TALKS]
        asked += [(size, talk) for size in INTERLEAVED_SIZES for talk in INTERLEAVED]
        for number, (size, talk) in enumerate(asked):
            name = f"{size[0]}x{size[1]} {talk}"
            system, layout = talk
            cases[name] = compare(renderer, builder, front_end, size, system, layout, number)
    print(json.dumps(report))


READY: dict[tuple[Size, int], Any] = {}
"""What the front end of the model at hand made of the images."""


def prepared(front_end: FrontEnd, size: Size, place: int) -> Any:
    """What the front end makes of that image: once for all the cases."""
    if (size, place) not in READY:
        READY[size, place] = front_end.prepare(noise(size)[0][place])
    return READY[size, place]


@cache
def noise(size: Size) -> tuple[list[Image.Image], list[str]]:
    """Images of about that size, and each as data: drawn and packed once for all the cases."""
    random = np.random.default_rng(0)
    images = [
        Image.fromarray(random.integers(0, 256, (size[1], size[0] + i, 3), dtype=np.uint8))
        for i in range(MOST_IMAGES if size in INTERLEAVED_SIZES else 2)
    ]
    return images, [url(image) for image in images]


def compare(
    renderer: Any,
    builder: MistralPrompts | HfPrompts,
    front_end: FrontEnd | None,
    size: Size,
    system: str,
    layout: Layout,
    case: int,
) -> dict[str, object]:
    """What of our prompt is as vLLM's chat path makes it, for images of one size and one talk."""
    number = sum(part is None for turn in layout for part in turn)
    images, urls = noise(size)
    images, urls = images[:number], urls[:number]
    refs = tuple(
        ImageRef(f"{case} {i}", "", image.width, image.height) for i, image in enumerate(images)
    )
    turns = tuple("".join(part or "" for part in turn) for turn in layout)
    request = Request(0, refs, turns, system, layout)
    try:
        draft: Draft | RequestRefused = builder.draft(request)
    except RequestRefused as refusal:
        draft = refusal
    try:
        theirs = chat(renderer, urls, layout, system)
    except Exception as error:  # vLLM refuses: so must we, or it must refuse ours alike
        if isinstance(draft, RequestRefused):
            return {"equal": True}
        try:
            renderer.render_cmpl([_prompt(builder.prompt(draft, images))])
        except type(error):
            return {"equal": True}
        return {"refused by vLLM": str(error), "equal": False}
    if isinstance(draft, RequestRefused):
        return {"refused": ["accepted", str(draft)], "equal": False}
    if front_end is None or not number:
        (ours,) = renderer.render_cmpl([_prompt(builder.prompt(draft, images))])
        pixels = True
    else:
        made = [prepared(front_end, size, place) for place in range(number)]
        prompt = builder.prompt(draft, made)
        ours = front_end.engine_input(prompt)
        pixels = all(map(same_item, ours["mm_kwargs"]["image"], theirs["mm_kwargs"]["image"]))
        # A follower: the same prompt without its images.
        none = EnginePrompt("1", prompt.token_ids, None, (None,) * number, prompt.image_uuids)
        again = front_end.engine_input(none)
        pixels = pixels and again["mm_kwargs"]["image"] == [None] * number
    return {
        "equal": list(ours["prompt_token_ids"]) == list(theirs["prompt_token_ids"]),
        "length": draft.prompt_tokens == len(theirs["prompt_token_ids"]),
        "pixels": pixels,
        "places": all(map(same_place, places(ours), places(theirs)))
        and len(places(ours)) == len(places(theirs)) == number,
    }


def places(rendered: Any) -> Any:
    return rendered.get("mm_placeholders", {}).get("image", [])


def chat(renderer: Any, urls: list[str], layout: Layout, system: str) -> Any:
    """The prompt that vLLM's own chat path makes."""
    from vllm.renderers.params import ChatParams

    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    waiting = iter(urls)
    for number, turn in enumerate(layout):
        content = [
            {"type": "image_url", "image_url": {"url": next(waiting)}}
            if part is None
            else {"type": "text", "text": part}
            for part in turn
        ]
        role = "assistant" if number % 2 else "user"
        messages.append({"role": role, "content": content if None in turn else turn[0]})
    arguments = {"add_generation_prompt": True, "continue_final_message": False, "tools": None}
    arguments["tokenize"] = "mistral" in type(renderer).__name__.lower()
    params = ChatParams(chat_template_kwargs=arguments)
    _, (prompt,) = renderer.render_chat([messages], params)
    return prompt


def url(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def same_item(ours: Any, theirs: Any) -> bool:
    # None: vLLM has seen an image of this content before, in an earlier case.
    return theirs is None or all((ours[key].data == theirs[key].data).all() for key in theirs)


def same_place(ours: Any, theirs: Any) -> bool:
    return (ours.offset, ours.length) == (theirs.offset, theirs.length) and bool(
        (ours.is_embed == theirs.is_embed).all()
        if theirs.is_embed is not None
        else ours.is_embed is None
    )


if __name__ == "__main__":
    main(sys.argv[1:])
