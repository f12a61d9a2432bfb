"""`pixtrack tokens`, as it is typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from pixtrack.configs.errors import UserError
from pixtrack.flows.cli.main import app

Run = Callable[..., str]
"""`pixtrack tokens` with these arguments: what it prints."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path / "home"))

    def invoke(*arguments: object) -> str:
        result = CliRunner().invoke(app, ["tokens", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return invoke


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.png"
    Image.new("RGB", (1700, 2200)).save(path)
    return path


def test_one_question_on_one_page_shows_tokens_image_tokens_and_prompt(
    run: Run, page: Path
) -> None:
    output = run("--text", "What is the total?", "--image", page)
    assert "image tokens  3,264" in output
    assert "1700×2200 pixels, resized to 800×1024" in output
    assert "<s>[INST]([IMG]×50[IMG_BREAK])×63[IMG]×50[IMG_END]What is the total?[/INST]" in output


def test_json_is_alone_and_has_every_token_id(run: Run, page: Path) -> None:
    shown = json.loads(run("--text", "What?", "--image", page, "--image", page, "--json"))
    assert shown["tokens"] == len(shown["token_ids"])
    assert shown["image_tokens"] == 2 * 3264
    assert shown["text_tokens"] == shown["tokens"] - shown["image_tokens"]
    assert shown["prompt"].startswith("<s>[INST][IMG][IMG]")


def test_a_text_without_an_image_is_counted_too(run: Run) -> None:
    assert json.loads(run("--text", "Hello", "--json"))["image_tokens"] == 0


def test_a_dataset_is_counted_with_cache_share_time_and_memory(run: Run) -> None:
    output = run("--model", "pixtral-12b", "--dataset", "sample", "--limit", "60")
    assert "60 questions on" in output
    assert "need not be computed again" in output
    assert "time on one H100" in output
    assert "memory here: Pixtral-12B-2409" in output


def test_a_datasets_json_has_the_distribution(run: Run) -> None:
    shown = json.loads(
        run("--model", "pixtral-random", "--dataset", "sample", "--limit", "12", "--json")
    )
    assert shown["requests"] == 12 and shown["refused"] == 0
    spread = shown["prompt_tokens"]
    assert spread["least"] <= spread["median"] <= spread["most"]
    assert 0 < shown["cached_share"] < 1
    assert shown["h100_seconds_expected"] > shown["h100_seconds_at_limit"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "either --text"),
        (("--text", "a", "--dataset", "sample"), "either --text"),
        (("--dataset", "sample"), "name it with --model"),
        (("--model", "pixtral", "--dataset", "sample"), "pixtral-12b"),
        (("--model", "qwen2.5-vl-7b", "--dataset", "sample"), "pixtrack download qwen2.5-vl-7b"),
        (("--model", "endpoint", "--dataset", "sample"), "behind an endpoint"),
        (("--text", "a", "--image", "missing.png"), "missing.png: cannot be read"),
    ],
)
def test_what_cannot_be_counted_is_said_in_one_line(
    run: Run, arguments: list[str], message: str
) -> None:
    with pytest.raises(UserError) as error:
        run(*arguments)
    assert message in str(error.value) and "\n" not in str(error.value)
