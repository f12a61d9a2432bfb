"""How the rows of a file name their images, and documents."""

from __future__ import annotations

import base64
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets.adding import add_dataset
from pixtrack.tasks.datasets.new_dataset import NewDataset
from tests.tasks.datasets.adding_files import (
    FILES,
    ROWS,
    added,
    write_json,
    write_lines,
)
from tests.tasks.datasets.conftest import Folder

pytestmark = pytest.mark.usefixtures("configs")


def test_documents_are_read_page_by_page(folder: Folder, home: Home, tmp_path: Path) -> None:
    document = pypdfium2.PdfDocument.new()
    for _ in range(3):
        document.new_page(100, 50)
    document.save(folder.images / "report.pdf")
    rows = [
        {"doc_id": "report.pdf", "question": "How many pages?", "answer": "3",
         "answer_format": "Int"},
        {"doc_id": "report.pdf", "question": "Which year?", "answer": "Not answerable"},
    ]  # fmt: skip
    samples, said = added(folder, write_json(tmp_path / "q.json", rows), home)
    assert [len(s.images) for s in samples] == [3, 3]
    assert samples[0].images == samples[1].images and samples[0].answer_type == "Int"
    assert samples[0].cluster_key == samples[1].cluster_key == "report.pdf"
    assert "image from 'doc_id'" in said


@pytest.mark.parametrize(("written", "asked"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_is_found_however_its_letters_are_composed(
    folder: Folder, home: Home, tmp_path: Path, written: Any, asked: Any
) -> None:
    shutil.copy(folder.images / "0.png", folder.images / unicodedata.normalize(written, "é.png"))
    rows = [{"question": "q?", "answer": "a", "image": unicodedata.normalize(asked, "é.png")}]
    samples, _ = added(folder, write_lines(tmp_path / "q.jsonl", rows), home)
    assert samples[0].error == ""


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", [*FILES, "names and bytes"])
def test_a_users_own_files_are_never_moved_or_changed(
    folder: Folder, home: Home, tmp_path: Path, kind: str
) -> None:
    """The image folder is called `images`, as the folder of converted ones is."""
    own = tmp_path / "own"
    own.mkdir()
    if kind == "names and bytes":
        data = base64.b64encode((folder.images / "1.png").read_bytes()).decode()
        file = write_lines(own / "q.jsonl", [ROWS[0], {**ROWS[1], "image": data}])
    else:
        file = FILES[kind](own, folder)
    before = (snapshot(folder.images), snapshot(own))
    samples, _ = added(folder, file, home)
    assert (snapshot(folder.images), snapshot(own)) == before
    assert [len(s.images) for s in samples] == [1, 1] and not any(s.error for s in samples)
    assert len({s.image for s in samples}) == 2


@pytest.mark.parametrize(
    ("named", "there", "said"),
    [
        ("documents/x.png", "x.png", "folders that the image folder lacks"),
        ("a\\x.png", "a/x.png", "folders that the image folder lacks"),
        ("x", "x.jpg", "without their ending"),
        (262148, "COCO_val2014_000000262148.jpg", "by number"),
        ("262148", "val/000000262148.png", "by number"),
    ],
)
def test_images_are_found_by_the_names_that_people_give_them(
    folder: Folder, home: Home, tmp_path: Path, named: Any, there: str, said: str
) -> None:
    place = folder.images / there
    place.parent.mkdir(exist_ok=True)
    shutil.copy(folder.images / "0.png", place)
    file = write_lines(tmp_path / "q.jsonl", [{"question": "q?", "answer": "a", "image": named}])
    samples, told = added(folder, file, home)
    assert len(samples[0].images) == 1 and said in told


def test_an_absolute_path_into_the_folder_is_taken_and_another_is_not(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.png"
    shutil.copy(folder.images / "0.png", outside)
    rows = [{**ROWS[0], "image": str(folder.images / "0.png")}, {**ROWS[1], "image": str(outside)}]
    samples, _ = added(folder, write_lines(tmp_path / "q.jsonl", rows), home, allow_bad_rows=True)
    assert len(samples[0].images) == 1
    assert "not a path inside the image folder" in samples[1].error


@pytest.mark.parametrize(
    ("first", "second", "there"),
    [("a/x.png", "b/x.png", ["x.png"]), ("x", "x", ["p/x.png", "q/x.jpg"])],
)
def test_a_name_that_may_mean_another_image_is_not_guessed(
    folder: Folder, tmp_path: Path, first: str, second: str, there: list[str]
) -> None:
    for name in there:
        (folder.images / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder.images / "0.png", folder.images / name)
    rows = [{**ROWS[0], "image": first}, {**ROWS[1], "image": second}]
    with pytest.raises(UserError, match=r"line 2: image '.*': (may be|would be)"):
        add_dataset(NewDataset("mine", write_lines(tmp_path / "q.jsonl", rows), folder.images))
