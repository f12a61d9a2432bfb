"""Datasets: from a source to prepared samples and stored images."""

from pixtrack.tasks.datasets.preparation import load_prepared, prepare

__all__ = ["load_prepared", "prepare"]
