"""`pixtrack datasets` as a person types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import PACKAGE_ROOT
from pixtrack.flows.cli.main import app
from tests.doubles.hub_datasets import png

runner = CliRunner()


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "configs"
    for kind in ("datasets", "groups", "prompts"):
        shutil.copytree(PACKAGE_ROOT / "configs" / kind, copy / kind)
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(copy))
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def own(tmp_path: Path) -> list[str]:
    """The options of a dataset of one's own: three questions on two scans."""
    images = tmp_path / "scans"
    images.mkdir()
    for number in range(2):
        (images / f"{number}.png").write_bytes(png(number))
    rows = [{"Q": f"What is {n}?", "answer": str(n), "image": f"{n % 2}.png"} for n in range(3)]
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["--qa-file", str(tmp_path / "qa.jsonl"), "--img-folder", str(images)]


def run(*arguments: str) -> str:
    result = runner.invoke(app, ["datasets", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str) -> str:
    with pytest.raises(UserError) as caught:
        runner.invoke(app, ["datasets", *arguments], catch_exceptions=False)
    return str(caught.value)


def test_alone_it_lists_the_datasets() -> None:
    text = run()
    for name in ("docvqa_val", "chartqapro_test", "vqav2_restval", "sample"):
        assert name in text
    rows = json.loads(run("list", "--json"))
    assert {row["name"] for row in rows} >= {"docvqa_val", "sample"}
    assert not any(row["prepared"] for row in rows)


def test_groups_are_listed_and_shown_with_their_datasets() -> None:
    assert "text_rich  Text-rich images, the seven: chartqapro_test, chartqa_test_human" in run()
    rows = {row["name"]: row for row in json.loads(run("list", "--json"))}
    assert rows["docvqa_val"]["groups"] == ["pixtral_card", "text_rich"]
    assert rows["sample"]["groups"] == []
    text = run("show", "text_rich")
    assert "22,675 questions" in text
    assert "infographicvqa_val" in text and "mmmu_val" not in text
    assert "pixtrack eval --dataset text_rich" in text
    shown = json.loads(run("show", "text_rich", "--json"))
    assert [card["name"] for card in shown["datasets"]][:2] == [
        "chartqapro_test",
        "chartqa_test_human",
    ]


def test_preparing_a_group_prepares_its_datasets(tmp_path: Path, own: list[str]) -> None:
    run("add", "mine", *own, "--column", "question=Q")
    run("add", "yours", *own, "--column", "question=Q")
    group = tmp_path / "configs" / "groups" / "both.yaml"
    group.write_text("title: Both\ndatasets: [yours, mine]\n")
    lines = run("prepare", "both").splitlines()
    assert [line.split(":")[0] for line in lines] == ["yours", "mine"]
    cards = json.loads(run("prepare", "both", "--json"))
    assert [card["prepared"]["samples"] for card in cards] == [3, 3]
    assert "both is a group of datasets (yours, mine)" in refused("prepare", "both", "--size", "9")


def test_a_group_whose_file_is_broken_is_said_and_the_rest_is_listed(tmp_path: Path) -> None:
    (tmp_path / "configs" / "groups" / "odd.yaml").write_text("title: Odd\ndatasets: []\n")
    result = runner.invoke(app, ["datasets", "list"])
    assert result.exit_code == 2
    assert "odd.yaml:2: datasets:" in result.output
    assert "docvqa_val" in result.output


def test_show_says_where_it_comes_from_and_who_measured_what() -> None:
    text = run("show", "docvqa_val")
    for words in (
        "lmms-lab/DocVQA",
        "539088ef8a8ada01ac8e2e6d4e372586748a265e",
        "apache-2.0",
        "5,349",
        "anls (headline)",
        "lmms_eval (default)",
        "Answer the question using a single word or phrase.",
        "90.7",
        "Mistral AI, model card",
        "pixtrack datasets prepare docvqa_val",
    ):
        assert words in text


def test_show_takes_the_other_name_and_suggests_the_near_one() -> None:
    assert "vqav2_restval" in run("show", "vqav2_val")
    assert "Did you mean 'docvqa_val'?" in refused("show", "docvqa_vall")


def test_a_broken_file_is_named_and_the_other_datasets_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "configs" / "datasets"
    healthy = {row["name"] for row in json.loads(run("--json"))}
    (folder / "afile.yaml").write_text("title: A file\nsource: {kind: sample}\nmetrcs: [anls]\n")
    (folder / "binary.yaml").write_bytes(b"title: \xff vqav2_va\n")
    for command in (["--json"], []):
        listed = runner.invoke(app, ["datasets", *command])
        assert listed.exit_code == 2
        lines = listed.stderr.splitlines()
        assert len(lines) == 2 and all("correct it, or move the file away" in one for one in lines)
        assert "afile.yaml:3: metrcs: " in lines[0] and "Did you mean 'metrics'?" in lines[0]
        assert "binary.yaml: cannot be read: not UTF-8 at byte 7" in lines[1]
        assert all(name in listed.stdout for name in healthy)
    assert {
        row["name"] for row in json.loads(runner.invoke(app, ["datasets", "--json"]).stdout)
    } == (healthy)
    assert "docvqa_val" in run("show", "docvqa_val")
    assert "vqav2_restval" in run("show", "vqav2_val")
    assert "afile.yaml:3" in refused("show", "afile")
    # It may be the one that is meant: nothing can be said of an alias that cannot be read.
    assert "binary.yaml" in refused("show", "vqav2_va")


def test_a_broken_prompt_is_named_on_the_card_of_a_healthy_dataset(tmp_path: Path) -> None:
    (tmp_path / "configs" / "prompts" / "mine.yaml").write_text("title: Mine\ntemplat: x\n")
    text = run("show", "docvqa_val")
    assert "mine.yaml:2: templat: " in text and "lmms_eval (default)" in text


def test_the_sample_prepares_shows_and_draws(tmp_path: Path) -> None:
    assert "268 questions on 72 images" in run("prepare", "sample")
    view = json.loads(run("show", "sample", "--json"))
    assert view["prepared"]["samples"] == 268
    out = tmp_path / "sheet.png"
    run("show", "sample", "--samples", "4", "--out", str(out))
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
    prepared = [row["name"] for row in json.loads(run("list", "--json")) if row["prepared"]]
    assert prepared == ["sample"]


def test_a_picture_of_what_is_not_prepared_is_refused_with_the_remedy() -> None:
    assert "run `pixtrack datasets prepare sample` first" in refused(
        "show", "sample", "--samples", "3"
    )


def test_ones_own_dataset_is_added_prepared_and_shown(own: list[str], tmp_path: Path) -> None:
    assert "--column question=KEY" in refused("add", "mine", *own)
    text = run("add", "mine", *own, "--column", "question=Q", "--metric", "relaxed_accuracy")
    assert "3 questions on 2 images, 0 bad; metric relaxed_accuracy" in text
    assert "pixtrack eval --dataset mine" in text
    assert "mine: 3 questions on 2 images; digest" in run("prepare", "mine")
    assert "3, 0 of them cannot be asked" in run("show", "mine")


def test_add_names_what_it_does_not_know(own: list[str]) -> None:
    assert "unknown metric 'anlss'. Did you mean 'anls'?" in refused(
        "add", "m", *own, "--metric", "anlss"
    )
    assert "unknown prompt 'plane'" in refused("add", "m", *own, "--prompt", "plane")
    assert "write FIELD=KEY" in refused("add", "m", *own, "--column", "question")


def test_a_local_annotation_file_is_checked_before_it_is_kept(
    own: list[str], tmp_path: Path
) -> None:
    message = refused("prepare", "docvqa_val", "--annotations", own[1])
    assert "this is another file" in message
    assert "leave --annotations out" in refused("prepare", "sample", "--annotations", own[1])


def test_a_hub_that_cannot_be_reached_is_one_line() -> None:
    message = refused("prepare", "docvqa_val")
    assert "http://127.0.0.1:9 cannot be reached" in message
    assert "HF_ENDPOINT" in message


def test_the_list_fits_80_columns_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(app, ["datasets"])
    assert "relaxed_accuracy mistral_evals" in result.stdout and "…" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_size_is_for_generated_datasets_only() -> None:
    for words in (["eval", "--dataset"], ["datasets", "prepare"]):
        refused = CliRunner().invoke(app, [*words, "docvqa_val", "--size", "3"]).exception
        assert isinstance(refused, UserError) and str(refused).startswith("--size: docvqa_val")
