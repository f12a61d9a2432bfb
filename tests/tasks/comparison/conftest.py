from __future__ import annotations

from pathlib import Path

import pytest

from pixtrack.configs.paths import Home
from tests.doubles.synthetic_runs import DatasetFactory


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def docs(home: Home) -> DatasetFactory:
    return DatasetFactory(home, pixels=(300, 400))
