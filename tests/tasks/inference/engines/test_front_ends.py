"""Images made ready ahead: the answers are those of vLLM's own path, and what vLLM disowns it does."""

from typing import Any

import pytest

from pixtrack.tasks.inference.engines.base import EnginePrompt, ImageNotCached, RequestRefused
from pixtrack.tasks.inference.engines.front_ends import front_end_for
from pixtrack.tasks.inference.engines.front_ends.base import drop_from_cache, through_cache
from pixtrack.tasks.inference.engines.vllm import VllmEngine
from pixtrack.tasks.runs.protocol import EngineSpec
from tests.doubles import tiny_models
from tests.doubles.processes import vllm_program

KINDS = ("hf_pixtral", "qwen2_5_vl", "llava_onevision")


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of each architecture, from one process: vLLM's imports take as long as the questions."""
    scratch = tmp_path_factory.mktemp("front_ends")
    models = [tiny_models.write(kind, scratch / kind) for kind in KINDS]
    return vllm_program("tests.tasks.inference.engines.front_end_program", *models, scratch=scratch)


@pytest.mark.engine
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_the_answers_are_those_of_vllms_own_path_word_for_word(answered: Any, kind: str) -> None:
    result = answered[kind]
    assert result["images"] == "made ready ahead"
    assert len(result["ours"]) == 18
    assert len(set(result["ours"].values())) > 6, "the answers do not depend on what is asked"
    assert result["ours"] == result["theirs"]


class Cache:
    """vLLM's sender cache, as far as front ends use it: it holds `most` images."""

    def __init__(self, most: int = 100) -> None:
        self.most, self.released = most, 0
        self.kept: dict[str, Any] = {}

    def is_cached_item(self, uuid: str) -> bool:
        return uuid in self.kept

    def touch_sender_cache_item(self, uuid: str) -> None:
        if uuid in self.kept:
            self.kept[uuid] = self.kept.pop(uuid)

    def get_and_update_item(self, item: Any, uuid: str) -> Any:
        if uuid in self.kept:
            return None, self.kept[uuid]
        assert item is not None, "vLLM asserts this"
        while len(self.kept) >= self.most:
            del self.kept[next(iter(self.kept))]
        self.kept[uuid] = item[1]
        return item

    def release_sender_touches(self) -> None:
        self.released += 1

    def invalidate(self, uuid: str) -> None:
        self.kept.pop(uuid, None)


def prompt(*uuids: str, images: tuple[Any, ...] = ()) -> EnginePrompt:
    return EnginePrompt("1", (1,), images=images or (None,) * len(uuids), image_uuids=uuids)


def test_a_follower_sends_nothing_and_finds_what_was_kept_of_its_image() -> None:
    cache = Cache()
    assert through_cache(cache, prompt("a"), [("pixels", "ids")]) == [("pixels", ["ids"])]
    assert through_cache(cache, prompt("a"), [None]) == [(None, ["ids"])]
    assert cache.released == 2


def test_an_image_that_the_engine_core_dropped_is_asked_for_before_anything_changes() -> None:
    cache = Cache(most=2)
    through_cache(cache, prompt("a", "b"), [("A", "a"), ("B", "b")])
    before = dict(cache.kept)
    with pytest.raises(ImageNotCached, match="images c are no longer cached"):
        through_cache(cache, prompt("a", "c"), [None, None])
    assert list(cache.kept) == list(before)


def test_an_image_of_a_prompt_does_not_make_way_for_another_of_it() -> None:
    # `old` is the next to go; `new`, which comes first in the prompt, would push it out.
    cache = Cache(most=2)
    through_cache(cache, prompt("old"), [("O", "o")])
    through_cache(cache, prompt("other"), [("X", "x")])
    sent = through_cache(cache, prompt("new", "old"), [("N", "n"), None])
    assert sent == [("N", ["n"]), (None, ["o"])]


def test_a_failed_prompt_takes_back_the_images_that_it_brought() -> None:
    cache = Cache()
    through_cache(cache, prompt("a", "b"), [("A", "a"), ("B", "b")])
    drop_from_cache(cache, prompt("a", "b", images=(None, "B")))
    assert list(cache.kept) == ["a"]


class NoCache:
    mm_processor_cache = None


class Strange:
    """A renderer of a vLLM that nobody knows."""

    mm_processor_cache = Cache()


@pytest.mark.parametrize("model_format", ["mistral", "hf", "another"])
@pytest.mark.parametrize("renderer", [NoCache(), Strange()])
def test_where_vllm_is_another_it_does_the_work_and_one_line_says_why(
    model_format: str, renderer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    made, told = front_end_for(model_format, renderer, None)
    assert made is None
    assert told.startswith("made ready by vLLM, one after another: ")
    printed = capsys.readouterr().err
    assert printed == f"images are {told}\n"


class Picky:
    """A front end whose processor refuses every image, in vLLM's words."""

    def prepare(self, _image: Any) -> Any:
        try:
            raise ValueError("absolute aspect ratio must be smaller than 200")
        except ValueError as error:
            raise ValueError("Failed to apply Processor on data={...}") from error


def test_an_image_that_the_processor_refuses_refuses_its_questions_with_the_processors_words() -> (
    None
):
    spec = EngineSpec(engine="vllm", model_dir="none", format="hf", family="")
    engine = VllmEngine(spec)
    engine._front_end = Picky()  # type: ignore[assignment]
    with pytest.raises(RequestRefused, match=r"refuses the image: absolute aspect ratio"):
        engine.prepare_image(None)
