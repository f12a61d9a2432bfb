"""Preparing once: unchanged, interrupted, twice at a time, damaged afterwards."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig, SampleDataset
from pixtrack.tasks.datasets import load_prepared, prepare
from pixtrack.tasks.datasets.manifest import read_manifest
from tests.doubles.hub_datasets import png
from tests.tasks.datasets.conftest import Folder, row


def sample_config(images: int = 3, seed: int = 1) -> DatasetConfig:
    return DatasetConfig(
        name="sample",
        title="Sample",
        source=SampleDataset(images=images, seed=seed),
        metrics=("anls",),
        headline="anls",
        prompt="plain",
        licence="Apache-2.0",
    )


def test_the_sample_is_prepared_from_its_generator(home: Home) -> None:
    ready = prepare(sample_config(), home)
    assert len({sample.image for sample in ready.samples}) == 3
    assert all((home.images / sample.image_path).is_file() for sample in ready.samples)
    again = prepare(sample_config(), Home(home.root / "other"))
    assert again.digest == ready.digest
    assert prepare(sample_config(seed=2), home).digest != ready.digest


def test_what_is_prepared_and_unchanged_is_taken_as_it_is(folder: Folder, home: Home) -> None:
    assert load_prepared(folder.config(), home) is None
    first = prepare(folder.config(), home)
    manifest = (home.datasets / "mine" / "dataset.json").read_bytes()
    calls: list[int] = []
    assert prepare(folder.config(), home, lambda done, total: calls.append(done)) == first
    assert load_prepared(folder.config(), home) == first
    assert calls == []
    assert (home.datasets / "mine" / "dataset.json").read_bytes() == manifest


def test_progress_counts_rows_up_to_the_total(folder: Folder, home: Home) -> None:
    calls: list[tuple[int, int]] = []
    prepare(folder.config(), home, lambda done, total: calls.append((done, total)))
    assert calls == [(0, 8), (8, 8)]


def test_a_changed_source_is_prepared_again(folder: Folder, home: Home) -> None:
    first = prepare(folder.config(), home)
    folder.write([row(number) for number in range(5)])
    assert load_prepared(folder.config(), home) is None
    second = prepare(folder.config(), home)
    assert len(second.samples) == 5
    (folder.images / "0.png").write_bytes(png(50, (41, 30)))
    third = prepare(folder.config(), home)
    assert third.samples[0].width == 41
    assert len({first.digest, second.digest, third.digest}) == 3


def test_a_changed_configuration_is_prepared_again_unless_it_cannot_matter(
    folder: Folder, home: Home
) -> None:
    prepare(folder.config(), home)
    assert load_prepared(folder.config(title="Another", metrics=("anls", "damqa")), home)
    assert load_prepared(folder.config(version=2), home) is None
    assert load_prepared(folder.config(columns={"answers": "image"}), home) is None


def test_what_was_prepared_stands_when_its_source_is_gone(folder: Folder, home: Home) -> None:
    first = prepare(folder.config(), home)
    shutil.rmtree(folder.root)
    assert prepare(folder.config(), home) == first


def test_a_lost_or_cut_image_of_the_store_is_stored_again(folder: Folder, home: Home) -> None:
    first = prepare(folder.config(), home)
    path = home.images / first.samples[0].image_path
    path.unlink()
    assert prepare(folder.config(), home).samples == first.samples
    assert path.is_file()
    path.write_bytes(b"")
    assert prepare(folder.config(), home).samples == first.samples
    assert path.read_bytes() == png(0)


def test_samples_that_do_not_match_their_digest_are_prepared_again(
    folder: Folder, home: Home
) -> None:
    first = prepare(folder.config(), home)
    samples = home.datasets / "mine" / "samples.parquet"
    folder.write([row(number) for number in range(6)])
    prepare(folder.config(), home)
    other = samples.read_bytes()
    folder.write([row(number) for number in range(8)])
    prepare(folder.config(), home)
    samples.write_bytes(other)
    assert load_prepared(folder.config(), home) is None
    assert prepare(folder.config(), home).samples == first.samples
    samples.write_bytes(b"PAR1")
    assert prepare(folder.config(), home).samples == first.samples


def test_the_digest_does_not_depend_on_where_files_lie_or_what_they_are_called(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    first = prepare(folder.config(), home)
    moved = Folder(tmp_path / "elsewhere" / "deep")
    shutil.copytree(folder.root, moved.root)
    for number in range(4):
        (moved.images / f"{number}.png").rename(moved.images / f"picture-{number}.png")
    moved.write([row(n, image=f"picture-{n % 4}.png", question_id=n) for n in range(8)])
    second = prepare(moved.config(name="other"), Home(tmp_path / "home2"))
    assert second.digest == first.digest
    assert second.source["gold_digest"] == first.source["gold_digest"]


@pytest.mark.parametrize(
    ("change", "asked_again"),
    [
        ({"question": "Another?"}, True),
        ({"image": "2.png"}, True),
        ({"image": "gone.png"}, True),
        ({"answer": ["another"]}, False),
        ({"question_type": "kind"}, False),
        ({"question_id": 7}, False),
    ],
)
def test_the_digest_covers_what_changes_an_answer_and_nothing_else(
    folder: Folder, home: Home, change: dict[str, object], asked_again: bool
) -> None:
    first = prepare(folder.config(), home)
    folder.write([row(0), row(1, **change), *(row(number) for number in range(2, 8))])
    second = prepare(folder.config(), home)
    assert (second.digest != first.digest) is asked_again
    golds = first.source["gold_digest"] != second.source["gold_digest"]
    assert golds is ("answer" in change or "question_type" in change)


def many(folder: Folder, count: int) -> None:
    folder.write([row(number) for number in range(count)])


def test_an_interrupted_preparation_goes_on_where_it_stopped(folder: Folder, home: Home) -> None:
    many(folder, 600)

    def stop(done: int, total: int) -> None:
        if done >= 256:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(folder.config(), home, stop)
    assert load_prepared(folder.config(), home) is None
    seen: list[int] = []
    ready = prepare(folder.config(), home, lambda done, total: seen.append(done))
    assert seen[0] == 256
    assert ready.samples == prepare(folder.config(), Home(home.root / "again")).samples
    assert not (home.datasets / "mine" / ".work").exists()


def test_a_torn_line_of_the_journal_is_done_again(folder: Folder, home: Home) -> None:
    many(folder, 600)
    whole = prepare(folder.config(), Home(home.root / "whole")).samples

    def stop(done: int, total: int) -> None:
        if done >= 384:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(folder.config(), home, stop)
    journal = home.datasets / "mine" / ".work" / "progress.jsonl"
    journal.write_bytes(journal.read_bytes()[:-100])
    seen: list[int] = []
    assert prepare(folder.config(), home, lambda done, _: seen.append(done)).samples == whole
    assert seen[0] == 256


def test_a_changed_source_starts_an_interrupted_preparation_over(
    folder: Folder, home: Home
) -> None:
    many(folder, 300)

    def stop(done: int, total: int) -> None:
        if done >= 128:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(folder.config(), home, stop)
    many(folder, 200)
    seen: list[int] = []
    assert len(prepare(folder.config(), home, lambda done, _: seen.append(done)).samples) == 200
    assert seen[0] == 0


def _prepare_in_a_process(config: DatasetConfig, root: Path, start: float, out: Path) -> None:
    time.sleep(max(0, start - time.time()))
    seen: list[int] = []

    def slow(done: int, total: int) -> None:
        seen.append(done)
        time.sleep(0.02)

    ready = prepare(config, Home(root), slow)
    out.write_text(json.dumps([ready.digest, len(ready.samples), len(seen)]))


def test_two_processes_at_once_prepare_it_once_and_both_have_it(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    many(folder, 900)
    spawn = multiprocessing.get_context("spawn")
    start = time.time() + 1.5
    jobs = [
        spawn.Process(
            target=_prepare_in_a_process,
            args=(folder.config(), home.root, start, tmp_path / f"{number}.json"),
        )
        for number in range(2)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(240)
    assert [job.exitcode for job in jobs] == [0, 0]
    results = [json.loads((tmp_path / f"{number}.json").read_text()) for number in range(2)]
    assert results[0][:2] == results[1][:2]
    assert results[0][1] == 900
    assert sorted(seen == 0 for _, _, seen in results) == [False, True]  # one of them only waited


def _killed(config: DatasetConfig, root: Path) -> None:
    def die(done: int, total: int) -> None:
        if done >= 256:
            os.kill(os.getpid(), 9)

    prepare(config, Home(root), die)


def test_a_killed_process_leaves_its_batches_and_no_lock(folder: Folder, home: Home) -> None:
    many(folder, 600)
    job = multiprocessing.get_context("spawn").Process(
        target=_killed, args=(folder.config(), home.root)
    )
    job.start()
    job.join(240)
    assert job.exitcode == -9
    seen: list[int] = []
    assert len(prepare(folder.config(), home, lambda done, _: seen.append(done)).samples) == 600
    assert seen[0] == 256


def test_failed_rows_are_counted_in_the_manifest(folder: Folder, home: Home) -> None:
    folder.write([row(0), row(1, image="gone.png"), row(2)])
    ready = prepare(folder.config(), home)
    manifest = read_manifest(home.datasets / "mine")
    assert manifest is not None
    assert (manifest.samples, manifest.failed, manifest.images) == (3, 1, 2)
    assert ready.source["failed"] == 1
    assert manifest.image_bytes == len(png(0)) + len(png(2))


def test_a_full_disk_is_one_line_and_the_work_done_stays(
    folder: Folder, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixtrack.tasks.datasets.image_store import ImageStore

    def full(self: object, path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ImageStore, "_write", full)
        with pytest.raises(UserError, match=r"No space left on device.*goes on where it stopped"):
            prepare(folder.config(), home)
    assert len(prepare(folder.config(), home).samples) == 8


def test_images_of_several_datasets_share_one_store(folder: Folder, home: Home) -> None:
    prepare(folder.config(), home)
    prepare(folder.config(name="twin"), home)
    assert len(list(home.images.rglob("*.png"))) == 4
    assert not list(home.images.rglob("*.partial"))


def test_an_animation_is_shown_by_its_first_frame_and_that_is_noted(
    folder: Folder, home: Home
) -> None:
    first, second = (Image.new("RGB", (8, 8), shade) for shade in ("red", "blue"))
    first.save(folder.images / "0.png", "GIF", save_all=True, append_images=[second])
    folder.write([{"question": f"{n}?", "answer": "x", "image": f"{n}.png"} for n in range(2)])
    ready = prepare(folder.config(), home)
    assert ready.source["notes"]["animations_shown_by_their_first_frame"] == 1
