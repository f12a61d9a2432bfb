"""Counting a dataset's tokens, and the arithmetic behind the estimated time."""

from pathlib import Path

import pytest

from pixtrack.tasks.inference.arithmetic import Arithmetic
from pixtrack.tasks.inference.arithmetic.model import Language
from pixtrack.tasks.inference.arithmetic.vision.pixtral import PixtralVision
from pixtrack.tasks.inference.prompts.mistral import MistralPrompts, pixtral_tokenizer_file
from pixtrack.tasks.inference.tokens import Spread, TokenReport, count_tokens, estimated_seconds
from pixtrack.tasks.records import ImageRef, Request

PIXTRAL_12B = Arithmetic(
    Language(
        dim=5120, layers=40, heads=32, kv_heads=8, head_dim=128, inner=14336, vocabulary=131072
    ),
    PixtralVision(hidden=1024, inner=4096, layers=24, dim=5120),
    "pixtral",
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


def test_the_estimated_time_grows_with_the_images(builder: MistralPrompts) -> None:
    few = counted(pages(2, 4), builder, 16)
    many = counted(pages(8, 4), builder, 16)
    at_limit, expected = estimated_seconds(few, PIXTRAL_12B)
    assert expected > at_limit > 0
    assert estimated_seconds(many, PIXTRAL_12B)[0] == pytest.approx(4 * at_limit)


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


def test_prompts_without_images_cost_no_vision(builder: MistralPrompts) -> None:
    text = [Request(i, (), (f"What is {i}?",)) for i in range(4)]
    assert estimated_seconds(counted(text, builder, 16), PIXTRAL_12B)[0] > 0


def test_fp8_layers_are_planned_at_the_cards_fp8_rate(builder: MistralPrompts) -> None:
    report = counted(pages(4, 4), builder, 16)
    plain, fp8 = (estimated_seconds(report, PIXTRAL_12B, chosen) for chosen in (False, True))
    assert plain[0] / 2 < fp8[0] < plain[0] / 1.4
    assert fp8[1] < plain[1]
