"""Front ends: who makes images ready for vLLM, ahead of the request; one a model format."""

from __future__ import annotations

import sys
from typing import Any

from pixtrack.tasks.inference.engines.front_ends.base import Disagrees, FrontEnd
from pixtrack.tasks.inference.engines.front_ends.hf import HfFrontEnd
from pixtrack.tasks.inference.engines.front_ends.mistral import MistralFrontEnd

__all__ = ["FRONT_ENDS", "FrontEnd", "front_end_for"]

FRONT_ENDS: dict[str, type[FrontEnd]] = {"mistral": MistralFrontEnd, "hf": HfFrontEnd}
"""By the model's file format: a class made from vLLM's renderer and the model's dtype."""


def front_end_for(model_format: str, renderer: Any, dtype: Any) -> tuple[FrontEnd | None, str]:
    """The format's front end, if it gives exactly what vLLM gives for trial images; else None.

    The second is one line that says who makes the images ready, and why where it is vLLM. Nothing
    is raised: the front ends use vLLM's internals, and a vLLM whose internals are others does the
    work itself, one image after another.
    """
    try:
        if renderer.mm_processor_cache is None:
            raise Disagrees("the processor cache is off")
        made = FRONT_ENDS[model_format](renderer, dtype)
        made.prove()
    except Exception as error:  # another vLLM, a processor that this front end does not know
        reason = " ".join(str(error).split()) or type(error).__name__
        note = f"made ready by vLLM, one after another: {reason}"
        print(f"images are {note}", file=sys.stderr, flush=True)
        return None, note
    return made, "made ready ahead"
