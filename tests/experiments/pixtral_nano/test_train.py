"""Training learns, and goes on where it was stopped."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from experiments.pixtral_nano.__main__ import main as command
from experiments.pixtral_nano.curves import log, read_curves
from experiments.pixtral_nano.data import KINDS, collate, pack
from experiments.pixtral_nano.muon import orthogonalise
from experiments.pixtral_nano.train import (
    Limits,
    Training,
    answers_right,
    learning_rate_share,
    train,
)
from pixtrack.tasks.datasets.sample.page import draw_page


@pytest.fixture
def config(tiny_shape: Any) -> Any:
    shape = {key: value for key, value in tiny_shape.as_dict().items() if key != "vocab_size"}
    return {
        "shape": shape,
        "data": {"seed": 1, "images_per_batch": 2},
        "optimiser": {
            "matrix_lr": 0.02,
            "matrix_weight_decay": 0.01,
            "other_lr": 0.01,
            "warmup": 0.02,
            "final": 0.02,
            "letters_weight": 0.5,
        },
        "early_at": 0.25,
        "ema": 0.9,
    }


@pytest.fixture
def batch(tokenizer: Any) -> Any:
    page = draw_page(5, 3)
    segments = [(q.text, q.answers[0], q.kind) for q in page.questions[:6]]
    item = pack(page.image, segments, tokenizer, room=128)
    item["letters"][:4] = 0
    return collate([item])


def test_a_few_steps_bring_the_loss_down(config, batch, tmp_path: Path) -> None:
    training = Training(config, tmp_path, "cpu", compiled=False)
    losses = [float(training.step(batch, 1.0)[0]) for _ in range(8)]
    assert losses[-1] < 0.7 * losses[0]


def test_a_resumed_run_takes_the_step_that_the_unbroken_one_takes(
    config, batch, tmp_path: Path
) -> None:
    first = Training(config, tmp_path, "cpu", compiled=False)
    first.step(batch, 1.0)
    first.save()
    second = Training(config, tmp_path, "cpu", compiled=False)
    assert second.load()
    unbroken = [float(first.step(batch, 1.0)[0]) for _ in range(2)]
    resumed = [float(second.step(batch, 1.0)[0]) for _ in range(2)]
    assert resumed == pytest.approx(unbroken, rel=1e-5)
    assert second.progress.step == first.progress.step == 3


def test_a_stopped_call_goes_on_and_draws_no_page_twice(config, batch, tmp_path: Path) -> None:
    first_pages = []
    for _ in range(2):
        training = Training(config, tmp_path, "cpu", compiled=False)
        training.load()
        first_pages.append(training.progress.next_page)
        train(training, Limits(budget=60, stop_after=0), workers=0, validation=[batch])
    assert training.progress.step == 2
    assert first_pages[1] > first_pages[0] + training.progress.images
    rows = [json.loads(line) for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert "validation_accuracy" in rows[-1]
    assert (tmp_path / "weights.safetensors").is_file()


def test_the_learning_rate_warms_up_and_ends_low() -> None:
    course = [learning_rate_share(step / 100, 0.1, 0.02) for step in range(101)]
    assert course[0] < 0.1 and max(course) == course[10] == 1.0
    assert course[-1] == pytest.approx(0.02)
    assert all(a >= b for a, b in itertools.pairwise(course[10:]))


def test_an_answer_is_right_only_if_every_token_is(batch) -> None:
    correct = torch.ones(batch.segments[:, batch.prefix :].shape, dtype=torch.bool)
    third = (batch.segments[0, batch.prefix :] == 3).nonzero()[-1]
    correct[0, third] = False
    right = answers_right(batch, correct)[0]
    assert [bool(right[number]) for number in range(4)] == [True, True, False, True]


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for rows, columns in ((64, 64), (128, 64), (64, 192)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(3, rows, columns)).float())
        # The smallest of a square random matrix are near 0 and need more than five steps.
        assert values.quantile(0.1) > 0.5
        assert values.max() < 1.4


def test_the_curves_become_an_mlflow_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    path = tmp_path / "curves.jsonl"
    rows = [{"step": n, "seconds": 3.5 * n, "loss": math.exp(-n)} for n in range(1, 4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row["training_seconds"] for row in read_curves(path)] == [3.5, 7.0, 10.5]
    assert "/runs/" in log(path, {"data": {"seed": 1}}, "test")


def test_one_command_goes_from_nothing_to_files_and_curves(
    config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    settings, out = tmp_path / "config.yaml", tmp_path / "run"
    settings.write_text(yaml.safe_dump(config))
    options = "--minutes 0.001 --workers 0 --validation-images 2 --no-compile"
    words = ["pixtral_nano", "--out", str(out), "--config", str(settings), *options.split()]
    monkeypatch.setattr("sys.argv", words)
    command()
    written = {path.name for path in (out / "pixtral-nano").iterdir()}
    assert written == {"params.json", "consolidated.safetensors", "tekken.json"}
    assert (out / "pixtral-nano-early" / "consolidated.safetensors").is_file()
    assert "/runs/" in capsys.readouterr().out


def test_the_shipped_curves_are_those_of_the_shipped_configuration() -> None:
    from pixtrack.configs.paths import PACKAGE_ROOT

    folder = PACKAGE_ROOT / "experiments" / "pixtral_nano"
    rows = list(read_curves(folder / "curves.jsonl"))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert rows[-1]["learning_rate_share"] == pytest.approx(config["optimiser"]["final"])
    assert all(f"validation_{kind}" in rows[-1] for kind in KINDS if kind != "reading")
