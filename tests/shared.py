"""What a folder `shared` beside the checkout holds for tests; nothing of it is ever committed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = [parent / "shared" for parent in Path(__file__).resolve().parents[1].parents]
SHARED = Path(
    os.environ.get("PIXTRACK_TEST_SHARED")
    or next((folder for folder in _BESIDE if folder.is_dir()), _BESIDE[0])
)


def needs_shared(name: str) -> pytest.MarkDecorator:
    """Skips a test where the folder of that name is not there."""
    folder = SHARED / name
    return pytest.mark.skipif(
        not folder.is_dir(), reason=f"needs the folder {folder} (PIXTRACK_TEST_SHARED)"
    )
