"""Metrics and post-processing steps of the user's own: functions in a file named by its path.

A metric is a function of one argument. Called `answers`, it gets every answered question of the run
at once, and returns a score for each or one number for all; otherwise it gets one answered question
at a time. A step takes the text and returns what is left of it. What the function raises, and what
it returns that is no score, is an error that names the file and the question.

    def score(answered):
        return float(answered.prediction in answered.golds)
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.references import is_file, is_reference, parts
from pixtrack.tasks.records import Answer, Sample, Turn

WHOLE_RUN = "answers"
"""The name of the argument of a metric that gets all answers at once."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One answered question, as a metric of the user's own sees it."""

    index: int
    """The row in the dataset, from 0."""
    question_id: str
    question: str
    context: str
    """A paragraph that belongs to the question; "" where there is none."""
    golds: tuple[str, ...]
    """Accepted answers; () where none are published."""
    options: tuple[str, ...]
    """Of a multiple-choice question, in the order of their letters."""
    question_type: str
    answer_type: str
    details: Mapping[str, str]
    """What else the dataset says of the row."""
    history: tuple[Turn, ...]
    """Earlier turns of the conversation."""
    prediction: str
    """The answer after the prompt's post-processing."""
    output: str
    """The answer as the model gave it."""
    group: str = field(repr=False)
    """Answers of one group are about the same image or document."""


def answered(sample: Sample, answer: Answer, prediction: str) -> Answered:
    """The answered question."""
    return Answered(
        index=sample.index,
        question_id=sample.question_id,
        question=sample.question,
        context=sample.context,
        golds=sample.answers,
        options=sample.options,
        question_type=sample.question_type,
        answer_type=sample.answer_type,
        details=dict(sample.details),
        history=sample.history,
        prediction=prediction,
        output=answer.text,
        group=sample.cluster_key,
    )


@dataclass(frozen=True)
class OwnFunction:
    """A function of the user's own, with the digest of the file that it is in."""

    reference: str
    function: Callable[[Any], Any]
    digest: str
    """sha256 of the file."""
    whole_run: bool
    """Whether it takes all answers at once."""

    @property
    def version(self) -> int:
        """A number that changes with the file, as `Metric.version` does with the code."""
        return int(self.digest[:12], 16)

    def score(self, one: Answered) -> float | None:
        """The score of one answer. Raises UserError for an error and for what is no score."""
        return _score(self._call(one, f"question {one.index}"), self.reference, one.index)

    def scores(self, every: Sequence[Answered]) -> float | list[float | None]:
        """What the function makes of all answers: one number, or a score for each, in order.

        Raises UserError for an error, for what is no score, and for another number of scores.
        """
        found = self._call(list(every), f"all {len(every)} answers")
        if not isinstance(found, Iterable):
            return self._number(found)
        values = list(found)
        if len(values) != len(every):
            raise UserError(
                f"{self.reference}: returned {len(values)} scores for {len(every)} answers: return "
                "one for each, in order, or one number for all"
            )
        pairs = zip(values, every, strict=True)
        return [_score(value, self.reference, one.index) for value, one in pairs]

    def number(self, every: Sequence[Answered]) -> float:
        """The one number for these answers. Raises UserError as `scores` does."""
        return self._number(self._call(list(every), f"{len(every)} answers"))

    def _number(self, found: Any) -> float:
        score = _score(found, self.reference, None)
        if score is None:
            raise UserError(f"{self.reference}: returned None for all answers: return a number")
        return score

    def text(self, text: str) -> str:
        """What a step leaves of the text. Raises UserError for an error and for what is no text."""
        found = self._call(text, f"the text {text[:40]!r}")
        if not isinstance(found, str):
            raise UserError(f"{self.reference}: returned {found!r} for a text: return a text")
        return found

    def _call(self, argument: Any, of_what: str) -> Any:
        try:
            return self.function(argument)
        except Exception as error:
            place = _line_in_file(error, self.reference)
            raise UserError(
                f"{self.reference}: fails on {of_what}{place}: {type(error).__name__}: {error}"
            ) from error


def _line_in_file(error: BaseException, reference: str) -> str:
    """Where in the file the error comes from, as ", line 7"; "" where that is unknown."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == parts(reference)[0]:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""


def _score(value: Any, reference: str, index: int | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        of_what = "all answers" if index is None else f"question {index}"
        raise UserError(
            f"{reference}: returned {value!r} for {of_what}: a score is a number from 0 to 1, or "
            "None where the question has none"
        )
    return number


def load(reference: str) -> OwnFunction:
    """The function that the reference names; read again when its file has changed.

    Raises UserError where the file or module, or the function in it, does not exist or cannot be
    read, and where it does not take one argument.
    """
    place, name = parts(reference)
    path = Path(place) if is_file(place) else _file_of_module(place, reference)
    try:
        stat = path.stat()
    except OSError:
        raise UserError(f"{reference}: {path}: no such file: correct the path") from None
    key = (reference, stat.st_mtime_ns, stat.st_size)
    if key not in _LOADED:
        _LOADED[key] = _load(reference, path, place, name)
    return _LOADED[key]


_LOADED: dict[tuple[str, int, int], OwnFunction] = {}


def _load(reference: str, path: Path, place: str, name: str) -> OwnFunction:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        module = _module_of(path, digest) if is_file(place) else importlib.import_module(place)
    except Exception as error:
        where = _line_in_file(error, reference)
        raise UserError(
            f"{reference}: cannot be read{where}: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        known = [one for one, value in vars(module).items() if inspect.isfunction(value)]
        raise UserError(f"{reference}: no function {name!r} (it has: {', '.join(known) or 'none'})")
    wanted = [
        one for one in inspect.signature(function).parameters.values() if one.default is one.empty
    ]
    if len(wanted) != 1:
        raise UserError(
            f"{reference}: takes {len(wanted)} arguments: a metric takes one answered question (or "
            f"all of them, called `{WHOLE_RUN}`), a step the text"
        )
    return OwnFunction(reference, function, digest, wanted[0].name == WHOLE_RUN)


def _module_of(path: Path, digest: str) -> ModuleType:
    """The file as a module of its own; its name is in nobody's way."""
    name = f"pixtrack_own_{path.stem}_{digest[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "the path ends in .py"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _file_of_module(module: str, reference: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise UserError(f"{reference}: cannot be imported ({error}): install it here") from None
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        raise UserError(
            f"{reference}: there is no module {module!r} here: install it, or name a file "
            "(./metric.py:score)"
        )
    return Path(spec.origin)


def digests(names: Sequence[str]) -> dict[str, str]:
    """The sha256 of the file of each reference among the names."""
    return {name: load(name).digest for name in names if is_reference(name)}
