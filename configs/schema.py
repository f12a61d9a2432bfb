"""The typed models behind configs/ and experiments/: frozen, and refusing unknown keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)
from typing_extensions import Self  # typing has it from Python 3.11 on

from pixtrack.configs.endpoint_address import shown_address
from pixtrack.configs.references import is_reference, located, short_name


def _refers(name: Any) -> bool:
    return isinstance(name, str) and is_reference(name)


class Config(BaseModel):
    """Base of every configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    def read_from(self, folder: Path) -> Self:  # noqa: ARG002
        """The configuration with the relative paths of a file in that folder made absolute."""
        return self


class PublishedScore(Config):
    """A score that somebody else published: shown beside ours, never mixed in."""

    value: float = Field(description="0-100")
    metric: str = ""
    dataset: str = Field("", description="dataset key; needed in a model's file")
    model: str = Field(
        "", description="model as its publisher names it; needed in a dataset's file"
    )
    by: str = Field(description="who measured it, and where it is published")
    note: str = ""


# --- models -------------------------------------------------------------------


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


# --- datasets -----------------------------------------------------------------


class HubDocuments(Config):
    """PDF documents beside the parquet files: the column `image` names one for each row."""

    files: str = Field(description="glob pattern of the PDF files in the repository")
    dpi: int = Field(144, ge=18, le=600, description="resolution of the pages, dots an inch")
    most_pages: int = Field(1000, ge=1, description="a PDF of more pages is a bad image")


class DatasetSourceConfig(Config):
    """Base of the sources of datasets."""

    any_size: ClassVar[bool] = False
    """Whether NAME-N names the dataset with N images."""


class HubDataset(DatasetSourceConfig):
    """Parquet files on the Hugging Face hub, pinned to a revision."""

    kind: Literal["hub"] = "hub"
    repo: str = Field(description="dataset repository on the hub: ORG/NAME")
    revision: str = Field(description="commit hash")
    files: tuple[str, ...] = Field(description="glob patterns of the split's parquet files")
    columns: dict[str, str] = Field(
        description="our field (question, answers, image, question_id, …) to the source's column"
    )
    image_columns: tuple[str, ...] = Field(
        (),
        description="columns of further images, in order (image_2, image_3, …); empty cells none",
    )
    option_columns: tuple[str, ...] = Field(
        (), description="columns of one option each, in order (choice_A, choice_B, …)"
    )
    optional_images: bool = Field(False, description="rows without an image are asked too")
    documents: HubDocuments | None = Field(
        None, description="the images are the pages of PDF documents"
    )
    where: dict[str, str | int] = Field(
        default_factory=dict, description="keep rows whose column has this value"
    )
    annotations_repo: str = Field("", description="hub dataset repo of the annotation JSONL")
    annotations_revision: str = "main"
    annotations_file: str = ""
    annotations_sha256: str = ""
    annotations_url: str = Field("", description="where else the annotation file can be had")
    select_by_annotations: bool = Field(
        False, description="keep only the questions whose question_id the annotation file lists"
    )


class AnnotationDataset(DatasetSourceConfig):
    """An annotation JSONL and an image folder: the original layout, and users' own data."""

    kind: Literal["annotations"] = "annotations"
    qa_file: str = Field(description="path of the JSONL; relative paths start at the YAML's folder")
    img_folder: str = Field(description="where image and PDF file names start")
    sha256: str = ""
    columns: dict[str, str] = Field(default_factory=dict)
    dpi: int = Field(
        144, ge=18, le=600, description="resolution that pages of a PDF get, dots an inch"
    )
    most_pages: int = Field(1000, ge=1, description="a PDF of more pages is a bad image")


class SampleDataset(DatasetSourceConfig):
    """The generated sample: documents and charts drawn by code."""

    any_size: ClassVar[bool] = True

    kind: Literal["sample"] = "sample"
    images: int = Field(72, ge=1)
    seed: int = 2024


DatasetSource = Annotated[
    HubDataset | AnnotationDataset | SampleDataset, Field(discriminator="kind")
]


