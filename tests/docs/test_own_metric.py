"""What docs/how-to/own-metric.md says to do works when it is done, word for word."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pixtrack.configs.loading import load_dataset
from pixtrack.flows.cli.main import app
from pixtrack.tasks.scoring.metrics import functions_of
from tests.pixtrack.installed import REPOSITORY

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


def test_the_page_works_word_for_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(tmp_path))
    page = (REPOSITORY / "docs" / "how-to" / "own-metric.md").read_text(encoding="utf-8")
    commands = []
    for language, file, text in BLOCK.findall(page):
        if file:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text(text, encoding="utf-8")
        elif language == "sh":
            commands += text.splitlines()
    scores: dict[str, float] = {}
    assert len(commands) == 4
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "pixtrack"
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        if arguments[0] == "score":
            summary = json.loads((tmp_path / "scores" / "summary.json").read_text("utf-8"))
            scores |= {name: one["value"] for name, one in summary["metrics"].items()}
    two_of_three = pytest.approx(200 / 3)
    assert scores == {
        "my_metric.score": two_of_three, "my_metric.answered_at_all": two_of_three,
        "exact_match": 0.0,
    }  # fmt: skip
    assert summary["headline"] == "my_metric.score"
    assert summary["postprocess"][-1] == f"{tmp_path / 'my_steps.py'}:without_units"
    assert set(functions_of(load_dataset("mine"))) == {"my_metric.score", "anls"}
