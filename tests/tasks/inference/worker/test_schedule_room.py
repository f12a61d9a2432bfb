"""How much the schedule has in flight: the caches of the engine, its requests, and memory."""

import threading
from pathlib import Path
from typing import Any

import pytest

from pixtrack.tasks.inference.worker import reading
from pixtrack.tasks.inference.worker.images import read_images, working_bytes
from tests.doubles.recording_engine import (
    RecordingEngine,
    capabilities,
    images,
    requests,
)
from tests.tasks.inference.worker.asking import LONG, ask


def test_groups_in_flight_hold_no_more_than_the_kv_cache(tmp_path: Path) -> None:
    # A group of four: 100 shared tokens in 96 whole blocks, and four times 32 for its own.
    able = capabilities(kv_cache_tokens=1000)
    engine = RecordingEngine(decode_seconds=LONG)
    _, stats = ask(engine, requests(images(tmp_path, 30), 4), able=able)
    assert engine.peak_groups == stats.peak_groups == 900 // (96 + 4 * 32)


def test_groups_in_flight_leave_the_image_embeddings_room(tmp_path: Path) -> None:
    # 100 image tokens a group; a cache of 1,400 may be filled to seven tenths.
    able = capabilities(kv_cache_tokens=100_000, details={"encoder_cache_tokens": 1400})
    engine = RecordingEngine(decode_seconds=LONG)
    ask(engine, requests(images(tmp_path, 60), 2), able=able)
    assert engine.peak_groups == 9


def test_a_small_cache_of_image_embeddings_does_not_starve_the_engine(tmp_path: Path) -> None:
    able = capabilities(kv_cache_tokens=100_000, details={"encoder_cache_tokens": 200})
    engine = RecordingEngine(decode_seconds=LONG)
    ask(engine, requests(images(tmp_path, 60), 2), able=able)
    assert engine.peak_groups == 8


def test_a_group_larger_than_the_kv_cache_is_asked_a_few_at_a_time(tmp_path: Path) -> None:
    able = capabilities(kv_cache_tokens=400)
    engine = RecordingEngine(decode_seconds=LONG)
    answers, _ = ask(engine, requests(images(tmp_path, 1), 40), able=able)
    assert len(answers) == 40
    # 96 tokens of the image and 32 of each question, in nine tenths of the cache.
    assert engine.peak_requests == (360 - 96) // 32


def test_no_more_requests_are_in_flight_than_the_engine_takes(tmp_path: Path) -> None:
    engine = RecordingEngine(decode_seconds=0.05)
    able = capabilities(kv_cache_tokens=None, max_concurrency=3)
    ask(engine, requests(images(tmp_path, 10), 4), able=able)
    assert engine.peak_requests == 3


def test_images_waiting_for_the_engine_are_bounded_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = images(tmp_path, 12, size=(100, 100))
    monkeypatch.setattr(reading, "MEMORY_AHEAD_BYTES", 2 * 100 * 100 * 15)
    held = []
    lock = threading.Lock()
    engine = RecordingEngine(prefill_seconds=0.01)
    read = read_images

    def counting(images: Any, prepare: Any) -> Any:
        with lock:
            held.append(1)
            assert sum(held) - len(engine.sent_images) <= 3  # two ahead, one on its way
        return read(images, prepare)

    monkeypatch.setattr(reading, "read_images", counting)
    ask(engine, requests(refs, 1), able=capabilities(kv_cache_tokens=150))
    assert sum(held) == 12


def test_pages_ahead_are_worked_on_one_at_a_time(tmp_path: Path) -> None:
    pages = images(tmp_path, 10, size=(100, 200))
    one = 100 * 200
    assert working_bytes(pages[:1]) == one * 15
    assert working_bytes(pages) == 10 * one * 12 + one * 3
    resized = working_bytes(pages, lambda width, height: (width // 2, height // 2))
    assert resized == 10 * one // 4 * 12 + one * 12
    assert working_bytes([]) == 0
