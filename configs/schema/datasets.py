"""A dataset's file: where its questions come from, and how its answers are scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from pixtrack.configs.references import is_reference, located, short_name
from pixtrack.configs.schema.base import Config, PublishedScore


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
        references = [name for name in values["metrics"] if is_reference(name)]
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
