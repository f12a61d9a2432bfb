"""What passes between the steps. Frozen; plain JSON and parquet on disk; defined once, here.

Imported by the inference child too: standard library only.
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
    """Of the file's bytes."""
    path: str
    """The file, relative to the image store."""
    width: int
    """Pixels, after the EXIF orientation is applied."""
    height: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One question on zero to many images: a row of a prepared dataset's samples.parquet."""

    index: int
    """0-based row in the source: the sample's id within its dataset."""
    question_id: str
    """The source's own id; not unique everywhere (ChartQA's is always -1)."""
    question: str
    """`<image n>` in it, in the context or in an option says where image n (from 1) stands; images
    that no text mentions stand before the text, in their order."""
    answers: tuple[str, ...]
    """The golds as the metric takes them: accepted spellings, ten annotators' answers, one, or none
    where they are not published: such a sample is asked and has no score."""
    images: tuple[SampleImage, ...] = ()
    """In their order; () for a question on no image, or where an image is bad."""
    history: tuple[Turn, ...] = ()
    context: str = ""
    """A paragraph that belongs to the question (ChartQAPro); "" where there is none."""
    question_type: str = ""
    answer_type: str = ""
    flags: tuple[str, ...] = ()
    """ChartQAPro's Year flags, one a turn."""
    error: str = ""
    """Why this row cannot be asked; such a sample counts as failed."""
    options: tuple[str, ...] = ()
    """The texts of the options of a multiple-choice question, in the order of their letters."""
    details: tuple[tuple[str, str], ...] = ()
    """What else a metric needs to know of the row, as (name, value): MathVista's precision."""
    cluster: str = ""
    """What makes questions dependent, a document's name, say; "": the images that they show."""

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
        """Samples with the same key are dependent: errors are clustered by it.

        Without a cluster of its own, the images; without images, the sample alone.
        """
        if self.cluster:
            return self.cluster
        shown = [image.sha256 or image.path for image in self.images]
        return "+".join(shown) if any(shown) else f"row {self.index}"

    @property
    def shown_options(self) -> tuple[str, ...]:
        """The options that a prompt lists: none where they stand in the question or the image."""
        given = any(name == "options" for name, _ in self.details)
        return () if given else self.options

    @property
    def gold(self) -> Gold:
        """What a metric is told of the sample."""
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
    """One question as the engine's side sees it: a line of requests.jsonl."""

    index: int
    images: tuple[ImageRef, ...]
    """In the order in which they are shown."""
    turns: tuple[str, ...]
    """User, assistant, …, user: the texts with the prompt applied."""
    system: str = ""
    parts: tuple[tuple[str | None, ...], ...] = ()
    """For each turn its pieces of text and, as None, the places of the images, which are taken in
    order; (): all images stand before the first turn's text."""
    left_out: int = 0
    """Images of the sample that are not shown, by the dataset's rule for too many pages."""
    pages: str = ""
    """Which pages are left out where the prompt is too long for the model: all but the `first`
    ones, or but some at `even` distances; "": none, the request is refused."""

    @property
    def layout(self) -> tuple[tuple[str | None, ...], ...]:
        """`parts`, also where it is left empty."""
        if self.parts:
            return self.parts
        first, *rest = self.turns
        return ((*(None for _ in self.images), first), *((text,) for text in rest))


FinishReason = Literal["stop", "length", "refused", "error"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request: a line of the journal answers.jsonl."""

    index: int
    text: str
    """The raw output, as it came."""
    finish_reason: FinishReason
    """`length`: cut off at max_tokens. `refused`: cannot be asked (too long, bad image); final.
    `error`: the engine failed on it; asked again by the next run."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    first_token_seconds: float = 0.0
    seconds: float = 0.0
    """From submission to the last token."""
    error: str = ""
    reasoning: str = ""
    """What the model thought, where the engine keeps it apart; never scored."""
    left_out: int = 0
    """Images of the sample that the prompt did not show, by the dataset's rule for many pages."""

    @property
    def failed(self) -> bool:
        """Whether there is no output to score."""
        return self.finish_reason in ("refused", "error")

    @property
    def final(self) -> bool:
        """Whether asking again cannot change it."""
        return self.finish_reason != "error"


@dataclass(frozen=True, slots=True)
class Gold:
    """What a metric needs to know of a sample."""

    answers: tuple[str, ...]
    question_type: str = ""
    flags: tuple[str, ...] = ()
    index: int = 0
    """The sample's, so that a metric that guesses guesses the same for it at any time."""
    options: tuple[str, ...] = ()
    answer_type: str = ""
    details: tuple[tuple[str, str], ...] = ()

    def detail(self, name: str) -> str:
        """The value of a detail; "" where there is none of the name."""
        return next((value for known, value in self.details if known == name), "")


def to_json(record: Any) -> dict[str, Any]:
    """A record as JSON-ready types."""
    return asdict(record)


def request_to_json(request: Request) -> dict[str, Any]:
    """A Request as JSON-ready types, without what is empty in most."""
    data = asdict(request)
    return {key: value for key, value in data.items() if value or key not in _OFTEN_EMPTY}


_OFTEN_EMPTY = ("parts", "left_out", "pages")


def request_from_json(data: dict[str, Any]) -> Request:
    """The inverse of `to_json` for a Request."""
    return Request(
        index=data["index"],
        images=tuple(ImageRef(**image) for image in data["images"]),
        turns=tuple(data["turns"]),
        system=data.get("system", ""),
        parts=tuple(tuple(turn) for turn in data.get("parts", ())),
        left_out=data.get("left_out", 0),
        pages=data.get("pages", ""),
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
    """sha256 over everything that can change an answer."""
    samples: tuple[Sample, ...]
    source: dict[str, Any]
    """Where it came from: kind, repo, revision, files with their sha256, …"""
