"""Which models need Ray, on which cluster they run, and what their replicas are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_model
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.cells import check_study, with_options
from pixtrack.tasks.environment import plan_memory
from pixtrack.tasks.inference import clusters
from pixtrack.tasks.inference.clusters import cluster_of, host_maker
from pixtrack.tasks.inference.host.cluster import connection
from pixtrack.tasks.inference.host.cluster.driver import EngineCluster
from pixtrack.tasks.runs.protocol import EngineSpec
from tests.tasks.inference.host.cluster.test_planning import card

SPEC = EngineSpec(engine="vllm", model_dir="/m", format="mistral", family="pixtral")


def model(cluster: str = "", **given: Any) -> ModelConfig:
    return load_model("pixtral-12b").model_copy(update={"given": given, "cluster": cluster})


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for Ray fails."""

    def unavailable() -> None:
        raise AssertionError("Ray is not needed")

    monkeypatch.setattr(connection, "ray_module", unavailable)


@pytest.mark.usefixtures("no_ray")
def test_one_replica_needs_no_ray() -> None:
    for one in (model(), model(data_parallel_size=1), load_model("endpoint")):
        assert cluster_of(one) is None
    memory = plan_memory(model(), None, (card(0),))
    assert host_maker(model(), Home(Path("/data")), "", None, memory) is None


@pytest.mark.parametrize(("runs", "address"), [(True, "auto"), (False, "")])
def test_several_go_to_the_ray_that_runs_here_or_to_one_of_their_own(
    runs: bool, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "running_here", lambda: runs)
    assert cluster_of(model(data_parallel_size=2)) == address
    file = load_model("pixtral-12b").model_copy(update={"engine": {"data_parallel_size": 2}})
    assert cluster_of(file) == address


def test_a_named_cluster_takes_one_replica_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ray_module", lambda: None)
    assert cluster_of(model("head:6379")) == "head:6379"
    assert cluster_of(model("head:6379", data_parallel_size=1)) == "head:6379"


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"pip install 'pixtrack\[ray\]'"):
        cluster_of(model("head:6379"))


@pytest.mark.parametrize("address", ["head:port", "ray://head:10001", "127.0.0.1:9", "127.0.0.1"])
def test_an_address_without_ray_is_one_line(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is in the extra `ray`: pip install -e .[dev]")
    monkeypatch.setattr(connection, "DEFAULT_PORT", 9)
    monkeypatch.setattr(connection, "REACH_SECONDS", 2.0)
    with pytest.raises(UserError, match=f"--cluster {address}") as refused:
        clusters.check_cluster(model(address), Home(tmp_path))
    assert "\n" not in str(refused.value) and "ray start" in str(refused.value)


def test_replicas_on_this_machine_get_the_planned_cards(tmp_path: Path) -> None:
    home = Home(tmp_path)
    memory = plan_memory(model(data_parallel_size=2), None, (card(0), card(1)))
    make = host_maker(model(), home, "", None, memory)
    assert make is not None
    driver = make(SPEC, tmp_path / "engine.log")
    assert isinstance(driver, EngineCluster) and len(driver.slots) == 2
    plans = driver._fleet._plans  # type: ignore[attr-defined]
    assert [plan.cards for plan in plans] == [("0",), ("1",)]
    assert {plan.spec.takes for plan in plans} == {"orders"} and plans[0].model is None
    driver.close()


def test_the_command_goes_before_the_models_file_and_endpoints_have_no_cluster() -> None:
    file = load_model("pixtral-12b").model_copy(update={"cluster": "file:6379"})
    assert with_options(file, None).cluster == "file:6379"
    assert with_options(file, None, "command:6379").cluster == "command:6379"
    assert with_options(file, {"data_parallel_size": 2}).cluster == "file:6379"
    with pytest.raises(UserError, match="is an endpoint"):
        with_options(load_model("endpoint"), None, "command:6379")


def test_a_studys_models_all_run_on_the_cluster() -> None:
    _, cells = check_study("sample_models", {"data_parallel_size": 3}, "head:6379")
    local = [cell.model for cell in cells if cell.model.source.has_files]
    assert local and all(one.cluster == "head:6379" for one in local)
    assert all(one.given == {"data_parallel_size": 3} for one in local)
