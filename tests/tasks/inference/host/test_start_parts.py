"""What a start is made of is read from the ready event and the log's last start."""

from pathlib import Path

from pixtrack.tasks.inference.host.start_parts import parts_of_start

READY = {"import_seconds": 12.5, "config_seconds": 3.0, "load_seconds": 60, "name": "vllm"}

LOG = """=== 2026-01-01 10:00:00 python -m pixtrack.tasks.inference.worker.main
(EngineCore) INFO Model loading took 1.0 GiB memory and 99.000000 seconds
=== 2026-01-01 11:00:00 python -m pixtrack.tasks.inference.worker.main
(EngineCore pid=7) INFO 01-01 11:00:20 Model loading took 23.64 GiB memory and 4.120000 seconds
(EngineCore pid=7) INFO Graph capturing finished in 9 secs, took 0.53 GiB
(EngineCore pid=7) INFO init engine (profile, create kv cache, warmup model) took 45.50 s (compilation: 31.25 s)
"""


def test_the_parts_of_the_last_start_are_told_in_order(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text(LOG, encoding="utf-8")
    assert parts_of_start(READY, log) == {
        "imports": 12.5,
        "configuration": 3.0,
        "the engine core, from its start to its last word": 60.0,
        "weights read and placed": 4.12,
        "profile, caches and warm-up": 45.5,
        "compilation within these": 31.25,
        "CUDA graphs within these": 9.0,
    }


def test_a_start_of_which_nothing_is_known_has_no_parts(tmp_path: Path) -> None:
    assert parts_of_start({}, tmp_path / "none.log") == {}
    (tmp_path / "other.log").write_text("=== now\nanother engine's words\n", encoding="utf-8")
    assert parts_of_start({"name": "other"}, tmp_path / "other.log") == {}
