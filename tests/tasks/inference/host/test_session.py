"""One engine for several runs: fed in order, tried once more after an out-of-memory, and closed.

`ScriptedProcess` stands in for the inference child: it says what it is told to, and asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.host import engine_host as module
from pixtrack.tasks.inference.host.session import EngineFailed, EngineSession
from pixtrack.tasks.runs.protocol import EngineSpec, Event

READY = Event(event="ready", details={"name": "vllm"})
OUT_OF_MEMORY = Event(
    event="engine_failed", message="out of memory", details={"reason": "out_of_memory"}
)


class ScriptedProcess:
    """An inference child whose events are given: one script a start."""

    scripts: ClassVar[list[list[Event]]] = []
    made: ClassVar[list[ScriptedProcess]] = []

    def __init__(self, spec: EngineSpec, log: Path, cards: tuple[str, ...] = ()) -> None:
        self.spec, self.closed = spec, False
        self.jobs: list[str] = []
        self._script = self.scripts[len(self.made)]
        self.made.append(self)

    def start(self) -> None:
        pass

    def submit(self, job: Any) -> None:
        self.jobs.append(job.job_id)

    def events(self) -> Iterator[Event]:
        yield from self._script

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[ScriptedProcess]:
    monkeypatch.setattr(module, "EngineProcess", ScriptedProcess)
    monkeypatch.setattr(ScriptedProcess, "made", [])
    monkeypatch.setattr(ScriptedProcess, "scripts", [])
    return ScriptedProcess


def spec(name: str = "first") -> EngineSpec:
    return EngineSpec(engine="vllm", model_dir=name, format="mistral", family="pixtral")


def run(job_id: str) -> Any:
    return SimpleNamespace(job=SimpleNamespace(job_id=job_id))


def done(job_id: str, count: int = 3) -> Event:
    return Event(event="job_done", job_id=job_id, done=count, total=count, elapsed_seconds=1.5)


def test_runs_are_fed_once_and_answered_in_order(
    scripted: type[ScriptedProcess], tmp_path: Path
) -> None:
    scripted.scripts = [[READY, done("a"), done("b", 5)]]
    first, second = run("a"), run("b")
    with EngineSession(spec(), tmp_path / "log") as session:
        session.submit(first)
        session.submit(second)
        assert session.ask(first, lambda _: None).asked == 3
        assert session.ask(second, lambda _: None).asked == 5
    assert scripted.made[0].jobs == ["a", "b"]
    assert scripted.made[0].closed


def test_an_out_of_memory_at_the_start_is_tried_once_with_the_smaller_plan(
    scripted: type[ScriptedProcess], tmp_path: Path
) -> None:
    scripted.scripts = [[OUT_OF_MEMORY], [READY, done("a")]]
    with EngineSession(spec(), tmp_path / "log", lambda: spec("smaller")) as session:
        assert session.ask(run("a"), lambda _: None).asked == 3
    assert [made.spec.model_dir for made in scripted.made] == ["first", "smaller"]
    assert scripted.made[0].closed
    assert scripted.made[1].jobs == ["a"]


def test_a_second_out_of_memory_is_the_end_and_says_so(
    scripted: type[ScriptedProcess], tmp_path: Path
) -> None:
    scripted.scripts = [[OUT_OF_MEMORY], [OUT_OF_MEMORY]]
    log = tmp_path / "log"
    with (
        pytest.raises(EngineFailed, match=f"out of memory.*{log}"),
        EngineSession(spec(), log, lambda: spec("smaller")) as session,
    ):
        session.ask(run("a"), lambda _: None)
    assert len(scripted.made) == 2


def test_a_card_that_others_upset_is_tried_once_more_as_it_was(
    scripted: type[ScriptedProcess], tmp_path: Path
) -> None:
    upset = OUT_OF_MEMORY.model_copy(update={"details": {"reason": "card_shared"}})
    scripted.scripts = [[upset], [READY, done("a")]]
    with EngineSession(spec(), tmp_path / "log", lambda: spec("smaller")) as session:
        assert session.ask(run("a"), lambda _: None).asked == 3
    assert [made.spec.model_dir for made in scripted.made] == ["first", "first"]
    scripted.made.clear()
    scripted.scripts = [[upset], [upset]]
    with (
        pytest.raises(EngineFailed),
        EngineSession(spec(), tmp_path / "log", lambda: spec("smaller")) as session,
    ):
        session.ask(run("a"), lambda _: None)
    assert len(scripted.made) == 2


def test_an_engine_that_ends_without_a_word_names_its_log(
    scripted: type[ScriptedProcess], tmp_path: Path
) -> None:
    scripted.scripts = [[READY]]
    with (
        pytest.raises(EngineFailed, match="ended without a word"),
        EngineSession(spec(), tmp_path / "log") as session,
    ):
        session.ask(run("a"), lambda _: None)
    assert scripted.made[0].closed


def test_closing_beside_the_work_is_waited_for(
    scripted: type[ScriptedProcess], tmp_path: Path
) -> None:
    scripted.scripts = [[READY, done("a")]]
    with EngineSession(spec(), tmp_path / "log") as session:
        session.ask(run("a"), lambda _: None)
        session.close_beside()
    assert scripted.made[0].closed


def test_a_run_that_waited_for_a_dead_engine_is_handed_to_the_next_one(
    scripted: type[ScriptedProcess], tmp_path: Path
) -> None:
    died = Event(event="job_failed", job_id="a", message="died", details={"reason": "engine_died"})
    why = Event(event="engine_failed", message="a CUDA error", details={"reason": "engine_died"})
    scripted.scripts = [[READY, died, why], [READY, done("b")]]
    session = EngineSession(spec(), tmp_path / "engine.log")
    a, b = run("a"), run("b")
    session.submit(a)
    session.submit(b)
    # The engine's own last word, with the reason from its log, is what the user is told.
    with pytest.raises(EngineFailed, match="a CUDA error"):
        session.ask(a, lambda _event: None)
    assert session.was_ready
    session.close()
    assert session.ask(b, lambda _event: None).asked == 3
    assert [process.jobs for process in scripted.made] == [["a", "b"], ["b"]]


def test_a_start_that_fails_fails_for_every_run_with_its_own_reason(
    scripted: type[ScriptedProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(_self: Any) -> None:
        raise UserError("no such interpreter")

    monkeypatch.setattr(ScriptedProcess, "start", refuse)
    scripted.scripts = [[], []]
    session = EngineSession(spec(), tmp_path / "log")
    for name in ("a", "b"):
        with pytest.raises(UserError, match="no such interpreter"):
            session.submit(run(name))
    assert all(made.closed for made in scripted.made) and not scripted.made[-1].jobs
