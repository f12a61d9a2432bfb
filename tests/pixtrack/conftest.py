"""One wheel for all tests of the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pixtrack.installed import Installed, build_wheel, install


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this repository as it is."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Installed:
    """The wheel installed in a folder of the test's own."""
    return install(wheel, tmp_path)
