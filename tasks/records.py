"""The data that the steps exchange: frozen records, which are JSON and parquet on disk.

Imported by the inference child too, so it uses the standard library only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier turn of a conversation, with its gold answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class SampleImage:
    """One image of a sample: a file in the data home's image store."""

    sha256: str
    """sha256 of the file's bytes."""
    path: str
    """The file, relative to the image store."""
    width: int
    """Pixels, after the EXIF orientation is applied."""
    height: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One question on zero to many images: a row of a prepared dataset's samples.parquet."""

    index: int
    """Number of the row in the source, from 0: the sample's id within its dataset."""
    question_id: str
    """The source's own id; not unique everywhere (ChartQA's is always -1)."""
    question: str
    """The question. `<image n>` in it, in the context or in an option is the place of image n (from
    1); images without such a mark are shown before the text, in their order."""
    answers: tuple[str, ...]
    """The golds in the form that the metric needs: accepted spellings, ten annotators' answers, or
    one; () where they are not published: such a sample is asked, and has no score."""
    images: tuple[SampleImage, ...] = ()
    """The images in order; () for a question without images, or where an image is bad."""
    history: tuple[Turn, ...] = ()
    context: str = ""
    """A paragraph that belongs to the question (ChartQAPro); "" without one."""
    question_type: str = ""
    answer_type: str = ""
    flags: tuple[str, ...] = ()
    """ChartQAPro's Year flags, one for each turn."""
    error: str = ""
    """Why this row cannot be asked; such a sample counts as failed. "" for other samples."""
    options: tuple[str, ...] = ()
    """The texts of the options of a multiple-choice question, in the order of their letters."""
    details: tuple[tuple[str, str], ...] = ()
    """Further values that the metric needs, as (name, value): MathVista's precision, say."""
    cluster: str = ""
    """Questions with the same value have dependent errors (a document's name); "": the images
    decide."""

    @property
    def image(self) -> str:
        """The first image's sha256; "" without one."""
        return self.images[0].sha256 if self.images else ""

    @property
    def image_path(self) -> str:
        """The first image's file, relative to the image store; "" without one."""
        return self.images[0].path if self.images else ""

    @property
    def width(self) -> int:
        """The first image's, in pixels; 0 without one."""
        return self.images[0].width if self.images else 0

    @property
    def height(self) -> int:
        """The first image's, in pixels; 0 without one."""
        return self.images[0].height if self.images else 0

    @property
    def cluster_key(self) -> str:
        """The key by which errors are clustered: samples with the same key are dependent.

        It is the sample's `cluster`, or else its images, or without images the sample itself.
        """
        if self.cluster:
            return self.cluster
        shown = [image.sha256 or image.path for image in self.images]
        return "+".join(shown) if any(shown) else f"row {self.index}"

    @property
    def shown_options(self) -> tuple[str, ...]:
        """The options that the prompt lists; () where the question or the image contains them."""
        given = any(name == "options" for name, _ in self.details)
        return () if given else self.options

    @property
    def gold(self) -> Gold:
        """The part of the sample that metrics get."""
        return Gold(
            answers=self.answers,
            question_type=self.question_type,
            flags=self.flags,
            index=self.index,
            options=self.options,
            answer_type=self.answer_type,
            details=self.details,
        )


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image file that a request shows to the model."""

    sha256: str
    path: str
    """Absolute."""
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Request:
    """One question in the form for an engine: a line of requests.jsonl."""

    index: int
    images: tuple[ImageRef, ...]
    """The images in the order in which they are shown."""
    turns: tuple[str, ...]
    """The texts of the turns (user, assistant, …, user) with the prompt applied."""
    system: str = ""
    parts: tuple[tuple[str | None, ...], ...] = ()
    """For each turn its pieces of text, with None in the places of the images, in their order. ():
    all images stand before the text of the first turn."""
    left_out: int = 0
    """Images of the sample that are not shown, by the dataset's rule for too many pages."""
    pages: str = ""
    """Which pages are kept where the prompt is too long for the model: the `first` ones, or some at
    `even` distances. "": none is left out, and the request is refused."""

    shots: int = 0
    """Turns at the beginning that are worked examples, the same in every request of the run."""

    @property
    def shot_images(self) -> int:
        """How many of the images belong to worked examples: the first ones."""
        return sum(part is None for turn in self.layout[: self.shots] for part in turn)

    @property
    def layout(self) -> tuple[tuple[str | None, ...], ...]:
        """The same as `parts`, with the default filled in where that is ()."""
        if self.parts:
            return self.parts
        first, *rest = self.turns
        return ((*(None for _ in self.images), first), *((text,) for text in rest))


FinishReason = Literal["stop", "length", "refused", "error"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request: a line of the journal answers.jsonl."""

    index: int
    text: str
    """The unchanged output."""
    finish_reason: FinishReason
    """`length`: cut off at max_tokens. `refused`: cannot be asked (too long, bad image); final.
    `error`: the engine failed; the next invocation asks again."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    first_token_seconds: float = 0.0
    seconds: float = 0.0
    """From submission to the last token."""
    error: str = ""
    reasoning: str = ""
    """The model's reasoning, from an engine that returns it apart from the text; never scored."""
    left_out: int = 0
    """Images of the sample that the prompt did not show, by the dataset's rule for many pages."""

    @property
    def failed(self) -> bool:
        """Whether there is no output to score."""
        return self.finish_reason in ("refused", "error")

    @property
    def final(self) -> bool:
        """Whether the question is not asked again."""
        return self.finish_reason != "error"


@dataclass(frozen=True, slots=True)
class Gold:
    """The part of a sample that metrics need."""

    answers: tuple[str, ...]
    question_type: str = ""
    flags: tuple[str, ...] = ()
    index: int = 0
    """The sample's index; a metric that guesses at random is seeded with it."""
    options: tuple[str, ...] = ()
    answer_type: str = ""
    details: tuple[tuple[str, str], ...] = ()

    def detail(self, name: str) -> str:
        """The value of the detail of that name; "" without one."""
        return next((value for known, value in self.details if known == name), "")


def to_json(record: Any) -> dict[str, Any]:
    """A record as JSON-ready types."""
    return asdict(record)


def request_to_json(request: Request) -> dict[str, Any]:
    """A Request as JSON-ready types, without the fields that are empty in most requests."""
    data = asdict(request)
    return {key: value for key, value in data.items() if value or key not in _OFTEN_EMPTY}


_OFTEN_EMPTY = ("parts", "left_out", "pages", "shots")


def request_from_json(data: dict[str, Any]) -> Request:
    """The inverse of `request_to_json`."""
    return Request(
        index=data["index"],
        images=tuple(ImageRef(**image) for image in data["images"]),
        turns=tuple(data["turns"]),
        system=data.get("system", ""),
        parts=tuple(tuple(turn) for turn in data.get("parts", ())),
        left_out=data.get("left_out", 0),
        pages=data.get("pages", ""),
        shots=data.get("shots", 0),
    )


def answer_from_json(data: dict[str, Any]) -> Answer:
    """The inverse of `to_json` for an Answer; keys of later versions are ignored."""
    known = {field.name for field in fields(Answer)}
    return Answer(**{key: value for key, value in data.items() if key in known})


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset ready to be asked: DATASETS/NAME/{samples.parquet, dataset.json}."""

    name: str
    directory: Path
    images: Path
    """The image store that the samples' image_path is relative to."""
    digest: str
    """sha256 over everything in the samples that can change an answer."""
    samples: tuple[Sample, ...]
    source: dict[str, Any]
    """Where it came from: kind, repo, revision, files with their sha256, …"""