class DatasetConfig(Config):
    """A dataset: configs/datasets/NAME.yaml."""

    name: str
    aliases: tuple[str, ...] = ()
    title: str = Field(description="as people write it: DocVQA validation")
    version: int = Field(1, ge=1, description="raised when preparation changes what is asked")
    source: DatasetSource = Field(
        description="where the rows are: {kind: annotations, qa_file: …, img_folder: …}, or {kind: "
        "hub, …}"
    )
    row_format: str = Field(
        "plain",
        description="how questions and answers are laid out: a name in tasks.datasets.formats",
    )
    cluster: str = Field(
        "image",
        description="what makes questions dependent, as the page calls it: image, document, …; "
        "its key is the column `cluster`, or else the images themselves",
    )
    max_pages: int | None = Field(
        None, ge=1, description="of a sample with more images, only so many are shown"
    )
    pages: Literal["refuse", "first", "even"] = Field(
        "refuse",
        description="what becomes of a sample with more images than max_pages or the model takes, "
        "or whose prompt is longer than max_model_len: it is refused, its first images are shown, "
        "or images at even distances",
    )
    metrics: tuple[str, ...] = Field(
        min_length=1,
        description="names of metrics, and references to functions of your own: [anls, "
        '"my_metric.py:score"]',
    )
    headline: str = Field(description="the metric that stands for the dataset")
    evaluators: dict[str, str] = Field(
        default_factory=dict,
        description="a metric's name to the implementation that is this dataset's official one, or "
        "to a function of your own",
    )
    prompt: str = Field(description="default prompt: a name in configs/prompts")
    prompt_reason: str = Field("", description="why this prompt is the default")
    licence: str = Field(description="the data's licence, as its publisher names it")
    questions: int = Field(0, ge=0, description="expected number; 0: unknown")
    images: int = Field(0, ge=0)
    max_failed_fraction: float = Field(0.01, ge=0, le=1)
    published_scores: tuple[PublishedScore, ...] = ()
    notes: str = ""

    @model_validator(mode="before")
    @classmethod
    def _references_get_names(cls, values: Any) -> Any:
        """A metric that is a reference to code gets a name, under which the reference is kept."""
        if not isinstance(values, dict) or not isinstance(values.get("metrics"), list | tuple):
            return values
        references = [name for name in values["metrics"] if _refers(name)]
        if not references:
            return values
        named = {reference: short_name(reference) for reference in references}
        values = {**values, "metrics": [named.get(name, name) for name in values["metrics"]]}
        values["headline"] = named.get(values.get("headline"), values.get("headline"))
        own = {name: reference for reference, name in named.items()}
        return {**values, "evaluators": {**(values.get("evaluators") or {}), **own}}

    def read_from(self, folder: Path) -> DatasetConfig:
        """With the files of its own metrics where they lie: a relative path starts at `folder`."""
        own = {
            name: located(one, folder) for name, one in self.evaluators.items() if is_reference(one)
        }
        return self.model_copy(update={"evaluators": {**self.evaluators, **own}}) if own else self

    def with_metrics(self, metrics: Sequence[str], folder: Path) -> DatasetConfig:
        """With further metrics; the files of references among them start at `folder`."""
        named = {one: short_name(one) if is_reference(one) else one for one in metrics}
        own = {named[one]: located(one, folder) for one in metrics if is_reference(one)}
        names = tuple(dict.fromkeys((*self.metrics, *named.values())))
        return self.model_copy(update={"metrics": names, "evaluators": {**self.evaluators, **own}})

    @field_validator("headline")
    @classmethod
    def _headline_is_a_metric(cls, headline: str, info: Any) -> str:
        metrics = info.data.get("metrics", ())
        if metrics and headline not in metrics:
            raise ValueError(f"must be one of metrics: {', '.join(metrics)}")
        return headline

    @model_validator(mode="after")
    def _max_pages_says_which(self) -> DatasetConfig:
        if self.max_pages is not None and self.pages == "refuse":
            raise ValueError("max_pages: say which pages are shown: pages: first, or pages: even")
        return self


class DatasetGroup(Config):
    """Datasets that are asked together under one name: configs/groups/NAME.yaml."""

    name: str
    title: str = Field(description="as people write it")
    datasets: tuple[str, ...] = Field(min_length=1, description="names in configs/datasets")
    notes: str = ""


# --- prompts ------------------------------------------------------------------


class Shots(Config):
    """Worked examples that a prompt shows before each question, as earlier turns.

    They come from a dataset (another split than the one that is asked), or from a file.
    """

    dataset: str = Field("", description="a name in configs/datasets: another split than is asked")
    qa_file: str = Field(
        "", description="or an annotation JSONL; a relative path starts at the prompt's file"
    )
    img_folder: str = Field("", description="where its image names start; default: beside it")
    count: int | None = Field(
        None, ge=1, description="how many; of a file, default: all, in its order"
    )
    seed: int = Field(0, description="decides which ones are drawn")

    @model_validator(mode="after")
    def _one_source(self) -> Shots:
        if bool(self.dataset) == bool(self.qa_file):
            raise ValueError("name either a dataset or a qa_file that the examples come from")
        if self.dataset and self.count is None:
            raise ValueError("count: say how many examples of the dataset are shown")
        return self

    def read_from(self, folder: Path) -> Shots:
        """With the file and the images where they lie: relative paths start at `folder`."""
        if not self.qa_file:
            return self
        file = (folder / Path(self.qa_file).expanduser()).resolve()
        images = (folder / Path(self.img_folder).expanduser()) if self.img_folder else file.parent
        return self.model_copy(update={"qa_file": str(file), "img_folder": str(images.resolve())})


