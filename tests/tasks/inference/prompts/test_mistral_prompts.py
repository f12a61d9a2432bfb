"""Token ids of Mistral-format prompts, against mistral_common's own encoding of real images."""

import json
import random
import shutil
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mistral_common.protocol.instruct.chunk import ImageChunk, TextChunk
from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from PIL import Image

from pixtrack.configs.errors import UserError
from pixtrack.tasks.download.generated import write_random_pixtral
from pixtrack.tasks.inference.engines.base import RequestRefused
from pixtrack.tasks.inference.prompts.mistral import MistralPrompts
from pixtrack.tasks.records import ImageRef, Request

SIZES = [
    (1, 1),
    (1, 1024),
    (15, 17),
    (16, 16),
    (17, 16),
    (640, 480),
    (1023, 1025),
    (1024, 1024),
    (1025, 1024),
    (1700, 2200),
    (2047, 3),
    (3, 2049),
    (6250, 9375),
    (20000, 50),
    (50, 20000),
    (20000, 1),
]


@pytest.fixture(scope="module")
def pixtral(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Pixtral-12B's own tokenizer."""
    folder = tmp_path_factory.mktemp("pixtral")
    with (files("mistral_common") / "data" / "tekken_240911.json").open("rb") as source:
        (folder / "tekken.json").write_bytes(source.read())
    return folder


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A reduced vocabulary and a smaller image size."""
    folder = tmp_path_factory.mktemp("nano")
    write_random_pixtral(folder)
    return folder


@pytest.fixture(scope="module", params=["pixtral", "nano"])
def model(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@cache
def builder_of(model: Any) -> MistralPrompts:
    return MistralPrompts(model, max_images=3)


@cache
def tokenizer_of(model: Any) -> Any:
    return MistralTokenizer.from_file(str(model / "tekken.json"))


def refs(*sizes: tuple[int, int]) -> tuple[ImageRef, ...]:
    return tuple(ImageRef(f"{w}x{h}", f"/none/{w}x{h}.png", w, h) for w, h in sizes)


def ids_of(builder: MistralPrompts, request: Request) -> list[int]:
    prompt = builder.prompt(builder.draft(request), [None] * len(request.images))
    return list(prompt.token_ids or ())


def theirs(model: Any, request: Request) -> list[int]:
    """mistral_common's ids for the same conversation, with the images' pixels."""
    messages = [SystemMessage(content=request.system)] if request.system else []
    images = iter(request.images)
    for number, turn in enumerate(request.layout):
        chunks = []
        for part in turn:
            if part is None:
                image = next(images)
                chunks.append(ImageChunk(image=Image.new("RGB", (image.width, image.height))))
            else:
                chunks.append(TextChunk(text=part))
        content = chunks if None in turn else request.turns[number]
        messages.append((AssistantMessage if number % 2 else UserMessage)(content=content))
    conversation = ChatCompletionRequest(messages=messages)
    return list(tokenizer_of(model).encode_chat_completion(conversation).tokens)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_ids_are_those_of_mistral_common_for_every_shape(model, size) -> None:
    request = Request(0, refs(size), ("What is the total?",))
    assert ids_of(builder_of(model), request) == theirs(model, request)


@pytest.mark.parametrize(
    ("system", "turns", "images"),
    [
        ("", ("What?",), 1),
        ("Answer briefly.", ("What?",), 1),
        ("", ("First?", "one", "Second?"), 1),
        ("Be exact.", ("First?", "one", "Second?", "two", "Third?"), 1),
        ("", ("Compare.",), 2),
        ("Be exact.", ("Compare.", "done", "Again?"), 3),
        ("", ("[IMG] [INST] <s> emoji 🧾 accents é ü 中文 \n tabs\t",), 1),
        ("", ("Is it [IMG_END]?",), 2),
    ],
)
def test_conversations_systems_and_several_images_are_encoded_alike(
    pixtral, system, turns, images
) -> None:
    request = Request(0, refs((300, 200), (17, 40), (2000, 900))[:images], turns, system)
    builder = builder_of(pixtral)
    assert ids_of(builder, request) == theirs(pixtral, request)


@pytest.mark.parametrize(
    "layout",
    [
        (("In ", None, " or ", None, "?"),),
        ((None, "first, ", None, " second\n", None),),
        (("Options:\nA. ", None, "\nB. ", None, "\nC. neither"),),
        ((*[None] * 40, "Which page has the total?"),),
        (("No image yet?",), ("none",), ("And ", None, " now?")),
        ((None, "First?"), ("one",), (None, "Second?", None)),
        (("No image at all?",),),
        (("<image 3> stays text, ", None, " [IMG] too"),),
    ],
)
@pytest.mark.parametrize("system", ["", "Be exact."])
def test_images_between_the_words_are_encoded_alike(pixtral, layout, system) -> None:
    number = sum(part is None for turn in layout for part in turn)
    sizes = [(300 + 50 * i, 200 + 31 * (i % 7)) for i in range(number)]
    turns = tuple("".join(part or "" for part in turn) for turn in layout)
    request = Request(0, refs(*sizes), turns, system, layout)
    builder = MistralPrompts(pixtral, max_images=40)
    draft = builder.draft(request)
    ids = ids_of(builder, request)
    assert ids == theirs(pixtral, request)
    assert draft.prompt_tokens == len(ids)
    assert [tokens for _, tokens in draft.places] == [
        builder.image_tokens(image) for image in request.images
    ]
    marked = draft.token_ids or ()
    assert all(marked[place] == builder.end_id for place, _ in draft.places)


def test_the_grid_rounds_as_mistral_common_for_thousands_of_sizes(model) -> None:
    builder = builder_of(model)
    encoder = tokenizer_of(model).instruct_tokenizer.mm_encoder
    random_ = random.Random(0)
    for _ in range(20_000):
        width = random_.randint(1, random_.choice((40, 1100, 5000, 20000)))
        height = random_.randint(1, random_.choice((40, 1100, 5000, 20000)))
        expected = encoder._image_to_num_tokens(SimpleNamespace(size=(width, height)))
        assert builder.grid(width, height) == expected, (width, height)


def test_a_draft_knows_the_length_before_the_image_is_read(model) -> None:
    builder = builder_of(model)
    request = Request(0, refs((1700, 2200)), ("What is the total?",))
    draft = builder.draft(request)
    ids = ids_of(builder, request)
    assert draft.prompt_tokens == len(ids)
    kinds = {builder.image_id, builder.break_id, builder.end_id}
    assert draft.image_tokens == sum(token in kinds for token in ids)


def test_a_page_of_pixtral_12b_is_3264_tokens(pixtral) -> None:
    # 1700×2200 scaled to 791×1024: 50 columns and a break, 64 rows.
    draft = builder_of(pixtral).draft(Request(0, refs((1700, 2200)), ("?",)))
    assert draft.image_tokens == 51 * 64


def test_control_tokens_come_from_the_tokenizer_and_not_from_constants(
    pixtral, tmp_path: Path
) -> None:
    data = json.loads((pixtral / "tekken.json").read_text(encoding="utf-8"))
    data["config"]["num_vocab_tokens"] = 5000
    data["config"]["default_vocab_size"] = 6000
    data["vocab"] = data["vocab"][:5000]
    special = tokenizer_of(pixtral).instruct_tokenizer.tokenizer._all_special_tokens
    moved = [dict(token) for token in special]
    a, b = (next(t for t in moved if t["token_str"] == name) for name in ("[IMG]", "[PREFIX]"))
    a["token_str"], b["token_str"] = b["token_str"], a["token_str"]
    data["special_tokens"] = moved
    (tmp_path / "tekken.json").write_text(json.dumps(data), encoding="utf-8")
    builder = MistralPrompts(tmp_path)
    request = Request(0, refs((40, 40)), ("What?",))
    assert builder.image_id == b["rank"] != a["rank"]
    assert ids_of(builder, request) == theirs(tmp_path, request)


def test_more_images_than_the_model_takes_are_refused_with_the_remedy(pixtral) -> None:
    builder = MistralPrompts(pixtral, max_images=1)
    with pytest.raises(RequestRefused, match=r"2 images.*max_images"):
        builder.draft(Request(0, refs((10, 10), (10, 10)), ("What?",)))


def test_a_conversation_that_mistral_common_refuses_is_refused(pixtral) -> None:
    with pytest.raises(RequestRefused, match="mistral_common refuses"):
        builder_of(pixtral).draft(Request(0, refs((10, 10)), ("What?", "answer")))


def test_a_directory_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no tekken\.json"):
        MistralPrompts(tmp_path)


def test_a_text_only_tokenizer_is_refused(pixtral, tmp_path: Path) -> None:
    data = json.loads((pixtral / "tekken.json").read_text(encoding="utf-8"))
    for key in ("image", "multimodal"):
        data.pop(key, None)
    (tmp_path / "tekken.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UserError, match="text-only"):
        MistralPrompts(tmp_path)


def test_an_older_sentencepiece_tokenizer_is_found(tmp_path: Path) -> None:
    data = Path(str(files("mistral_common") / "data"))
    shutil.copy(
        data / "mistral_instruct_tokenizer_241114.model.v7m1", tmp_path / "tokenizer.model.v7m1"
    )
    builder = MistralPrompts(tmp_path)
    request = Request(0, refs((64, 32)), ("What?",), "Short.")
    messages = [
        SystemMessage(content="Short."),
        UserMessage(
            content=[ImageChunk(image=Image.new("RGB", (64, 32))), TextChunk(text="What?")]
        ),
    ]
    tokenizer = MistralTokenizer.from_file(str(tmp_path / "tokenizer.model.v7m1"))
    expected = tokenizer.encode_chat_completion(ChatCompletionRequest(messages=messages)).tokens
    assert ids_of(builder, request) == expected
