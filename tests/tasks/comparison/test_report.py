"""The page as a file: self-contained, bounded, and safe whatever a model said."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from pixtrack.configs.paths import Home
from pixtrack.tasks.comparison import compare
from pixtrack.tasks.comparison.plots import axis_over, interval_svg
from pixtrack.tasks.comparison.report import write
from pixtrack.tasks.comparison.report.gallery import by_interest, script_json
from pixtrack.tasks.comparison.report.thumbnails import IMAGE_BYTES, encoded, thumbnail
from pixtrack.tasks.runs.directory import Count
from tests.doubles.synthetic_runs import DatasetFactory


def script_tags(page: str) -> dict[str, str]:
    found = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', page, re.S)
    return dict(found)


def test_every_form_of_the_comparison_is_written(docs: DatasetFactory, tmp_path: Path) -> None:
    result = compare([docs.run("alpha"), docs.run("beta", seed=2)])
    written = write(result, tmp_path / "out", docs.home.images)
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {
        "index.html",
        "comparison.md",
        "comparison.json",
        "leaderboard.csv",
        "differences.csv",
        "breakdowns.csv",
    }
    assert json.loads(written.json.read_text()) == result.to_json()
    assert written.page_bytes == written.page.stat().st_size
    assert (written.questions, written.with_image) == (60, 60)


def test_how_answers_were_read_stands_beside_the_score(
    docs: DatasetFactory, tmp_path: Path
) -> None:
    states = {"reasoning": {"never reached an answer": Count(count=36, of=300)}}
    result = compare([docs.run("alpha", states=states), docs.run("beta", seed=2)])
    written = write(result, tmp_path, docs.home.images)
    said = "reasoning: 12% never reached an answer (36 of 300)"
    assert f"<small>{said}</small>" in written.page.read_text(encoding="utf-8")
    assert f": {said}\n" in written.markdown.read_text(encoding="utf-8")
    assert said in (tmp_path / "leaderboard.csv").read_text(encoding="utf-8")


def test_page_asks_nothing_of_any_network(docs: DatasetFactory, tmp_path: Path) -> None:
    result = compare([docs.run("alpha"), docs.run("beta", seed=2)])
    page = write(result, tmp_path / "out", docs.home.images).page.read_text()
    assert not re.search(r'(?:src|href|action)\s*=\s*"(?!data:|#)', page)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket|import\(", page)
    assert "default-src 'none'" in page


def test_content_policy_admits_our_script_and_no_other(
    docs: DatasetFactory, tmp_path: Path
) -> None:
    result = compare([docs.run("alpha"), docs.run("beta", seed=2)])
    page = write(result, tmp_path / "out", docs.home.images).page.read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    assert f"script-src 'sha256-{digest}'" in policy.group(1)


def test_hostile_text_cannot_leave_its_place(home: Home, tmp_path: Path) -> None:
    docs = DatasetFactory(home, hostile=True)
    result = compare([docs.run("<img src=x onerror=alert(1)>"), docs.run("beta", seed=2)])
    page = write(result, tmp_path / "out", home.images).page.read_text()
    assert "<img src=x" not in page
    assert "<b onclick" not in page
    assert page.count("</script>") == 1 + 2  # ours, the data, one dataset's images
    data = json.loads(script_tags(page)["gallery-data"])
    assert "</script><b onclick=hack()>" in data["datasets"][0]["question"][0]


@pytest.mark.parametrize("text", ["</script>", "<!--", "\u2028", "&lt;", "\ud800", "𝛼"])
def test_script_json_is_inert_and_reads_back(text: str) -> None:
    made = script_json({"text": text})
    assert not set(made) & set("<>&\u2028\u2029")
    made.encode()
    if text != "\ud800":
        assert json.loads(made) == {"text": text}


def test_page_keeps_to_its_size_and_says_how_many_have_images(
    docs: DatasetFactory, tmp_path: Path
) -> None:
    result = compare([docs.run("alpha"), docs.run("beta", seed=2)])
    whole = write(result, tmp_path / "whole", docs.home.images)
    frame = 60_000  # of which the page keeps 400,000 free
    limit = 400_000 + (whole.page_bytes - frame) * 2 // 3
    small = write(result, tmp_path / "small", docs.home.images, page_bytes=limit)
    assert 0 < small.with_image < 60
    assert small.page_bytes <= limit
    text = re.sub(r"\s+", " ", small.page.read_text())
    assert f"{small.with_image} of them" in text
    assert "all with a reduced copy" not in text


def test_text_that_does_not_fit_leaves_out_the_least_interesting_questions(
    docs: DatasetFactory, tmp_path: Path
) -> None:
    result = compare([docs.run("alpha"), docs.run("beta", seed=2)])
    small = write(result, tmp_path / "out", docs.home.images, page_bytes=415_000)
    assert 0 < small.questions < 60
    page = small.page.read_text()
    assert f"{small.questions} of 60 questions" in page
    kept = set(json.loads(script_tags(page)["gallery-data"])["datasets"][0]["index"])
    order = by_interest(result.questions("docvqa_val"))
    assert kept == set(order[: len(kept)])


def test_what_a_small_dataset_leaves_of_its_share_goes_to_the_others(
    home: Home, docs: DatasetFactory, tmp_path: Path
) -> None:
    small = DatasetFactory(home, name="small", questions=4, images=2, seed=3)
    runs = [factory.run(m, seed=i) for factory in (docs, small) for i, m in enumerate(("a", "b"))]
    result = compare(runs)
    alone = compare(runs[:2])
    bytes_of_text = 420_000
    both = write(result, tmp_path / "both", home.images, page_bytes=bytes_of_text)
    one = write(alone, tmp_path / "one", home.images, page_bytes=bytes_of_text)
    assert one.questions < 60
    assert both.questions > one.questions - 4


def test_disagreements_are_the_most_interesting(docs: DatasetFactory) -> None:
    a, b = [1.0] * 60, [1.0] * 60
    b[7] = 0.0  # they disagree
    a[3] = b[3] = 0.0  # both wrong
    result = compare([docs.run("alpha", scores=a), docs.run("beta", scores=b, seed=2, failed=[5])])
    assert by_interest(result.questions("docvqa_val"))[:3] == [7, 5, 3]


def test_same_runs_make_the_same_page(docs: DatasetFactory, tmp_path: Path) -> None:
    runs = [docs.run("alpha"), docs.run("beta", seed=2)]
    pages = []
    for name in "ab":
        result = compare(runs).model_copy(update={"created": "2026-01-01T00:00:00+00:00"})
        result._questions.update(compare(runs)._questions)
        pages.append(write(result, tmp_path / name, docs.home.images).page.read_bytes())
    assert pages[0] == pages[1]


def test_thumbnails_are_bounded_in_pixels_and_bytes(tmp_path: Path) -> None:
    noise = Image.effect_noise((2400, 3000), 90).convert("RGB")
    noise.save(tmp_path / "noise.png")
    data = thumbnail(tmp_path / "noise.png")
    assert max(Image.open(io.BytesIO(data)).size) <= 800
    assert len(data) < 3 * IMAGE_BYTES, "noise is the worst case"
    Image.new("RGB", (300, 200), "white").save(tmp_path / "small.png")
    assert Image.open(io.BytesIO(thumbnail(tmp_path / "small.png"))).size == (300, 200)


def test_unreadable_image_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"not an image")
    Image.new("RGB", (30, 20)).save(tmp_path / "good.png")
    wanted = [
        ("bad", tmp_path / "bad.png"),
        ("gone", tmp_path / "x"),
        ("good", tmp_path / "good.png"),
    ]
    assert list(encoded(wanted, 100_000)) == ["good"]


def test_budget_of_images_is_kept_in_the_order_of_interest(tmp_path: Path) -> None:
    Image.effect_noise((400, 400), 60).save(tmp_path / "a.png")
    wanted = [(str(i), tmp_path / "a.png") for i in range(9)]
    one = len(encoded(wanted[:1], 10**6)["0"]) + 3
    assert list(encoded(wanted, 3 * one)) == ["0", "1", "2"]


def test_axis_has_round_ticks_and_holds_every_value() -> None:
    axis = axis_over([83.14, 90.77, None], limit=True)
    assert axis.ticks == (84, 86, 88, 90)
    assert 0 < axis.at(83.14) < axis.at(90.77) < 100
    assert axis_over([99.0, 100.0], limit=True).high == 100
    assert axis_over([]).ticks


def test_plot_is_read_out_in_words_and_holds_no_markup_of_names() -> None:
    axis = axis_over([-1, 3], zero=True)
    svg = interval_svg(axis, 1.0, (0.2, 1.8), series=0, label='a<b & "c"', zero=True, band=0.5)
    assert 'aria-label="a&lt;b &amp; &#34;c&#34;"' in svg
