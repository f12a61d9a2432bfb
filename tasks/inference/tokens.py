"""Counts a dataset's tokens for a model, without an engine: lengths, images, cache share, time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pixtrack.tasks.inference.arithmetic import (
    FP8_SHARE,
    H100,
    SHARES_OF_LIMIT,
    USUAL_SHARE,
    Arithmetic,
    Load,
    limit_samples_per_s,
)
from pixtrack.tasks.inference.engines.base import Capabilities, RequestRefused
from pixtrack.tasks.inference.prompts.base import Draft, PromptBuilder
from pixtrack.tasks.inference.worker.fitting import fitting_draft
from pixtrack.tasks.inference.worker.grouping import plan_group, plant
from pixtrack.tasks.records import Request
from pixtrack.tasks.runs.image_groups import group_by_image

BLOCK_TOKENS = 16
"""Tokens of a block of the KV cache on GPUs; prompts share whole blocks only."""


@dataclass(frozen=True)
class Spread:
    """A distribution in five numbers and their mean."""

    least: int
    p5: int
    median: int
    p95: int
    most: int
    mean: float

    @classmethod
    def of(cls, values: Sequence[int]) -> Spread:
        """Computes the figures, with nearest-rank percentiles; `values` must not be empty."""
        ordered = sorted(values)

        def rank(share: float) -> int:
            return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

        mean = sum(ordered) / len(ordered)
        return cls(ordered[0], rank(0.05), rank(0.5), rank(0.95), ordered[-1], mean)


@dataclass(frozen=True)
class TokenReport:
    """The tokens of a dataset's prompts for one model."""

    requests: int
    refused: int
    """Prompts that do not fit, or that the model cannot be asked."""
    refusal: str
    """The first reason; "" where none was refused."""
    image_groups: int
    prompt_tokens: Spread
    image_tokens: Spread
    text_tokens: Spread
    images: Spread
    """Images of a prompt."""
    left_out: int
    """Prompts that show only some of their sample's images, by the dataset's rule for pages."""
    max_tokens: int
    total_prompt_tokens: int
    cached_tokens: int
    """The number among these that the prefix cache serves when image groups are asked together."""
    group_kv_tokens: Spread
    """What an image group holds of the KV cache, all its questions in flight."""
    image_sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    """Width and height of the prompts' images, and how often each is shown."""

    @property
    def cached_share(self) -> float:
        """The share of prompt tokens that need not be computed."""
        return self.cached_tokens / self.total_prompt_tokens

    def to_json(self) -> dict[str, Any]:
        """Fields and the share, JSON-ready; without the images' sizes, of which there are many."""
        fields = {**asdict(self), "cached_share": self.cached_share}
        del fields["image_sizes"]
        return fields


def count_tokens(
    requests: Sequence[Request],
    builder: PromptBuilder,
    max_tokens: int,
    max_model_len: int | None = None,
    block_tokens: int = BLOCK_TOKENS,
) -> TokenReport | None:
    """Counts the tokens of requests.

    Args:
        requests: the requests
        builder: makes the prompts
        max_tokens: the longest answer
        max_model_len: the model's limit for prompt and answer; None: no prompt is refused for it
        block_tokens: tokens of a block of the engine's KV cache; vLLM's CPU engine has 128

    Returns:
        the report; None where no prompt can be asked, or the builder does not know lengths
    """
    everything = Capabilities(
        token_prompts=True,
        kv_cache_tokens=1 << 62,
        max_model_len=max_model_len,
        prefix_caching=True,
        details={"block_size": block_tokens},
    )
    refusals: list[str] = []
    drafts: list[Draft] = []
    cached = 0
    held: list[int] = []
    for group in group_by_image(requests):
        fitting: list[Draft] = []
        for request in group:
            try:
                fitting.append(fitting_draft(request, builder, max_model_len, max_tokens))
            except RequestRefused as refusal:
                refusals.append(f"row {request.index}: {refusal}")
        if fitting:
            plan = plan_group(plant(fitting), max_tokens, everything)
            cached += plan.cached
            held.append(plan.reserved)
            drafts += fitting
    lengths = [draft.prompt_tokens for draft in drafts if draft.prompt_tokens is not None]
    if not lengths or len(lengths) < len(drafts):
        return None
    images = [draft.image_tokens for draft in drafts]
    return TokenReport(
        requests=len(requests),
        refused=len(refusals),
        refusal=refusals[0] if refusals else "",
        image_groups=len(held),
        prompt_tokens=Spread.of(lengths),
        image_tokens=Spread.of(images),
        text_tokens=Spread.of([a - b for a, b in zip(lengths, images, strict=True)]),
        images=Spread.of([len(draft.request.images) for draft in drafts]),
        left_out=sum(bool(draft.request.left_out) for draft in drafts),
        max_tokens=max_tokens,
        total_prompt_tokens=sum(lengths),
        cached_tokens=cached,
        group_kv_tokens=Spread.of(held),
        image_sizes=dict(
            Counter((i.width, i.height) for draft in drafts for i in draft.request.images)
        ),
    )


def estimated_seconds(
    report: TokenReport, arithmetic: Arithmetic, fp8: bool = False
) -> tuple[float, float]:
    """Seconds on one H100: at the computed limit, and at the share of it that was once measured
    for the model's family.

    Every answer is assumed to be `max_tokens` long, so shorter ones take less.

    Returns:
        the seconds at the computed limit, and at the share of it that was measured
    """
    asked = report.requests - report.refused
    vision = sum(
        number * arithmetic.vision.image_flops(*size) for size, number in report.image_sizes.items()
    )
    load = Load(
        questions_per_image=asked / report.image_groups,
        image_tokens=report.image_tokens.mean,
        vision_flops=vision / asked,
        text_tokens=report.text_tokens.mean,
        output_tokens=report.max_tokens,
    )
    limit = limit_samples_per_s(arithmetic, load, H100, fp8)
    share = FP8_SHARE if fp8 else SHARES_OF_LIMIT.get(arithmetic.family, USUAL_SHARE)
    return asked / limit, asked / (limit * share)
