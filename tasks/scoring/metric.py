"""What a metric is: a named, versioned function of a prediction and its golds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.records import Gold

ScoreFunction = Callable[[str, Gold], float | None]
"""(prediction, gold) to a score in [0, 1]; None where the metric leaves the row out."""


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
