"""A memory plan: what each card holds, whether it fits, and the engine options for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pixtrack.configs.engine_defaults import ENCODER_CACHE_SHARE
from pixtrack.configs.errors import UserError
from pixtrack.tasks.environment.cards import GIB, Card
from pixtrack.tasks.environment.shape import ModelShape

RESOURCE_OPTIONS = frozenset(
    {
        "gpu_memory_utilization",
        "kv_cache_memory_bytes",
        "max_model_len",
        "max_num_seqs",
        "max_num_batched_tokens",
        "enforce_eager",
        "data_parallel_size",
    }
)
"""Options that size the engine; they change no answer, beyond the rounding of other kernels."""


@dataclass(frozen=True)
class MemoryPlan:
    """How a model is to be laid out on a machine, or why it does not fit.

    Byte figures are those of the fullest card; for the CPU engine, of the machine's memory.
    """

    model: str
    platform: str
    """The cards, in words: "2 × NVIDIA H100 80GB HBM3"; "CPU"."""
    refusal: str
    """Why the model does not fit and what would; "" where it fits."""
    total_bytes: int
    free_bytes: int
    budget_bytes: int
    """What the engine may use: total × gpu_memory_utilization."""
    weight_bytes: int
    activation_bytes: int
    overhead_bytes: int
    """The driver's context, CUDA graphs, communication buffers."""
    kv_bytes: int
    kv_bytes_per_token: int
    kv_tokens: int
    request_tokens: int
    """Tokens of the longest expected request: prompt with the largest image, and answer."""
    images_in_flight: int
    """Image groups that the KV cache holds at once."""
    tensor_parallel: int
    pipeline_parallel: int
    max_model_len: int
    dtype: str
    quantization: str
    utilization: float
    replicas: tuple[tuple[str, ...], ...] = ()
    """For each engine that runs side by side the numbers of its cards, by the vendor's tool.
    (): one engine, on the first visible cards."""
    notes: tuple[str, ...] = ()
    """Sentences that say what the plan changed or guessed."""
    engine_options: dict[str, Any] = field(default_factory=dict)
    """All options to pass to vLLM: those of the model, of a recipe, of the user, and of the
    plan."""
    planned_for: PlanRequest | None = field(default=None, repr=False, compare=False)

    @property
    def fits(self) -> bool:
        """Whether the engine can be expected to start."""
        return not self.refusal

    @property
    def possible_replicas(self) -> int:
        """The number of copies of the model in this layout that fit on the machine's cards."""
        cards = len(self.planned_for.cards) if self.planned_for else 0
        return max(1, cards // (self.tensor_parallel * self.pipeline_parallel))

    @property
    def answer_options(self) -> dict[str, Any]:
        """The options that can change an answer (dtype, quantisation, parallel sizes).

        They are part of a run's fingerprint.
        """
        unsplit = [(key, 1) for key in ("tensor_parallel_size", "pipeline_parallel_size")]
        # A planned length holds every expected question. One that the user chose may refuse
        # questions and cut answers off, so it makes another run.
        chosen = self.planned_for.pinned & {"max_model_len"} if self.planned_for else frozenset()
        return {
            key: value
            for key, value in self.engine_options.items()
            if key not in RESOURCE_OPTIONS - chosen
            and (key, value) not in unsplit  # an explicit size of 1 equals the default
        }

    def summary(self) -> str:
        """One line: the layout with the notes, or why the model does not fit."""
        return "; ".join((self.layout(), *self.notes)) if self.fits else self.refusal

    def layout(self) -> str:
        """One line: what each card holds."""
        parallel = (
            f", tensor parallel {self.tensor_parallel} × pipeline parallel {self.pipeline_parallel}"
            if self.tensor_parallel * self.pipeline_parallel > 1
            else ""
        )
        if len(self.replicas) > 1:
            parallel += f", {len(self.replicas)} replicas, each with"
        return (
            f"{self.model} on {self.platform}{parallel}: weights {gib(self.weight_bytes)}, KV cache "
            f"{gib(self.kv_bytes)} ({self.kv_tokens:,} tokens, {self.images_in_flight} "
            f"images in flight), max_model_len {self.max_model_len:,}"
        )

    def rows(self) -> list[tuple[str, str]]:
        """The arithmetic as rows of name and value."""
        rows = [
            ("model", self.model),
            ("cards", self.platform),
            ("memory", f"{gib(self.total_bytes)} in all, {gib(self.free_bytes)} free"),
            ("budget", f"{gib(self.budget_bytes)} (utilisation {self.utilization:.2f})"),
            ("weights", f"{gib(self.weight_bytes)} {self.dtype}{_and(self.quantization)}"),
            ("activations", f"{gib(self.activation_bytes)} at the peak (estimated)"),
            *self._beside_the_budget(),
            ("overhead", f"{gib(self.overhead_bytes)} (estimated)"),
            ("KV cache", f"{gib(self.kv_bytes)} = {self.kv_tokens:,} tokens"),
            ("KV per token", f"{self.kv_bytes_per_token:,} bytes"),
            ("a request", f"up to {self.request_tokens:,} tokens"),
            ("images in flight", str(self.images_in_flight)),
            *self._images_a_prompt(),
            ("tensor × pipeline parallel", f"{self.tensor_parallel} × {self.pipeline_parallel}"),
            *([("replicas", str(len(self.replicas)))] if len(self.replicas) > 1 else []),
            ("max_model_len", f"{self.max_model_len:,}"),
        ]
        rows += [("note", note) for note in self.notes]
        rows.append(("verdict", self.refusal or "fits"))
        return rows

    def table(self) -> str:
        """The rows as aligned text."""
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def require(self) -> MemoryPlan:
        """Returns this plan. Raises UserError where the model does not fit."""
        if self.refusal:
            raise UserError(self.refusal)
        return self

    def smaller(self, cards: tuple[Card, ...] = ()) -> MemoryPlan | None:
        """The plan for the one retry after the engine ran out of memory at its start.

        It leaves more of the card free, batches less, and does without CUDA graphs. It changes no
        option that can change an answer, because the run is already open.

        Args:
            cards: the cards with their present free memory, which others may have taken since the
                first plan; (): as they were

        Returns:
            the plan; None where this one is the retry already, or nothing smaller fits
        """
        if self.planned_for is None or self.planned_for.reduced or self.refusal:
            return None
        request = replace(self.planned_for, reduced=True, cards=cards or self.planned_for.cards)
        plan = self.planned_for.planner(request)
        return plan if plan.fits and plan.answer_options == self.answer_options else None

    @property
    def images_a_prompt(self) -> int:
        """How many images of the largest size fit in one prompt beside a question and its
        answer.
        """
        if self.planned_for is None or not self.planned_for.shape.image_tokens:
            return 0
        one = self.planned_for.shape.image_tokens
        # The tokens of a request beside its one image.
        room = self.max_model_len - max(0, self.request_tokens - one)
        return max(0, min(self.planned_for.max_images, room // one))

    def _images_a_prompt(self) -> list[tuple[str, str]]:
        wanted = self.planned_for.max_images if self.planned_for else 1
        if wanted < 2:
            return []
        held = self.images_a_prompt
        less = "" if held == wanted else f" of the largest size, of {wanted} (max_model_len)"
        return [("images a prompt", f"{held}{less}")]

    def _beside_the_budget(self) -> list[tuple[str, str]]:
        if self.platform == "CPU":
            return []
        size = gib(self.total_bytes * ENCODER_CACHE_SHARE)
        return [("encoded images", f"up to {size}, beside the budget")]


@dataclass(frozen=True)
class PlanRequest:
    """The request for a plan."""

    model: str
    shape: ModelShape
    options: dict[str, Any]
    pinned: frozenset[str]
    """Names of options that the user gave, which the plan must not change."""
    cards: tuple[Card, ...]
    ram_bytes: int
    prompt_tokens: int
    answer_tokens: int
    recipe: str
    """The name of the published recipe whose options are used; "" where none applies."""
    planner: Callable[[PlanRequest], MemoryPlan]
    max_images: int = 1
    """Images that the model's file allows in one prompt."""
    reduced: bool = False
    """Whether this is the smaller plan after the engine ran out of memory."""


def gib(size: float) -> str:
    """Bytes in words: GiB with one decimal."""
    return f"{size / GIB:.1f} GiB" if not 0 < size < 0.1 * GIB else f"{size / 2**20:.0f} MiB"


def _and(quantization: str) -> str:
    return f", {quantization}" if quantization else ""
