"""How many replicas a cluster takes, where, and what keeps them from it; and the report on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_model
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.environment import Card
from pixtrack.tasks.inference.host.cluster.nodes import Node, usable
from pixtrack.tasks.inference.host.cluster.planning import plan_on
from pixtrack.tasks.inference.host.cluster.report import report_on

GIB = 1 << 30
CUDA = (("name", "vllm"), ("version", "0.32.0"), ("platform", "cuda"))
CPU = (("name", "vllm"), ("version", "0.32.0"), ("platform", "cpu"))


def card(index: int, gib: int = 80) -> Card:
    total = gib * GIB
    return Card(index, "NVIDIA H100 80GB HBM3", "nvidia", total, total, (9, 0), f"{index}-{gib}")


def with_cards(name: str, number: int, gib: int = 80) -> Node:
    cards = tuple(card(n, gib) for n in range(number))
    return Node(name, name, 16, cards, CUDA, 100 * GIB, 10**12, "/data", "1", "3.11.7")


def without_cards(name: str, cpus: float) -> Node:
    return Node(name, name, cpus, (), CPU, 16 * GIB, 10**12, "/data", "1", "3.11.7")


def model(name: str = "pixtral-12b", **given: int) -> ModelConfig:
    return load_model(name).model_copy(update={"given": given})


def test_a_cluster_is_filled_unless_a_number_is_asked_for() -> None:
    nodes = [with_cards("a", 4), with_cards("b", 2)]
    plan = plan_on(nodes, model(), None, "a:6379")
    assert (plan.replicas, plan.placement.gpus, plan.spread) == (6, 1, False)
    assert plan.engine == dict(CUDA) and plan.memory.fits
    assert "data_parallel_size" not in plan.memory.engine_options
    assert plan_on(nodes, model(data_parallel_size=5), None, "").replicas == 5
    split = plan_on(nodes, model(tensor_parallel_size=2), None, "")
    assert (split.replicas, split.placement.gpus) == (3, 2)


def test_what_can_change_an_answer_is_as_on_one_machine() -> None:
    from pixtrack.tasks.environment import plan_memory

    alone = plan_memory(model(), None, (card(0),))
    plan = plan_on([with_cards("a", 4), with_cards("b", 2)], model(), None, "")
    assert plan.memory.answer_options == alone.answer_options


def test_more_replicas_than_fit_are_one_line() -> None:
    nodes = [with_cards("a", 4), with_cards("b", 2)]
    with pytest.raises(UserError, match=r"room for 6 \(cards: a 4, b 2\): use -dp 6, or add"):
        plan_on(nodes, model(data_parallel_size=7), None, "a:6379")


def test_a_replica_that_no_node_holds_is_spread_by_vllm() -> None:
    nodes = [with_cards("a", 1, 24), with_cards("b", 1, 24)]
    plan = plan_on(nodes, model(tensor_parallel_size=2), None, "")
    assert plan.spread and plan.replicas == 1 and plan.placement.gpus == 0


def test_cpus_are_shared_out_so_that_all_replicas_have_room() -> None:
    nodes = [without_cards("a", 2), without_cards("b", 2)]
    nano = model("pixtral-nano")
    plan = plan_on(nodes, nano, None, "")
    assert (plan.replicas, plan.placement.cpus, plan.placement.gpus) == (2, 2, 0)
    four = plan_on(nodes, model("pixtral-nano", data_parallel_size=4), None, "")
    assert (four.replicas, four.placement.cpus) == (4, 1)
    with pytest.raises(UserError, match=r"5 replicas are asked for.*CPUs: a 2, b 2"):
        plan_on(nodes, model("pixtral-nano", data_parallel_size=5), None, "")


def test_nodes_that_cannot_take_a_replica_are_left_out_or_named() -> None:
    good, head = with_cards("a", 1), without_cards("head", 4)
    broken = replace(with_cards("b", 1), trouble="has no vLLM")
    assert usable([good, head, broken], "") == (good,)
    with pytest.raises(UserError, match="no node can take a replica: b has no vLLM"):
        usable([broken], "b:6379")
    other = replace(with_cards("c", 1), engine=(*CUDA[:1], ("version", "0.31.0"), CUDA[2]))
    with pytest.raises(UserError, match=r"engines differ.*a: vLLM 0.32.0.*c: vLLM 0.31.0"):
        usable([good, other], "")


def test_the_report_has_a_line_for_each_node_and_one_for_the_model() -> None:
    full = replace(with_cards("b", 1), disk_bytes=10**9)
    broken = replace(with_cards("c", 1), trouble="has no pixtrack in Ray's Python")
    nodes = [replace(with_cards("a", 2), has_model=True), full, broken]
    lines = {line.name: line for line in report_on("a:6379", nodes, model())}
    assert [*lines] == ["node a", "node b", "node c", "cluster", "memory for pixtral-12b"]
    assert lines["node a"].status == "ok" and "has pixtral-12b" in lines["node a"].detail
    assert "NVIDIA H100 80GB HBM3 80 GiB (80 free)" in lines["node a"].detail
    assert lines["node b"].status == "failed" and "free space" in lines["node b"].remedy
    assert lines["node c"].status == "warning" and "no pixtrack" in lines["node c"].detail
    assert (
        "2 of 3 nodes can take replicas, vLLM 0.32.0 for cuda, 3 cards" in lines["cluster"].detail
    )
    assert lines["memory for pixtral-12b"].detail.startswith("3 replicas: ")
    (line,) = report_on("x:1", [], None)
    assert line.status == "failed" and "it has no node" in line.detail
