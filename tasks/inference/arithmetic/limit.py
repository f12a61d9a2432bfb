"""The fewest seconds that questions cost: operations and bytes over what the device reached.

An image group costs the floating-point operations of its image's prompt (language model, attention,
vision encoder, projector) at the rate of a large matrix product, and for each of its questions the
reading of the prompt's keys and values once per output token at the rate of a large copy.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pixtrack.tasks.inference.arithmetic.model import Arithmetic


@dataclass(frozen=True)
class Rates:
    """What the device reached: a matrix product for 2 s, and a copy (read and write)."""

    flops: float
    """Of bfloat16 matrices."""
    bytes: float
    name: str
    matrix: int
    fp8_flops: float = 0.0
    """Of fp8 matrices, with their scales; 0: not measured, or the device has none."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


H100 = Rates(
    flops=676e12, bytes=2.99e12, name="NVIDIA H100 80GB HBM3", matrix=8192, fp8_flops=1266e12
)
"""Measured on one card in the run whose table is in bench/README.md (bench/measured)."""

SHARES_OF_LIMIT = {"pixtral": 0.81, "qwen2_5_vl": 0.62, "llava_onevision": 0.77}
"""What the schedule reached of the limit on one H100 in bf16, by the model's family; measured with
pages of 1700×2200 pixels and DocVQA's group sizes (bench/measured/h100-every-model)."""

FP8_SHARE = 0.62
"""Of the limit in fp8; measured with Pixtral-12B alone (bench/measured/h100-pixtral-12b-fp8)."""

USUAL_SHARE = 0.75
"""For a family that was not measured."""


@dataclass(frozen=True)
class Load:
    """What is asked, on average over the samples."""

    questions_per_image: float
    """Of an image group: questions that share their images."""
    image_tokens: float
    """Of all images of one prompt."""
    vision_flops: float
    """Of all images of one prompt: each goes through the vision encoder by itself."""
    text_tokens: float
    """Of one prompt, beside the image's."""
    output_tokens: float


def limit_samples_per_s(
    arithmetic: Arithmetic, load: Load, rates: Rates, fp8: bool = False
) -> float:
    """Samples/s at best: every image computed once, every question's own tokens, nothing else.

    `fp8`: the language model's layers are multiplied in fp8; the vision encoder, attention and the
    output stay in bfloat16, as vLLM does it. Raises ValueError where the device's rate is unknown.
    """
    if fp8 and not rates.fp8_flops:
        raise ValueError("the device's fp8 rate is not measured")
    layers = rates.fp8_flops if fp8 else rates.flops
    image, text, output = (
        round(tokens) for tokens in (load.image_tokens, load.text_tokens, load.output_tokens)
    )
    language = arithmetic.language
    once = load.vision_flops / rates.flops
    once += language.weights_flops(image) / layers
    once += language.attention_flops(image) / rates.flops
    question = language.weights_flops(text + output) / layers
    question += language.attention_flops(text, image) / rates.flops
    question += output * language.output_flops / rates.flops
    question += output * language.attention_flops(1, image + text) / rates.flops
    question += output * (image + text) * language.kv_bytes / rates.bytes
    return load.questions_per_image / (once + load.questions_per_image * question)
