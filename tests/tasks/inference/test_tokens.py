"""Counting a dataset's tokens, and the arithmetic behind the estimated time."""

from pathlib import Path

import pytest

from pixtrack.tasks.inference.arithmetic import Arithmetic, Load, Rates, limit_samples_per_s
from pixtrack.tasks.inference.prompts.mistral import MistralPrompts, pixtral_tokenizer_file
from pixtrack.tasks.inference.tokens import Spread, TokenReport, count_tokens, estimated_seconds
from pixtrack.tasks.records import ImageRef, Request

PIXTRAL_12B = Arithmetic(
    {
        "dim": 5120,
        "n_layers": 40,
        "head_dim": 128,
        "hidden_dim": 14336,
        "n_heads": 32,
        "n_kv_heads": 8,
        "vocab_size": 131072,
        "vision_encoder": {
            "hidden_size": 1024,
            "patch_size": 16,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
        },
    }
)


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> MistralPrompts:
    return MistralPrompts(tmp_path_factory.mktemp("none"), 1, pixtral_tokenizer_file())


def counted(
    asked: list[Request], builder: MistralPrompts, max_tokens: int, longest: int | None = None
) -> TokenReport:
    report = count_tokens(asked, builder, max_tokens, longest)
    assert report is not None
    return report


def pages(number: int, questions: int) -> list[Request]:
    page = [ImageRef(f"page{i}", "", 1700, 2200) for i in range(number)]
    return [
        Request(i * questions + q, (page[i],), (f"What is in line {q}?",))
        for i in range(number)
        for q in range(questions)
    ]


def test_a_page_asked_four_times_is_mostly_served_from_the_cache(builder: MistralPrompts) -> None:
    report = counted(pages(3, 4), builder, 16)
    assert (report.requests, report.image_groups, report.refused) == (12, 3, 0)
    assert report.image_tokens.mean == 3264
    # Three of four questions share the image, in whole blocks of 16.
    assert report.cached_tokens == 3 * 3 * ((3264 + 2 + 4) // 16 * 16)
    assert report.cached_share == pytest.approx(0.746, abs=0.002)
    assert report.total_prompt_tokens == sum(
        builder.draft(request).prompt_tokens or 0 for request in pages(3, 4)
    )


def test_prompts_that_do_not_fit_are_counted_as_refused_with_a_reason(
    builder: MistralPrompts,
) -> None:
    report = counted(
        [*pages(1, 2), Request(9, (ImageRef("small", "", 32, 32),), ("?",))], builder, 16, 1000
    )
    assert report.refused == 2
    assert "does not fit max_model_len 1,000" in report.refusal
    assert report.prompt_tokens.most < 20


def test_nothing_that_fits_is_no_report(builder: MistralPrompts) -> None:
    assert count_tokens(pages(1, 1), builder, 16, 100) is None


def test_a_spread_is_nearest_rank() -> None:
    spread = Spread.of(list(range(100, 0, -1)))
    assert (spread.least, spread.p5, spread.median, spread.p95, spread.most) == (1, 6, 51, 96, 100)
    assert spread.mean == 50.5


def test_the_weights_of_pixtrals_layers_are_those_of_the_published_model() -> None:
    # 12.2 billion in all: less two embeddings of 0.67 and the vision encoder of 0.4.
    assert PIXTRAL_12B.layer_weights == pytest.approx(10.9e9, rel=0.01)
    assert PIXTRAL_12B.kv_bytes == 163_840


def test_prompt_operations_add_up_however_the_prompt_is_cut() -> None:
    whole = PIXTRAL_12B.prompt_flops(3286)
    parts = PIXTRAL_12B.prompt_flops(2048) + PIXTRAL_12B.prompt_flops(1238, before=2048)
    assert parts == pytest.approx(whole)


def test_the_limit_of_one_h100_is_what_hand_arithmetic_gives() -> None:
    load = Load(4, 3264, 3200, 22, 16)
    rates = Rates(798e12, 3.0e12, "", 8192)
    # 79 TFLOP an image at 798 TFLOP/s, 16 readings of 3,286 tokens' keys and values a
    # question, and its own 38 tokens.
    image = (PIXTRAL_12B.vision_flops(3200) + PIXTRAL_12B.prompt_flops(3264)) / 798e12
    question = 16 * 3286 * 163_840 / 3.0e12 + (22 + 16) * 2 * 10.9e9 / 798e12
    rough = 4 / (image + 4 * question)
    assert limit_samples_per_s(PIXTRAL_12B, load, rates) == pytest.approx(rough, rel=0.01)


def test_the_estimated_time_grows_with_the_images(builder: MistralPrompts) -> None:
    few = counted(pages(2, 4), builder, 16)
    many = counted(pages(8, 4), builder, 16)
    at_limit, expected = estimated_seconds(few, PIXTRAL_12B)
    assert expected > at_limit > 0
    assert estimated_seconds(many, PIXTRAL_12B)[0] == pytest.approx(4 * at_limit)


def test_each_image_of_a_prompt_is_encoded_by_itself() -> None:
    one = Load(1, 32_640, 32_000, 22, 16)
    ten = Load(1, 32_640, 32_000, 22, 16, images=10)
    rates = Rates(798e12, 3.0e12, "", 8192)
    assert limit_samples_per_s(PIXTRAL_12B, ten, rates) > limit_samples_per_s(
        PIXTRAL_12B, one, rates
    )
    assert limit_samples_per_s(PIXTRAL_12B, Load(1, 0, 0, 22, 16, images=0), rates) > 0


def test_a_document_is_counted_as_one_group_and_its_pages_once(tmp_path: Path) -> None:
    many = MistralPrompts(tmp_path, 10, pixtral_tokenizer_file())
    page = tuple(ImageRef(f"page{i}", "", 1700, 2200) for i in range(10))
    asked = [Request(q, page, (f"What is in line {q}?",), pages="first") for q in range(4)]
    report = counted(asked, many, 16)
    assert (report.image_groups, report.images.most, report.left_out) == (1, 10, 0)
    assert report.cached_tokens == 3 * ((32_640 + 2 + 4) // 16 * 16)
    short = counted(asked, many, 16, 3264 * 4)
    # Four pages less the answer and the text: three are shown.
    assert (short.images.most, short.left_out, short.refused) == (3, 4, 0)
