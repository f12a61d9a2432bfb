"""`pixtrack compare`, as a user types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.flows.cli.main import app
from pixtrack.tasks.tracking import TrackingUnavailable
from tests.doubles.recorder import MemoryRecorder
from tests.doubles.synthetic_runs import DatasetFactory


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("home"))
    docs = DatasetFactory(home, pixels=(160, 200))
    docs.run("alpha", skill=-2)
    docs.run("beta", skill=2, seed=2)
    docs.run("gamma", prompt="long", seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXTRACK_HOME", str(home.root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield home


def compare(*words: str) -> Result:
    return CliRunner().invoke(app, ["compare", *words])


def refusal(*words: str) -> str:
    result = compare(*words)
    assert isinstance(result.exception, UserError)
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_verdict_comes_first_and_every_file_is_named(home: Home) -> None:
    result = compare("alpha", "beta", "--no-track")
    assert result.exit_code == 0
    assert result.stdout.startswith("Beta beats Alpha on docvqa_val")
    (folder,) = home.comparisons.iterdir()
    assert str(folder / "index.html") in result.stdout
    assert str(folder / "comparison.md") in result.stdout


def test_the_same_comparison_twice_is_one_folder_and_another_baseline_a_second(
    home: Home,
) -> None:
    for words in (("alpha", "beta"), ("alpha", "beta"), ("beta", "alpha", "--baseline", "alpha")):
        assert compare(*words, "--no-track").exit_code == 0
    assert len(list(home.comparisons.iterdir())) == 1
    compare("alpha", "beta", "--baseline", "beta", "--no-track")
    assert len(list(home.comparisons.iterdir())) == 2


def test_json_is_alone_on_stdout(home: Home, tmp_path: Path) -> None:
    result = compare("alpha", "beta", "--json", "--no-track", "--out", str(tmp_path / "out"))
    read = json.loads(result.stdout)
    assert read["datasets"][0]["differences"][0]["outcome"] == "better"
    assert Path(read["page"]) == tmp_path / "out" / "index.html"
    assert Path(read["page"]).is_file()


def test_baseline_turns_the_difference_around(home: Home, tmp_path: Path) -> None:
    words = ("alpha", "beta", "--json", "--no-track", "--out", str(tmp_path / "out"))
    first = json.loads(compare(*words).stdout)["datasets"][0]["differences"][0]
    turned = json.loads(compare(*words, "--baseline", "beta").stdout)
    (second,) = turned["datasets"][0]["differences"]
    assert second["difference"] == pytest.approx(-first["difference"])


def test_refusals_say_why_and_what_to_do(home: Home) -> None:
    assert "--allow prompt" in refusal("alpha", "gamma", "--no-track")
    assert "name another" in refusal("alpha", "--no-track")
    assert "Did you mean 'beta@docvqa_val'" in refusal("alpha", "beto@docvqa_val")
    assert "drop" in refusal("alpha", "beta", "--failed", "ignore")
    assert "no scored run on charts" in refusal("alpha", "beta", "-d", "charts")


def test_allowed_mismatch_is_compared_and_noted(home: Home, tmp_path: Path) -> None:
    result = compare(
        "alpha", "gamma", "--allow", "prompt", "--json", "--no-track", "--out", str(tmp_path)
    )
    read = json.loads(result.stdout)
    assert read["allowed"] == ["prompt"]
    assert any("template" in text for text in read["datasets"][0]["differences"][0]["differs"])


def test_unreachable_tracking_is_said_before_the_comparison_which_can_do_without(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    refused = compare("alpha", "beta", "--out", str(tmp_path / "out"))
    assert refused.exit_code != 0 and isinstance(refused.exception, TrackingUnavailable)
    assert str(refused.exception).endswith("; or compare with --no-track")
    assert not (tmp_path / "out").exists()
    done = compare("alpha", "beta", "--no-track", "--out", str(tmp_path / "out"))
    assert done.exit_code == 0 and (tmp_path / "out" / "index.html").is_file()


def test_tracking_that_goes_away_meanwhile_keeps_the_comparison_and_says_so(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = MemoryRecorder()
    monkeypatch.setattr("pixtrack.tasks.tracking.default_recorder", lambda: recorder)

    def goes_away(*_: object, **__: object) -> None:
        recorder.away = "gone"

    monkeypatch.setattr("pixtrack.tasks.comparison.resolve.resolve_baseline", goes_away)
    result = compare("alpha", "beta", "--baseline", "alpha", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0
    assert "not logged to MLflow" in result.stderr
    assert (tmp_path / "out" / "index.html").is_file()
