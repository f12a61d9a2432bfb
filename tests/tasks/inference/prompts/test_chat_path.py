"""Our prompts are those of vLLM's own chat path: ids, places of the images, pixels."""

from typing import Any

import pytest

from tests.doubles import tiny_models
from tests.doubles.processes import vllm_program
from tests.tasks.inference.prompts.chat_path import INTERLEAVED, INTERLEAVED_SIZES, SIZES, TALKS

CASES = len(SIZES) * len(TALKS) + len(INTERLEAVED_SIZES) * len(INTERLEAVED)
HF_KINDS = ("hf_pixtral", "pixtral_w4a16", "qwen2_5_vl", "llava_onevision")

READY_AHEAD = "made ready ahead"

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Both formats in one process: vLLM's imports take longer than what is looked at."""
    scratch = tmp_path_factory.mktemp("models")
    models = [f"mistral:{tiny_models.write('mistral_pixtral', scratch / 'mistral')}"]
    models += [f"hf:{tiny_models.write(kind, scratch / kind)}" for kind in HF_KINDS]
    return vllm_program("tests.tasks.inference.prompts.chat_path", *models, scratch=scratch)


def differing(cases: dict[str, Any]) -> dict[str, Any]:
    return {name: case for name, case in cases.items() if not all(case.values())}


def test_mistral_prompts_and_pixels_are_those_of_the_chat_path(reports: Any) -> None:
    cases = dict(reports["mistral"])
    assert cases.pop("front_end") == READY_AHEAD
    assert len(cases) == CASES
    assert differing(cases) == {}


def test_hf_prompts_and_pixels_are_those_of_the_chat_path(reports: Any) -> None:
    models = {kind: dict(cases) for kind, cases in reports.items() if kind != "mistral"}
    assert set(models) == set(HF_KINDS)
    for cases in models.values():
        assert cases.pop("front_end") == READY_AHEAD
        assert len(cases) == CASES
    assert {name: differing(cases) for name, cases in models.items()} == {
        name: {} for name in models
    }
