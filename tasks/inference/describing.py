"""Asks free questions about images, without dataset or run, as the vendor's Pixtral recipe does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig, Sampling
from pixtrack.tasks.images import BadImage, inspect_image
from pixtrack.tasks.inference.starting import session_for
from pixtrack.tasks.records import Answer, ImageRef, Request, request_to_json
from pixtrack.tasks.runs.journal import read_answers
from pixtrack.tasks.runs.protocol import Job
from pixtrack.tasks.scratch import scratch_folder


@dataclass(frozen=True)
class Described:
    """A question on one or several images, and the model's answer."""

    images: tuple[str, ...]
    question: str
    answer: Answer

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "images": list(self.images),
            "question": self.question,
            "answer": self.answer.text,
            "finish_reason": self.answer.finish_reason,
            "prompt_tokens": self.answer.prompt_tokens,
            "output_tokens": self.answer.output_tokens,
            "seconds": round(self.answer.seconds, 3),
            "error": self.answer.error,
        }

    def text(self) -> str:
        """Question and answer for a terminal; in place of an answer, why there is none."""
        said = self.answer.text
        if self.answer.failed:
            said = f"(no answer: {self.answer.error})"
        elif self.answer.finish_reason == "length":
            said += " … (cut off: raise --max-tokens)"
        return f"{', '.join(self.images)}: {self.question}\n{said}\n"


@dataclass(frozen=True)
class _Asked:
    """A job in the form that an engine session takes."""

    job: Job


def describe(
    model: ModelConfig,
    home: Home,
    images: Sequence[Path],
    questions: Sequence[str],
    sampling: Sampling,
    *,
    each: bool = False,
    fetch: Callable[[], Path | None],
) -> list[Described]:
    """Asks the questions about the images.

    Args:
        model: the model
        home: the data home
        images: image files
        questions: the questions, each about all the images
        sampling: how answers are generated
        each: ask each question about every image separately
        fetch: fetches the model's files and returns their directory (None for an endpoint); called
            only after the images have been checked

    Returns:
        the answers, question by question

    Raises:
        UserError: an image cannot be shown, there are more images than the model takes, or the
            engine does not start
    """
    references = [_reference(path) for path in images]
    groups = [(ref,) for ref in references] if each else [tuple(references)]
    if len(groups[0]) > model.max_images:
        raise UserError(
            f"{len(references)} images in one prompt, {model.name} takes {model.max_images}: ask "
            "about each by itself (--each), or raise max_images in the model's file"
        )
    requests = [
        Request(index=index, images=group, turns=(question,))
        for index, (group, question) in enumerate((g, q) for g in groups for q in questions)
    ]
    answers = _ask(model, fetch(), home, requests, sampling)
    return [
        Described(
            images=tuple(Path(image.path).name for image in request.images),
            question=request.turns[-1],
            answer=answers.get(request.index)
            or Answer(request.index, "", "error", error="the engine gave no answer"),
        )
        for request in requests
    ]


def _reference(path: Path) -> ImageRef:
    try:
        data = path.read_bytes()
        facts = inspect_image(data)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except BadImage as error:
        raise UserError(f"{path}: cannot be shown ({error})") from None
    return ImageRef(
        sha256=hashlib.sha256(data).hexdigest(),
        path=str(path.resolve()),
        width=facts.width,
        height=facts.height,
    )


def _ask(
    model: ModelConfig,
    files: Path | None,
    home: Home,
    requests: Sequence[Request],
    sampling: Sampling,
) -> dict[int, Answer]:
    """The answers by request index; requests and journal are temporary files of this call."""
    with scratch_folder("describe") as folder:
        lines = [json.dumps(request_to_json(r), ensure_ascii=False) for r in requests]
        asked = folder / "requests.jsonl"
        asked.write_text("\n".join(lines) + "\n", encoding="utf-8")
        job = Job(
            job_id="describe",
            requests_path=str(asked),
            journal_path=str(folder / "answers.jsonl"),
            fingerprint=hashlib.sha256(asked.read_bytes()).hexdigest(),
            sampling=sampling,
        )
        with session_for(model, files, home) as engine:
            engine.ask(_Asked(job), lambda _event: None)
        return read_answers(Path(job.journal_path))
