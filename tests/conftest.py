"""What holds for every test."""

import gc
import os
import tempfile
from pathlib import Path

import pytest

# Data homes of tests are new and many: what engines compile is kept beside them.
for _name, _folder in {
    "VLLM_CACHE_ROOT": "vllm",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
}.items():
    os.environ.setdefault(_name, str(Path(tempfile.gettempdir()) / "pixtrack_tests" / _folder))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Modules and tests stay to the end: they need not be searched for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def pytest_unconfigure() -> None:
    """Compiled modules complain of whatever is left when the process ends."""
    gc.unfreeze()
