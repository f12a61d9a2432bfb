from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import PACKAGE_ROOT
from pixtrack.flows.cli.main import app
from pixtrack.tasks.environment import Accelerators, checks, choose_model, detection, versions
from pixtrack.tasks.transfer import download as transfer
from tests.doubles.endpoint import Endpoint, Reply, completion
from tests.doubles.hub import FakeHub
from tests.doubles.machines import t4
from tests.doubles.model_files import mistral_files, write

# The setup guide's comparison, row by row.
GUIDE = """\
| Feature | Pixtral-12B-2409 | LLaVA-OneVision-1.5-4B-Instruct | Qwen2.5-VL-7B-Instruct |
|---|---|---|---|
| Size | 12B | 4B | 7B |
| Batch Support | No | Yes | Yes |
| Architecture | LLaVA-style | LLaVA-style | Qwen-style |
| Custom Library | Optional (mistral_common) | No | Yes (qwen_vl_utils) |
| Memory Requirement | 24GB+ | 8GB+ | 14GB+ |
| Speed | Medium | Fast | Fast |
| Quality | High | Medium | High |
| Best For | High-quality VQA | Fast inference | Balanced |
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "200")
    # The same machine everywhere: one T4, too small for any Pixtral.
    small = Accelerators(cards=tuple(t4()), vendor="nvidia")
    monkeypatch.setattr(detection, "detect", lambda: small)
    monkeypatch.setattr(versions, "engine_platform", lambda: "cuda")
    runner = CliRunner()

    def invoke(*arguments: str) -> Any:
        return runner.invoke(app, list(arguments), catch_exceptions=True)

    return invoke


def test_the_guides_comparison_is_reproduced_from_the_models_files(run: Any) -> None:
    result = run("models", "table", "pixtral-12b", "llava-onevision", "qwen2.5-vl-7b", "--markdown")
    assert result.stdout == GUIDE
    titles = {"Pixtral-12B-2409", "LLaVA-OneVision-1.5-4B-Instruct", "Qwen2.5-VL-7B-Instruct"}
    assert set(json.loads(run("models", "table", "--json").stdout)) == titles


def test_list_names_every_configured_model_and_what_becomes_of_it_here(run: Any) -> None:
    rows = json.loads(run("models", "list", "--json").stdout)
    assert {"pixtral-12b", "pixtral-random", "qwen2.5-vl-7b"} <= {row["name"] for row in rows}
    here = {row["name"]: row["here"] for row in rows}
    assert here["pixtral-large-w4a16"] == "does not fit, not downloaded"
    assert here["pixtral-random"] == "fits with compromises, made when used"  # float16
    assert here["endpoint"] == "through its endpoint"
    assert "pixtral-12b" in run("models", "list").stdout


def test_show_prints_the_card_beside_the_arithmetic_for_this_machine(run: Any) -> None:
    text = run("models", "show", "pixtral-12b").stdout
    for part in ("400 million parameter image encoder", "Apache-2.0", "on this machine", "weights"):
        assert part in text
    view = json.loads(run("models", "show", "pixtral-12b", "--json").stdout)
    assert view["fits"] is False
    assert "Tesla T4" in view["plan"]["verdict"]
    assert view["model"]["published_scores"]


def test_an_unknown_model_offers_the_nearest(run: Any) -> None:
    result = run("models", "show", "pixtral-12")
    assert "Did you mean 'pixtral-12b'?" in str(result.exception)


def test_check_prints_json_alone_with_the_agreed_keys(run: Any) -> None:
    result = run("check", "--json", "--model", "pixtral-random")
    lines = json.loads(result.stdout)
    assert result.exit_code == 0
    assert all(set(line) == {"name", "status", "detail", "remedy"} for line in lines)
    assert all(line["status"] in ("ok", "warning", "failed") for line in lines)
    assert all(line["remedy"] for line in lines if line["status"] != "ok")


def test_check_exits_with_1_where_a_line_failed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Accelerators(troubles=("NVML: [unknown] Driver/library version mismatch",))
    monkeypatch.setattr(checks, "detect", lambda: broken)
    monkeypatch.setattr(checks, "engine_platform", lambda: "cuda")
    result = run("check")
    assert result.exit_code == 1
    assert "[unknown] Driver/library version mismatch" in result.stdout  # no markup
    assert "→ repair the driver" in result.stdout


def test_download_says_what_it_verified(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(transfer, "SPARE_BYTES", 0)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    configs = tmp_path / "configs"
    (configs / "models").mkdir(parents=True)
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(configs))
    with FakeHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        commit = hub.add("model", "org/tiny", mistral_files())
        (configs / "models" / "tiny.yaml").write_text(
            f"title: Tiny\nsource: {{repo: org/tiny, kind: hub, revision: {commit}}}\n"
            "format: mistral\nfamily: pixtral\nparameters_billions: 0.001\nlicence: MIT\n"
        )
        result = run("download", "tiny")
    assert result.exit_code == 0
    assert f"3 files, 0.00 GB, verified; org/tiny at {commit} (huggingface)" in result.stdout


def test_download_with_a_directory_checks_it(run: Any, tmp_path: Path) -> None:
    copy = write(tmp_path / "copy", mistral_files())
    assert "complete" in run("download", "pixtral-12b", "--model-dir", str(copy)).stdout
    (copy / "tekken.json").unlink()
    result = run("download", "pixtral-12b", "--model-dir", str(copy))
    assert "tekken.json: missing" in str(result.exception)


def test_download_from_elsewhere_is_refused_with_the_known_sources(run: Any) -> None:
    result = run("download", "pixtral-12b", "--from", "gitee")
    assert "use huggingface or modelscope" in str(result.exception)


def test_describe_refuses_more_images_than_the_model_takes(run: Any, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    result = run("describe", *[str(path)] * 5, "--model", "pixtral-random")
    assert "5 images in one prompt, pixtral-random takes 4" in str(result.exception)
    assert "--each" in str(result.exception)


def test_describe_names_an_image_that_cannot_be_shown(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    result = run("describe", str(tmp_path / "a.png"), "--model", "pixtral-random")
    assert "a.png: cannot be shown" in str(result.exception)
    result = run("describe", str(tmp_path / "absent.png"), "--model", "pixtral-random")
    assert "absent.png: cannot be read" in str(result.exception)


def test_describe_splits_only_engines_of_this_machine(run: Any, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    result = run("describe", str(tmp_path / "a.png"), "-m", "endpoint", "-tp", "2")
    assert "-tp and --cluster are for an engine of ours" in str(result.exception)


def test_describe_asks_an_endpoint_about_all_images_or_each(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)

    def count_images(body: dict[str, Any]) -> Reply:
        parts = body["messages"][-1]["content"]
        images = sum(part["type"] == "image_url" for part in parts)
        return Reply(completion(f"{images} images, at most {body['max_tokens']} tokens"))

    configs = tmp_path / "configs"
    (configs / "models").mkdir(parents=True)
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(configs))
    with Endpoint(answer=count_images) as endpoint:
        (configs / "models" / "served.yaml").write_text(
            f"title: Served\nsource: {{kind: endpoint, base_url: '{endpoint.url}'}}\n"
            "format: endpoint\nfamily: endpoint\nparameters_billions: 0\nlicence: x\nmax_images: 2\n"
        )
        options = ("--model", "served", "-q", "How many?", "--max-tokens", "9", "--json")
        together = json.loads(run("describe", *paths, *options).stdout)
        each = json.loads(run("describe", *paths, *options, "--each").stdout)
    assert [d["answer"] for d in together] == ["2 images, at most 9 tokens"]
    assert [d["answer"] for d in each] == ["1 images, at most 9 tokens"] * 2
    assert [d["images"] for d in each] == [["a.png"], ["b.png"]]


def test_models_alone_lists_them_whole_in_80_columns(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    alone, asked = run("models"), run("models", "list")
    assert alone.exit_code == 0 and alone.stdout == asked.stdout
    assert "pixtral-large-w4a16" in alone.stdout and "…" not in alone.stdout
    assert json.loads(run("models", "--json").stdout) == json.loads(
        run("models", "list", "--json").stdout
    )


def test_a_model_directory_without_its_model_is_refused(run: Any, tmp_path: Path) -> None:
    refused = run("check", "--model-dir", str(tmp_path)).exception
    assert isinstance(refused, UserError) and "--model" in str(refused)


def test_verify_says_what_to_do_about_missing_files(run: Any) -> None:
    result = run("models", "verify", "pixtral-12b")
    assert result.exit_code == 1
    assert "pixtrack download pixtral-12b" in result.stderr


def test_a_broken_file_is_named_and_the_other_models_are_there(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PACKAGE_ROOT / "configs" / "models", tmp_path / "configs" / "models")
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(tmp_path / "configs"))
    healthy = json.loads(run("models", "--json").stdout)
    table = json.loads(run("models", "table", "--json").stdout)
    (tmp_path / "configs" / "models" / "broken.yaml").write_text("title: x\nsource: [1\n")
    for verb, expected in (("list", healthy), ("table", table)):
        listed = run("models", verb, "--json")
        assert listed.exit_code == 2 and json.loads(listed.stdout) == expected
        (line,) = listed.stderr.splitlines()
        assert "broken.yaml:3: not valid YAML" in line and "correct it" in line
    assert run("models", "show", "pixtral-12b").exit_code == 0
    # Nor is it in the way where no model is named.
    assert choose_model(cards=())[0] == "pixtral-nano"


def test_a_model_is_added_from_its_folder_and_said_in_two_lines(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(tmp_path))
    folder = write(tmp_path / "files", mistral_files())
    added = run("models", "add", "mine", str(folder), "--title", "Mine", "--licence", "MIT")
    assert added.exit_code == 0, added.output
    said, use = added.stdout.splitlines()
    assert said.startswith(f"{tmp_path / 'models' / 'mine.yaml'}: read from {folder}: mistral")
    assert "not found out: its sizes" in said and "pixtrack eval --model mine" in use
    assert "Mine" in run("models", "show", "mine").stdout
    again = run("models", "add", "mine", str(folder))
    assert isinstance(again.exception, UserError) and "--replace" in str(again.exception)
