"""comparison: several runs to one verdict: tables, tests, and one page."""

from __future__ import annotations

from pixtrack.tasks.comparison.compare import compare
from pixtrack.tasks.comparison.resolve import resolve_run, resolve_runs, stored_runs
from pixtrack.tasks.comparison.result import Comparison

__all__ = ["Comparison", "compare", "resolve_run", "resolve_runs", "stored_runs"]
