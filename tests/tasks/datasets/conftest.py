"""A small dataset in the original layout, to be bent by each test."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixtrack.configs.paths import PACKAGE_ROOT, Home
from pixtrack.configs.schema import AnnotationDataset, DatasetConfig
from tests.doubles.hub import FakeHub
from tests.doubles.hub_datasets import HubCopy, png


@dataclass
class Folder:
    """`qa.jsonl` and `images/` with pictures 0.png to 3.png; rows are lines of text or objects."""

    root: Path

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def qa_file(self) -> Path:
        return self.root / "qa.jsonl"

    def write(self, rows: list[dict[str, Any] | bytes]) -> None:
        lines = [
            row if isinstance(row, bytes) else json.dumps(row, allow_nan=True).encode()
            for row in rows
        ]
        self.qa_file.write_bytes(b"".join(line + b"\n" for line in lines))

    def config(self, **changes: Any) -> DatasetConfig:
        source = AnnotationDataset(
            qa_file=str(self.qa_file),
            img_folder=str(self.images),
            columns=changes.pop("columns", {}),
            sha256=changes.pop("sha256", ""),
        )
        values: dict[str, Any] = {
            "name": "mine",
            "title": "Mine",
            "source": source,
            "metrics": ("anls",),
            "headline": "anls",
            "prompt": "lmms_eval",
            "licence": "CC0",
        }
        return DatasetConfig(**{**values, **changes})


def row(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A good row; `changes` replace keys, None removes them."""
    values = {
        "image": f"{number % 4}.png",
        "question": f"What is {number}?",
        "question_id": 100 + number,
        "answer": [str(number)],
    }
    return {key: value for key, value in {**values, **changes}.items() if value is not None}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "mine")
    made.images.mkdir(parents=True)
    for number in range(4):
        (made.images / f"{number}.png").write_bytes(png(number))
    made.write([row(number) for number in range(8)])
    return made


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with FakeHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing here may reach the real hub: where a test has no server, there is none."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    yield


def changed(copy: HubCopy, **source: object) -> HubCopy:
    """The copy with other settings of its source."""
    new = copy.source.model_copy(update=source)
    return dataclasses.replace(copy, config=copy.config.model_copy(update={"source": new}))


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the configurations, to be written to."""
    copy = tmp_path / "configs"
    for kind in ("datasets", "prompts", "groups"):
        shutil.copytree(PACKAGE_ROOT / "configs" / kind, copy / kind)
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(copy))
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path / "home"))
    return copy
