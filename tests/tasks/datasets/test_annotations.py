"""The original layout, and every way in which a row or an image of it can be bad."""

from __future__ import annotations

import os
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.annotations import file_sha256
from pixtrack.tasks.records import Sample
from tests.doubles.hub_datasets import png
from tests.shared import ANNOTATIONS, needs_annotations
from tests.tasks.datasets.conftest import Folder, encoded, row


def prepared(folder: Folder, home: Home, *rows: Any, **config: Any) -> tuple[Sample, ...]:
    """The samples of a dataset of these rows, between two good ones."""
    folder.write([row(0), *rows, row(1)])
    samples = prepare(folder.config(**config), home).samples
    assert not samples[0].error
    assert not samples[-1].error
    return samples


def test_rows_become_samples_with_stored_images(folder: Folder, home: Home) -> None:
    ready = prepare(folder.config(), home)
    assert [sample.index for sample in ready.samples] == list(range(8))
    first = ready.samples[0]
    assert (first.question_id, first.question, first.answers) == ("100", "What is 0?", ("0",))
    assert (first.width, first.height) == (40, 30)
    assert (home.images / first.image_path).read_bytes() == png(0)
    assert first.image_path == f"{first.image[:2]}/{first.image}.png"
    assert len({sample.image for sample in ready.samples}) == 4
    assert ready.source["sha256"] == file_sha256(folder.qa_file)


def test_columns_may_have_any_name(folder: Folder, home: Home) -> None:
    folder.write([{"Q": "Who?", "A": "me", "file": "0.png", "kind": ["a", "b"]}])
    columns = {"question": "Q", "answers": "A", "image": "file", "question_type": "kind"}
    sample = prepare(folder.config(columns=columns), home).samples[0]
    assert (sample.question, sample.answers, sample.question_type) == ("Who?", ("me",), "a, b")


def test_numbers_and_single_strings_are_golds(folder: Folder, home: Home) -> None:
    samples = prepared(folder, home, row(answer=5), row(answer="five"), row(answer=[0.5, "half"]))
    assert [sample.answers for sample in samples[1:4]] == [("5",), ("five",), ("0.5", "half")]


def test_blank_lines_and_a_byte_order_mark_are_passed_over(folder: Folder, home: Home) -> None:
    text = folder.qa_file.read_bytes()
    folder.qa_file.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n\r\n"))
    samples = prepare(folder.config(), home).samples
    assert [sample.index for sample in samples] == list(range(8))
    assert not any(sample.error for sample in samples)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(image="gone.png"), "qa.jsonl line 2: image 'gone.png': no such file in the image"),
        (row(image="../secret.png"), "leaves the image folder"),
        (row(image="/etc/hostname"), "not a path inside the image folder"),
        (row(image="a/../../secret.png"), "leaves the image folder"),
        (row(image="..\\secret.png"), "not a path inside the image folder"),
        (row(image="\0.png"), "not a path inside the image folder"),
        (row(image="x" * 5000), "cannot be read"),
        (row(image="out.png"), "leaves the image folder"),
        (row(image="loop.png"), "cannot be read"),
        (row(image="pipe.png"), "not a regular file"),
        (row(image="sub"), "not a regular file"),
        (row(image=""), "no file name"),
        (row(image=7), "no file name"),
        (row(image="empty.png"), "empty file"),
        (row(image="text.png"), "not an image"),
        (row(image="cut.png"), "cannot be decoded"),
        (row(image="bomb.png"), "decompression bomb"),
        (row(question=None), "no key 'question'; it has answer, image, question_id"),
        (row(image=None), "no key 'image'"),
        (row(question="  "), "the question is empty"),
        (row(question=["a"]), "the question is \"['a']\": expected text"),
        (row(question={"a": 1}), "expected text"),
        (row(answer=[None]), "the gold answer is missing"),
        (row(answer=float("nan")), "the gold answer is nan, not a value"),
        (row(answer=[float("inf")]), "the gold answer is inf"),
        (row(answer=True), "expected text or a number"),
        (row(question="\ud800"), "not valid Unicode"),
        (b'{"image": "0.png", "question": "caf\xe9?", "answer": "x"}', "not valid UTF-8 at byte"),
        (b'{"image": "0.png", "question":', "qa.jsonl line 2: not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'["a", "b"]', "expected a JSON object, found list"),
        (b"null", "expected a JSON object, found NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_row_is_a_failed_sample_and_stops_nothing(
    folder: Folder, home: Home, bad: Any, reason: str
) -> None:
    secret = folder.root / "secret.png"
    secret.write_bytes(png(99))
    images = folder.images
    (images / "out.png").symlink_to(secret)
    (images / "loop.png").symlink_to(images / "loop.png")
    (images / "sub").mkdir()
    os.mkfifo(images / "pipe.png")
    (images / "empty.png").write_bytes(b"")
    (images / "text.png").write_bytes(b"not an image at all")
    (images / "cut.png").write_bytes(encoded(Image.effect_noise((300, 200), 50))[:-2000])
    header = struct.pack(">4sIIBBBBB", b"IHDR", 50_000, 50_000, 1, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header))
    (images / "bomb.png").write_bytes(bomb + b"\0\0\0\0IEND\xaeB`\x82")
    samples = prepared(folder, home, bad)
    assert len(samples) == 3
    assert reason in samples[1].error
    assert samples[1].error.startswith("row 1: ")
    stored = {path.read_bytes() for path in home.images.rglob("*.png")}
    assert png(99) not in stored


