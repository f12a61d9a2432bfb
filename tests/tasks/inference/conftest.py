"""What the tests of inference share: a random checkpoint, images, and one started engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pixtrack.tasks.download.generated import write_random_pixtral
from pixtrack.tasks.records import ImageRef, Request
from pixtrack.tasks.runs.protocol import EngineSpec
from tests.doubles import child_imports
from tests.doubles.asking import RunningEngine, draw_images, questions


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tiny Pixtral with random weights."""
    directory = tmp_path_factory.mktemp("checkpoint")
    write_random_pixtral(directory)
    return directory


@pytest.fixture(scope="session")
def drawn_images(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    """Twelve small images, all different, of different sizes."""
    return draw_images(tmp_path_factory.mktemp("images"), 12)


@pytest.fixture
def ask_about(drawn_images: list[ImageRef]) -> Callable[[int, int], list[Request]]:
    """`ask_about(images, questions)`: that many questions on each of the first images."""
    return lambda images, each: questions(drawn_images[:images], each)


@pytest.fixture(scope="session")
def tiny_spec(random_checkpoint: Path) -> EngineSpec:
    """The random checkpoint on vLLM, in float32: rounding must not decide between two tokens."""
    return EngineSpec(
        engine="vllm",
        model_dir=str(random_checkpoint),
        format="mistral",
        family="pixtral",
        options={"dtype": "float32", "max_model_len": 4096},
        max_images=2,
    )


@pytest.fixture(scope="session")
def running_engine(
    tiny_spec: EngineSpec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningEngine]:
    """vLLM's real engine with the random checkpoint in the inference child, started once.

    `running_engine.ask(requests, sampling)` gives answers by index.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(child_imports.VARIABLE, "1")
        engine = RunningEngine(tiny_spec, tmp_path_factory.mktemp("engine"))
        with engine:
            patch.undo()
            yield engine
