"""The trainer's tokenizer and mistral_common's reading of the shipped tekken.json are one."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from mistral_common.protocol.instruct.chunk import ImageChunk, TextChunk
from mistral_common.protocol.instruct.messages import UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

from experiments.pixtral_nano.data import pack
from experiments.pixtral_nano.tokenizer import EOS
from pixtrack.configs.paths import PACKAGE_ROOT
from pixtrack.tasks.datasets.sample.page import draw_page


@pytest.fixture(scope="module")
def mistral() -> Any:
    return MistralTokenizer.from_file(str(PACKAGE_ROOT / "configs/models/pixtral-nano/tekken.json"))


def texts() -> Iterator[str]:
    yield from (
        "no",
        "yes",
        "unanswerable",
        "Zoë paid 12 € on 3.4.",
        "  a\n\nb ",
        "sum of the sums",
    )
    for index in range(60):
        for question in draw_page(3, index).questions:
            yield question.text
            yield question.answers[0]


def test_both_give_the_same_tokens_for_any_text(tokenizer, mistral) -> None:
    theirs = mistral.instruct_tokenizer.tokenizer
    for text in texts():
        ids = tokenizer.encode(text)
        assert ids == theirs.encode(text, bos=False, eos=False), text
        assert tokenizer.decode(ids) == text


def test_numbers_are_spelt_digit_by_digit(tokenizer) -> None:
    assert len(tokenizer.encode("2024")) == 4
    assert len(tokenizer.encode("$1304.40")) == 8


def test_a_packed_question_is_the_prompt_that_vllm_sees(tokenizer, mistral) -> None:
    page = draw_page(3, 2)
    questions = random.Random(0).sample(page.questions, 5)
    item = pack(page.image, [(q.text, q.answers[0], q.kind) for q in questions], tokenizer)
    for number, question in enumerate(questions, 1):
        content = [ImageChunk(image=page.image), TextChunk(text=question.text)]
        request = ChatCompletionRequest(messages=[UserMessage(content=content)])
        prompt = mistral.encode_chat_completion(request).tokens
        answer = tokenizer.encode(question.answers[0])
        here = (item["segments"] == 0) | (item["segments"] == number)
        assert item["tokens"][here].tolist() == [*prompt, *answer]
        assert item["positions"][here].tolist() == list(range(len(prompt) + len(answer)))
        own = item["segments"] == number
        targets = [token for token in item["targets"][own].tolist() if token >= 0]
        assert targets == [*answer, EOS]