def test_a_link_that_stays_inside_the_folder_is_followed(folder: Folder, home: Home) -> None:
    (folder.images / "link.png").symlink_to("0.png")
    samples = prepared(folder, home, row(image="link.png"))
    assert samples[1].image == samples[0].image


def test_an_image_folder_may_itself_be_a_link(folder: Folder, home: Home) -> None:
    real = folder.root / "elsewhere"
    folder.images.rename(real)
    folder.images.symlink_to(real)
    assert not any(sample.error for sample in prepare(folder.config(), home).samples)


@pytest.mark.parametrize("mode", ["CMYK", "P", "I;16", "LA", "RGBA", "1", "GIF", "EXIF"])
def test_unusual_images_are_kept_as_they_came(folder: Folder, home: Home, mode: str) -> None:
    image = Image.new("RGB", (60, 20), "red")
    if mode == "CMYK":
        data = encoded(image.convert("CMYK"), "JPEG")
    elif mode == "GIF":
        data = encoded(image, "GIF", save_all=True, append_images=[Image.new("RGB", (60, 20))])
    elif mode == "EXIF":
        exif = Image.Exif()
        exif[0x0112] = 6
        data = encoded(image, "JPEG", exif=exif)
    elif mode == "I;16":
        data = encoded(Image.new("I;16", (60, 20), 40_000))
    else:
        data = encoded(image.convert(mode))
    (folder.images / "odd").write_bytes(data)  # the extension says nothing, the content does
    sample = prepared(folder, home, row(image="odd"))[1]
    assert not sample.error
    assert (home.images / sample.image_path).read_bytes() == data
    assert (sample.width, sample.height) == ((20, 60) if mode == "EXIF" else (60, 20))


def test_duplicate_ids_are_kept_and_counted(folder: Folder, home: Home) -> None:
    folder.write([row(0), row(1, question_id=100), row(2, question_id=100), row(3)])
    ready = prepare(folder.config(), home)
    assert len(ready.samples) == 4
    assert ready.source["notes"] == {"duplicate_question_ids": 2}


def test_a_question_without_its_own_id_has_none(folder: Folder, home: Home) -> None:
    folder.write([row(0, question_id=None)])
    assert prepare(folder.config(), home).samples[0].question_id == ""


def test_a_dataset_of_which_nothing_can_be_asked_is_refused_with_the_first_reason(
    folder: Folder, home: Home
) -> None:
    folder.write([row(0, image="a.png"), row(1, image="b.png")])
    with pytest.raises(UserError, match=r"none of its 2 rows can be asked; row 0: qa.jsonl line 1"):
        prepare(folder.config(), home)
    folder.write([])
    with pytest.raises(UserError, match="its source has no rows"):
        prepare(folder.config(), home)


def test_what_is_not_there_is_named_with_its_key(folder: Folder, home: Home) -> None:
    with pytest.raises(UserError, match=r"pinned|pins"):
        prepare(folder.config(sha256="1" * 64), home)
    with pytest.raises(UserError, match=r"source.columns.answer: no such field; known: question"):
        prepare(folder.config(columns={"answer": "A"}), home)
    folder.qa_file.unlink()
    with pytest.raises(UserError, match=r"qa.jsonl: no such file: .*source.qa_file"):
        prepare(folder.config(), home)
    folder.write([row()])
    folder.images.rename(folder.root / "other")
    with pytest.raises(UserError, match=r"images: no such folder: .*source.img_folder"):
        prepare(folder.config(), home)


def test_chartqapro_rows_with_unequal_turns_are_failed(folder: Folder, home: Home) -> None:
    good = row(0, question=["a?"], answer=["b"], year=["NO"])
    bad = row(1, question=["a?", "b?"], answer=["c"], year=["NO", "NO"])
    folder.write([good, bad, {**good, "question": [], "answer": []}])
    samples = prepare(folder.config(row_format="chartqapro"), home).samples
    assert [sample.error for sample in samples] == [
        "",
        "row 1: 2 questions but 1 gold answers",
        "row 2: the question is empty",
    ]


@needs_annotations
@pytest.mark.parametrize(
    "name",
    [
        "chartqa_test_augmented",
        "chartqa_test_human",
        "chartqapro_test",
        "docvqa_val",
        "infographicvqa_val",
        "textvqa_val",
        "vqav2_restval",
    ],
)
def test_the_real_annotation_files_are_the_pinned_ones_and_every_row_is_good(name: str) -> None:
    from pixtrack.configs.loading import load_dataset
    from pixtrack.tasks.datasets.pinned import annotation_rows

    config = load_dataset(name)
    file = ANNOTATIONS / f"{name}.jsonl"
    assert file_sha256(file) == config.source.annotations_sha256  # type: ignore[union-attr]
    rows = annotation_rows(config, file)
    assert len(rows) == config.questions
    assert [r for r in rows if r.error or not r.answers or not r.question.strip()] == []
    if config.row_format == "vqa":
        assert {len(r.answers) for r in rows} == {10}
    if name == "chartqapro_test":
        talks = [r for r in rows if r.question_type == "Conversational"]
        assert len(talks) == 311
        assert all(r.history and r.flags for r in talks)
        assert sum(r.answers == ("nan",) for r in rows) == 1
    else:
        assert len({r.image_names[0] for r in rows}) == config.images
