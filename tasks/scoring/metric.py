"""What a metric is: a named, versioned function of a prediction and its golds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import TypeVar

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring.limits import LONGEST_GOLD, LONGEST_PREDICTION, both_ends
from pixtrack.tasks.scoring.own import OwnFunction

ScoreFunction = Callable[[str, Gold], float | None]
"""(prediction, gold) to a score in [0, 1]; None where the metric leaves the row out."""

StateFunction = Callable[[str, Gold], str]
"""(prediction, gold) to how the metric read the answer, where that is worth counting: "guessed",
"not parsed"; "" where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """One row of a run, as a figure over all of them sees it."""

    prediction: str
    gold: Gold
    score: float


FigureFunction = Callable[[Sequence[ScoredAnswer]], float | None]
"""All scored answers of a run to a figure that stands beside the score; None without any."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Metric:
    """One published way to score an answer, under a name of its own.

    Public implementations of "the same" metric differ by tens of points on the same answers, so
    each one that is reported has its own name, and `source` says whose it is.
    """

    name: str
    title: str
    """As tables and plots show it."""
    source: str
    """Where the algorithm is published."""
    function: ScoreFunction
    version: int = 1
    """Raised when a score can change for the same prediction."""
    higher_is_better: bool = True
    function_by_headline: Mapping[str, ScoreFunction] = field(default_factory=dict)
    """For a metric that scores each kind of dataset its own way: the dataset's headline metric to
    the function; then `function` is not used."""
    state: StateFunction | None = None
    """How an answer was read; the states are counted and shown beside the score."""
    figures: Mapping[str, FigureFunction] = field(default_factory=dict)
    """What else is shown beside the score: a name with its unit to the function."""
    reads_output: bool = False
    """Whether it reads the raw output, and not what the prompt's post-processing makes of it."""
    own: OwnFunction | None = None
    """The user's own function; then `function` is not used."""

    def bounded(self) -> Metric:
        """The metric with functions that read no more than LONGEST_PREDICTION of an answer and
        LONGEST_GOLD of a gold or an option.
        """
        return replace(
            self,
            function=_bounded(self.function),
            function_by_headline={
                headline: _bounded(function)
                for headline, function in self.function_by_headline.items()
            },
            state=_bounded(self.state) if self.state else None,
        )

    def for_dataset(self, dataset: DatasetConfig) -> ScoreFunction:
        """The function that scores this dataset's rows.

        Raises UserError where the metric has no rule for the dataset.
        """
        if not self.function_by_headline:
            return self.function
        try:
            return self.function_by_headline[dataset.headline]
        except KeyError:
            known = ", ".join(sorted(self.function_by_headline))
            raise UserError(
                f"configs/datasets/{dataset.name}.yaml: metrics: {self.name} has no rule for a "
                f"dataset whose headline is {dataset.headline!r} (it has for {known}); "
                f"leave {self.name} out"
            ) from None


def _bounded(function: Callable[[str, Gold], Result]) -> Callable[[str, Gold], Result]:
    @wraps(function)
    def bounded(prediction: str, gold: Gold) -> Result:
        return function(both_ends(prediction, LONGEST_PREDICTION), _bounded_gold(gold))

    return bounded


def _bounded_gold(gold: Gold) -> Gold:
    if all(len(text) <= LONGEST_GOLD for text in (*gold.answers, *gold.options)):
        return gold
    answers = tuple(both_ends(text, LONGEST_GOLD) for text in gold.answers)
    options = tuple(both_ends(text, LONGEST_GOLD) for text in gold.options)
    return replace(gold, answers=answers, options=options)
