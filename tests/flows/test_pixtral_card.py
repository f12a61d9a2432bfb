"""The group pixtral_card from a hub to scores: five datasets in their real schemas, one engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pixtrack.configs.loading import load_group
from pixtrack.configs.paths import PACKAGE_ROOT
from pixtrack.configs.schema import DatasetConfig
from tests.doubles.benchmark_datasets import NAMES, put_benchmark
from tests.doubles.hub import FakeHub
from tests.doubles.hub_datasets import put_on_hub

PIXTRACK = Path(sys.executable).parent / "pixtrack"


def on_hub(hub: FakeHub, name: str) -> DatasetConfig:
    """The dataset's configuration, pinned to four made-up rows on the hub."""
    return (put_benchmark(hub, name, 4) if name in NAMES else put_on_hub(hub, name, 4)).config


@pytest.mark.engine
def test_the_card_is_asked_from_the_hub_with_one_engine_start(
    tmp_path: Path, prefect_api: str
) -> None:
    members = load_group("pixtral_card").datasets
    configs, home = tmp_path / "configs", tmp_path / "home"
    shutil.copytree(PACKAGE_ROOT / "configs", configs)
    with FakeHub() as hub:
        for name in members:
            data = on_hub(hub, name).model_dump(mode="json", exclude={"name"})
            (configs / "datasets" / f"{name}.yaml").write_text(yaml.safe_dump(data))
        hidden = ("PREFECT_API_URL", "PREFECT_HOME", "MLFLOW_TRACKING_URI", "HF_HUB_OFFLINE")
        environment = {k: v for k, v in os.environ.items() if k not in hidden}
        environment |= {
            "PIXTRACK_HOME": str(home), "PIXTRACK_CONFIGS": str(configs),
            "PREFECT_API_URL": prefect_api, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "cache"),
        }  # fmt: skip
        done = subprocess.run(
            [PIXTRACK, "eval", "--dataset", "pixtral_card", "--model", "pixtral-random", "--json"],
            env=environment, capture_output=True, text=True, timeout=280,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    runs = {run["dataset"]: run for run in json.loads(done.stdout)["runs"]}
    assert list(runs) == list(members)
    for run in runs.values():
        assert (run["n"], run["answered"], run["failed"]) == (4, 4, 0)
        assert run["mlflow_run_id"]
        assert run["metrics"][run["headline"]]["n"] == 4
    assert set(runs["chartqa_test"]["by"]["question_type"]) == {"human_test", "augmented_test"}
    # A model with random weights never gives a final answer, and that is counted.
    assert runs["mmmu_val"]["states"]["reasoning"]
    requests = Path(runs["mmmu_val"]["run_dir"]) / "requests.jsonl"
    shown = [len(json.loads(line)["images"]) for line in requests.read_text().splitlines()]
    assert shown == [1, 1, 3, 1]
    log = (home / "logs" / "engine-pixtral-random.log").read_text()
    assert log.count("Initializing a V1 LLM engine") == 1
