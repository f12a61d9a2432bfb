"""Every architecture of configs/models answers through vLLM's real engine, on tiny checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import LocalModel, ModelConfig, Sampling
from pixtrack.tasks.inference.describing import Described, describe
from tests.doubles import tiny_models

pytestmark = pytest.mark.engine

QUESTIONS = ("What is the total?", "Who signed?")


Answers = Callable[[str], list[Described]]


@pytest.fixture(scope="module")
def answers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Answers]:
    """What each kind answers. Two engines at a time, ahead of the tests: a start keeps one core busy."""
    mine = [item for item in request.session.items if item.nodeid.startswith(request.node.nodeid)]
    asked = {}
    with ThreadPoolExecutor(2) as pool:
        for kind in (item.callspec.params["kind"] for item in mine):  # type: ignore[attr-defined]
            folder = tmp_path_factory.mktemp(kind)
            directory = tiny_models.write(kind, folder / kind)
            asked[kind] = pool.submit(ask, kind, directory, folder)
        yield lambda kind: asked[kind].result()
        pool.shutdown(cancel_futures=True)


def ask(kind: str, directory: Path, tmp_path: Path) -> list[Described]:
    """Two questions on two images, with each image by itself."""
    model_format, family = tiny_models.FAMILIES[kind]
    model = ModelConfig(
        name=kind.replace("_", "-"),
        title=kind,
        source=LocalModel(path=str(directory)),
        format=model_format,
        family=family,
        parameters_billions=0.001,
        licence="none",
        max_images=2,
        engine={"dtype": "bfloat16", "max_model_len": 4096, "enforce_eager": True},
    )
    images = [tmp_path / "wide.png", tmp_path / "tall.png"]
    Image.linear_gradient("L").resize((300, 120)).convert("RGB").save(images[0])
    Image.radial_gradient("L").resize((90, 260)).convert("RGB").save(images[1])
    return describe(
        model,
        Home(tmp_path / "home"),
        images,
        QUESTIONS,
        Sampling(max_tokens=6),
        each=True,
        fetch=lambda: directory,
    )


def check(described: list[Described]) -> None:
    assert [(d.images, d.question) for d in described] == [
        ((name,), question) for name in ("wide.png", "tall.png") for question in QUESTIONS
    ]
    for one in described:
        assert one.answer.error == ""
        assert one.answer.finish_reason in ("stop", "length")
        assert 0 < one.answer.output_tokens <= 6
    # The image is in the prompt: another image, another number of tokens.
    wide, _, tall, _ = (d.answer.prompt_tokens for d in described)
    assert wide != tall


@pytest.mark.parametrize("kind", ["mistral_pixtral", "hf_pixtral"])
def test_pixtral_answers_in_both_formats(kind: str, answers: Answers) -> None:
    check(answers(kind))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pixtral_w4a16", "qwen2_5_vl", "llava_onevision"])
def test_the_other_architectures_answer_too(kind: str, answers: Answers) -> None:
    check(answers(kind))