class PromptVariant(Config):
    """How one dataset's questions are put. `None`: as the prompt's default says."""

    system: str | None = None
    template: str | None = None
    option_template: str | None = None
    option_separator: str | None = None
    options_template: str | None = None
    history_template: str | None = None
    context_template: str | None = None
    max_new_tokens: int | None = Field(None, ge=1)
    postprocess: tuple[str, ...] | None = None
    stop: tuple[str, ...] | None = None
    shots: Shots | None = None
    reason: str = ""


def _located(steps: tuple[str, ...] | None, folder: Path) -> tuple[str, ...] | None:
    if steps is None:
        return None
    return tuple(located(step, folder) if is_reference(step) else step for step in steps)


class PromptConfig(Config):
    """A prompt: configs/prompts/NAME.yaml; the image always comes first."""

    name: str
    title: str = Field(description="as people write it")
    source: str = Field("", description="where this prompt is published")
    version: int = Field(1, ge=1)
    system: str = ""
    template: str = Field(
        description="{question} is replaced; {context} by the context, {options} by the options, if "
        "any; options without {options} follow the question"
    )
    option_template: str = Field("{letter}. {option}", description="how an option is put")
    option_separator: str = Field("\n", description="what stands between two options")
    options_template: str = Field(
        "\n{options}", description="what {options} becomes where there are any"
    )
    history_template: str = Field(
        "{question}", description="the user's text of an earlier turn of a conversation"
    )
    context_template: str = Field(
        "{context}\n", description="what {context} becomes where there is one"
    )
    max_new_tokens: int = Field(ge=1, description="output limit, in tokens")
    postprocess: tuple[str, ...] = Field(
        (),
        description="steps from raw output to prediction: names in "
        'pixtrack.tasks.scoring.postprocess, and functions of your own ("my_steps.py:clean")',
    )
    stop: tuple[str, ...] = ()
    shots: Shots | None = Field(None, description="worked examples, shown before each question")
    datasets: dict[str, PromptVariant] = Field(
        default_factory=dict, description="what differs for a dataset"
    )
    notes: str = ""

    def read_from(self, folder: Path) -> PromptConfig:
        """With the files of its own steps where they lie: a relative path starts at `folder`."""
        datasets = {
            name: variant.model_copy(
                update={
                    "postprocess": _located(variant.postprocess, folder),
                    "shots": variant.shots and variant.shots.read_from(folder),
                }
            )
            for name, variant in self.datasets.items()
        }
        steps = _located(self.postprocess, folder)
        shots = self.shots and self.shots.read_from(folder)
        changed = {"postprocess": steps, "datasets": datasets, "shots": shots}
        return self.model_copy(update=changed)

    def for_dataset(self, dataset: str) -> PromptConfig:
        """The prompt with the dataset's differences applied and `datasets` emptied."""
        variant = self.datasets.get(dataset)
        given = dict(variant) if variant else {}
        changed = {
            name: value for name, value in given.items() if name != "reason" and value is not None
        }
        return self.model_copy(update={**changed, "datasets": {}})


# --- studies ------------------------------------------------------------------


class StudyConfig(Config):
    """A study: models × datasets × prompts (experiments/NAME.yaml)."""

    name: str
    title: str = Field(description="as people write it")
    question: str = Field("", description="what the study is to answer")
    models: tuple[str, ...] = Field(
        min_length=1, description="names in configs/models, ORG/NAME of the hub, or directories"
    )
    datasets: tuple[str, ...] = Field(min_length=1, description="datasets, or groups of them")
    prompts: tuple[str, ...] = Field(
        ("default",), min_length=1, description="`default`: each dataset's own"
    )
    limit: int | None = Field(None, ge=1)
    baseline: str = Field(
        "", description="model, or model@prompt, that the others are compared with"
    )


class Settings(Config):
    """Options of a command for generating answers, which override the prompt's. None: not given."""

    temperature: float | None = Field(None, ge=0, description="0: the likeliest answer")
    max_tokens: int | None = Field(None, ge=1, description="output limit, in tokens")
    system: str | None = Field(None, description='the system prompt; "": none')
    seed: int | None = Field(None, ge=0, description="of the draw, at a temperature above 0")

    def of_prompt(self, prompt: PromptConfig) -> PromptConfig:
        """The prompt with the output limit and the system prompt that are given here."""
        given = {"max_new_tokens": self.max_tokens, "system": self.system}
        changed = {name: value for name, value in given.items() if value is not None}
        return prompt.model_copy(update=changed) if changed else prompt


class Sampling(Config):
    """How an answer is generated: greedily by default, so that a question has one answer."""

    max_tokens: int = Field(ge=1)
    temperature: float = Field(0.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int = 0
    stop: tuple[str, ...] = ()
