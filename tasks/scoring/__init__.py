"""Scoring: metrics, from text to numbers, and how sure the numbers are."""

from pixtrack.tasks.scoring.metric import Metric
from pixtrack.tasks.scoring.metrics import METRICS
from pixtrack.tasks.scoring.scored import ScoredRun, score_samples
from pixtrack.tasks.scoring.uncertainty import clustered_interval

__all__ = ["METRICS", "Metric", "ScoredRun", "clustered_interval", "score_samples"]
