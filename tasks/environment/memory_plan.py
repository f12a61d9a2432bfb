"""A memory plan: what goes where, whether it fits, and what to tell the engine."""

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
    """How a model is to be laid out on this machine, or why it does not fit.

    Byte figures are of one card (the fullest); on the CPU engine, of the machine's memory.
    """

    model: str
    platform: str
    """The cards, in words: "2 × NVIDIA H100 80GB HBM3"; "CPU"."""
    refusal: str
    """Why the model does not fit, with what would; "" where it fits."""
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
    """The longest expected request: prompt with its largest image, and answer."""
    images_in_flight: int
    """Image groups that the KV cache holds at once."""
    tensor_parallel: int
    pipeline_parallel: int
    max_model_len: int
    dtype: str
    quantization: str
    utilization: float
    replicas: tuple[tuple[str, ...], ...] = ()
    """For each engine that answers at once the cards it gets, as the vendor's tool counts them; ():
    one engine, on the first of the cards that are visible."""
    notes: tuple[str, ...] = ()
    """What the plan changed or guessed, in sentences."""
    engine_options: dict[str, Any] = field(default_factory=dict)
    """Everything to pass to vLLM: the model's own options, a recipe's, the user's, and the planned."""
    request: Question | None = field(default=None, repr=False, compare=False)

    @property
    def fits(self) -> bool:
        """Whether the engine can be expected to start."""
        return not self.refusal

    @property
    def possible_replicas(self) -> int:
        """Copies of the model that the machine's cards hold side by side in this layout."""
        cards = len(self.request.cards) if self.request else 0
        return max(1, cards // (self.tensor_parallel * self.pipeline_parallel))

    @property
    def answer_options(self) -> dict[str, Any]:
        """The options that can change an answer (dtype, quantisation, parallel sizes): for the fingerprint."""
        unsplit = [(key, 1) for key in ("tensor_parallel_size", "pipeline_parallel_size")]
        # Planned, it holds every question that is expected. As somebody chose it, it may refuse
        # some and cut answers off, and these must not become those of the run without it.
        chosen = self.request.pinned & {"max_model_len"} if self.request else frozenset()
        return {
            key: value
            for key, value in self.engine_options.items()
            if key not in RESOURCE_OPTIONS - chosen
            and (key, value) not in unsplit  # one card, said aloud
        }

    def summary(self) -> str:
        """One line: the layout, and what the plan changed or guessed; or why it does not fit."""
        return "; ".join((self.layout(), *self.notes)) if self.fits else self.refusal

    def layout(self) -> str:
        """One line: what goes where."""
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
        """The arithmetic as a table: name and value, for a terminal, an artifact or a report."""
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
        """Return this plan; raises UserError where the model does not fit."""
        if self.refusal:
            raise UserError(self.refusal)
        return self

    def smaller(self, cards: tuple[Card, ...] = ()) -> MemoryPlan | None:
        """The plan for the one retry after an out-of-memory at the start; None where none is left.

        Leaves more of the card free, batches less at once, and does without CUDA graphs; nothing
        that can change an answer, as the run is already open. `cards` as they are now, if somebody
        has looked: others may have taken memory since the first plan.
        """
        if self.request is None or self.request.reduced or self.refusal:
            return None
        request = replace(self.request, reduced=True, cards=cards or self.request.cards)
        plan = self.request.planner(request)
        return plan if plan.fits and plan.answer_options == self.answer_options else None

    @property
    def images_a_prompt(self) -> int:
        """Images of the largest size that one prompt holds beside a question and its answer."""
        if self.request is None or not self.request.shape.image_tokens:
            return 0
        one = self.request.shape.image_tokens
        # What a request takes beside its one image.
        room = self.max_model_len - max(0, self.request_tokens - one)
        return max(0, min(self.request.max_images, room // one))

    def _images_a_prompt(self) -> list[tuple[str, str]]:
        wanted = self.request.max_images if self.request else 1
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
class Question:
    """What a plan was asked for."""

    model: str
    shape: ModelShape
    options: dict[str, Any]
    pinned: frozenset[str]
    """Options that the user gave: never changed."""
    cards: tuple[Card, ...]
    ram_bytes: int
    prompt_tokens: int
    answer_tokens: int
    recipe: str
    """Whose published options are used; "" where none apply."""
    planner: Callable[[Question], MemoryPlan]
    max_images: int = 1
    """Images that the model's file allows in one prompt."""
    reduced: bool = False
    """The smaller plan, after an out-of-memory."""


def gib(size: float) -> str:
    """Bytes as people read memory: binary units."""
    return f"{size / GIB:.1f} GiB" if not 0 < size < 0.1 * GIB else f"{size / 2**20:.0f} MiB"


def _and(quantization: str) -> str:
    return f", {quantization}" if quantization else ""
