"""What holds for every test."""

import gc

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """Modules and tests stay to the end: they need not be searched for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def pytest_unconfigure() -> None:
    """Compiled modules complain of whatever is left when the process ends."""
    gc.unfreeze()
