"""A model's file: what it is, where its files come from, and how an engine is started with it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_serializer, field_validator, model_validator

from pixtrack.configs.endpoint_address import shown_address
from pixtrack.configs.schema.base import Config, PublishedScore


class ModelFilesConfig(Config):
    """Base of the sources that give files to an engine on this machine."""

    has_files: ClassVar[bool] = True
    engine: ClassVar[str] = "vllm"
    """The row of the table ENGINES that answers for the model."""


class HubModel(ModelFilesConfig):
    """Model files on the Hugging Face hub (or a mirror, HF_ENDPOINT)."""

    kind: Literal["hub"] = "hub"
    repo: str = Field(description="repository on the hub: ORG/NAME")
    revision: str = Field(description="commit hash; a branch name is resolved and warned about")
    modelscope: str = Field("", description="the same files on ModelScope, as an alternative")
    gated: bool = False


class LocalModel(ModelFilesConfig):
    """A directory that already holds the files; a relative path starts at the configs folder."""

    kind: Literal["local"] = "local"
    path: str = Field(description="the directory that holds the model's files")


class GeneratedModel(ModelFilesConfig):
    """A tiny checkpoint with random weights, written locally: for tests of the machinery."""

    kind: Literal["generated"] = "generated"
    seed: int = 0


class EndpointModel(Config):
    """A model behind an OpenAI-compatible endpoint."""

    has_files: ClassVar[bool] = False
    engine: ClassVar[str] = "openai"

    kind: Literal["endpoint"] = "endpoint"
    base_url: str = Field(
        "", repr=False, description="empty: from the environment variable base_url_env"
    )
    base_url_env: str = "OPENAI_BASE_URL"
    api_key_env: str = "OPENAI_API_KEY"
    served_model: str = Field("", description="model name at the endpoint; empty: its first one")
    max_concurrency: int = Field(16, ge=1)
    image_transport: Literal["data", "file"] = "data"
    request_timeout_seconds: float = Field(300, gt=0)

    @field_serializer("base_url")
    def _without_secrets(self, base_url: str) -> str:
        """The address without password and key, in every serialised form."""
        return shown_address(base_url)


ModelSource = Annotated[
    HubModel | LocalModel | GeneratedModel | EndpointModel, Field(discriminator="kind")
]


class Dimensions(Config):
    """The sizes that memory depends on, for planning before the files are here.

    Once they are, the model's own config.json or params.json is read instead.
    """

    layers: int = Field(gt=0, description="of the language model")
    hidden: int = Field(gt=0, description="width of the language model")
    intermediate: int = Field(gt=0, description="inner width of the feed-forward layers")
    heads: int = Field(gt=0, description="attention heads (queries)")
    kv_heads: int = Field(gt=0, description="attention heads (keys and values)")
    head_dim: int = Field(gt=0, description="size of a head")
    vocabulary: int = Field(gt=0, description="entries of the token embedding")
    vision_layers: int = Field(0, ge=0)
    vision_hidden: int = Field(0, ge=0)
    vision_intermediate: int = Field(0, ge=0)
    vision_parameters_billions: float = Field(0, ge=0, description="with the projector")
    image_patches: int = Field(0, ge=0, description="patches of the largest image")
    image_tokens: int = Field(0, ge=0, description="prompt tokens of the largest image")
    weight_bits: int = Field(16, description="bits of a weight of the language model's layers")


class Recipe(Config):
    """Engine options that somebody has published for some cards: used where they are found."""

    cards: str = Field(description="part of the card's name: MR-V100")
    count: int = Field(ge=1, description="cards that it needs")
    engine: dict[str, Any] = Field(description="options of vLLM's: {tensor_parallel_size: 4}")
    source: str = Field(description="who published it, and where")


_SIZES = {
    *("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"),
    *("max_model_len", "max_num_seqs", "max_num_batched_tokens"),
    *("gpu_memory_utilization", "kv_cache_memory_bytes"),
}
"""Engine options that a memory plan computes with."""


def _check_size(key: str, value: Any) -> None:
    if value is None:
        return
    if key == "gpu_memory_utilization":
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise ValueError(f"{key}: expected a number up to 1 (0.8), not {value!r}")
    elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{key}: expected a whole number from 1 on (4096), not {value!r}")


class ModelConfig(Config):
    """A model: configs/models/NAME.yaml."""

    name: str
    title: str = Field(description="as people write it: Pixtral-12B-2409")
    source: ModelSource = Field(
        description="where the files are: {kind: hub, repo: ORG/NAME, revision: COMMIT}, {kind: local, "
        "path: DIRECTORY}, or {kind: endpoint}"
    )
    format: Literal["mistral", "hf", "endpoint"] = Field(
        description="mistral (params.json, consolidated*.safetensors), hf (config.json, "
        "*.safetensors), or endpoint"
    )
    family: str = Field(description="architecture: pixtral, llava, qwen2_5_vl, llava_onevision, …")
    parameters_billions: float = Field(ge=0, description="all parameters; 0: unknown")
    size_gb: float = Field(0, ge=0, description="weights on disk, GB (10^9 bytes)")
    context_tokens: int = Field(0, ge=0)
    max_images: int = Field(1, ge=1, description="images in one prompt")
    licence: str = Field(description="as its publisher names it: Apache-2.0")
    weights: Literal["trained", "random"] = "trained"
    memory: str = Field("", description="GPU memory in words, as the publisher gives it")
    engine: dict[str, Any] = Field(
        default_factory=dict,
        description="options passed to vLLM as they are (dtype, max_model_len, …)",
    )
    dimensions: Dimensions | None = None
    recipes: tuple[Recipe, ...] = Field(
        (), description="override `engine` on the cards they name; `given` overrides both"
    )
    given: dict[str, Any] = Field(
        default_factory=dict,
        description="options given with a command (--engine, -tp): before everything else",
    )
    cluster: str = Field(
        "",
        description="the Ray cluster whose nodes take the replicas: HOST:PORT, or auto for the one "
        "that this machine belongs to; empty: this machine alone (--cluster goes before it)",
    )
    trust_remote_code_reason: str = Field(
        "", description="required where engine.trust_remote_code is true: why"
    )
    comparison: dict[str, str] = Field(
        default_factory=dict, description="the guide's table: size, batch_support, memory, speed, …"
    )
    published_scores: tuple[PublishedScore, ...] = ()
    card: str = Field("", description="model card: markdown, or a path of a .md file from configs/")
    notes: str = ""

    @property
    def endpoint(self) -> EndpointModel:
        """The source of a model without files. Raises TypeError for any other."""
        if self.source.kind != "endpoint":
            raise TypeError(f"{self.name} is not behind an endpoint")
        return self.source

    @field_validator("engine", "given")
    @classmethod
    def _engine_is_flat(cls, options: dict[str, Any]) -> dict[str, Any]:
        for key in ("model", "tokenizer_mode", "config_format", "load_format"):
            if key in options and key == "model":
                raise ValueError("engine.model is set from the model's source: leave it out")
        for key in _SIZES & options.keys():
            _check_size(key, options[key])
        return options

    @model_validator(mode="after")
    def _remote_code_has_a_reason(self) -> ModelConfig:
        trusted = {**self.engine, **self.given}.get("trust_remote_code")
        if trusted and not self.trust_remote_code_reason:
            raise ValueError(
                "engine.trust_remote_code runs code that the repository brings: say why in "
                "trust_remote_code_reason, or leave it out"
            )
        return self
