"""PDF documents as images: rendered once, and what cannot be rendered is said in words."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets import pdf_renderers, prepare
from pixtrack.tasks.datasets.pdf_pages import PdfPages
from pixtrack.tasks.images import BadImage, inspect_image
from tests.tasks.datasets.conftest import Folder

# A one-page document whose password is "secret" (RC4, 40 bits), written by hand here would be long:
# pypdfium2 cannot encrypt, so the trailer alone asks for a password that nothing answers to.
ENCRYPTED = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
    b"3 0 obj<</Filter/Standard/V 1/R 2/Length 40/P -4"
    b"/O<" + b"00" * 32 + b">/U<" + b"11" * 32 + b">>>endobj\n"
    b"trailer<</Root 1 0 R/Encrypt 3 0 R/ID[<00><00>]>>\n%%EOF\n"
)


def pdf(path: Path, pages: int, size: tuple[float, float] = (144, 72)) -> Path:
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(*size)
    document.save(path)
    return path


def test_pages_are_rendered_once_in_order_at_the_resolution(tmp_path: Path) -> None:
    document = pdf(tmp_path / "a.pdf", 12)
    pages = PdfPages(tmp_path / "pages", 72, 100).of(document)
    assert [page.name for page in pages] == [f"{n:04d}.png" for n in range(1, 13)]
    facts = inspect_image(pages[0].read_bytes())
    assert (facts.width, facts.height) == (144, 72)
    times = [page.stat().st_mtime_ns for page in pages]
    copy = tmp_path / "the same.pdf"
    copy.write_bytes(document.read_bytes())
    again = PdfPages(tmp_path / "pages", 72, 100).of(copy)
    assert again == pages and [page.stat().st_mtime_ns for page in again] == times
    larger = PdfPages(tmp_path / "pages", 144, 100).of(document)
    assert inspect_image(larger[0].read_bytes()).width == 288


def test_a_rendering_that_was_interrupted_begins_again(tmp_path: Path) -> None:
    document = pdf(tmp_path / "a.pdf", 3)
    pages = PdfPages(tmp_path / "pages", 72, 100).of(document)
    (pages[0].parent / "whole").unlink()
    pages[1].unlink()
    assert len(PdfPages(tmp_path / "pages", 72, 100).of(document)) == 3


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("empty.pdf", b"", "empty file"),
        ("damaged.pdf", b"%PDF-1.7\n" + os.urandom(2_000), "not a PDF that can be opened"),
        ("text.pdf", b"hello", "not a PDF that can be opened"),
        ("locked.pdf", ENCRYPTED, "an encrypted PDF: save it without a password"),
    ],
)
def test_what_cannot_be_rendered_says_why(
    tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    documents = PdfPages(tmp_path / "pages", 72, 100)
    for _ in range(2):
        with pytest.raises(BadImage, match=said) as refused:
            documents.of(path)
        assert "\n" not in str(refused.value)


def test_a_document_without_pages_or_with_too_many_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match=r"without pages|cannot be opened"):
        PdfPages(tmp_path / "pages", 72, 100).of(pdf(tmp_path / "none.pdf", 0))
    with pytest.raises(BadImage, match=r"1,200 pages, more than 1,000: .* source.most_pages"):
        PdfPages(tmp_path / "pages", 72, 1000).of(pdf(tmp_path / "many.pdf", 1200))
    with pytest.raises(BadImage, match=r"page 1 is .* too large at 600 dpi"):
        PdfPages(tmp_path / "pages", 600, 10).of(pdf(tmp_path / "big.pdf", 1, (9000, 9000)))


def test_a_cut_document_gives_its_pages_or_a_reason(tmp_path: Path) -> None:
    whole = pdf(tmp_path / "a.pdf", 4).read_bytes()
    for end in (40, len(whole) // 2, len(whole) - 30):
        path = tmp_path / f"{end}.pdf"
        path.write_bytes(whole[:end])
        try:
            pages = PdfPages(tmp_path / "pages", 36, 100).of(path)
        except BadImage as error:
            assert "\n" not in str(error)
        else:
            assert all(Image.open(page).size == (72, 36) for page in pages)


def nested(path: Path, depth: int = 12, fan: int = 10) -> Path:
    """A page that draws a form that draws ten forms, … : a bomb of a kilobyte."""

    def stream(entries: str, data: str) -> str:
        return f"<<{entries}/Length {len(data)}>>\nstream\n{data}\nendstream"

    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R"
        "/Resources<</XObject<</F 5 0 R>>>>>>",
        stream("", "/F Do"),
    ]
    form = "/Type/XObject/Subtype/Form/BBox[0 0 99 99]"
    for number in range(6, 5 + depth):
        inner = f"{form}/Resources<</XObject<</F {number} 0 R>>>>"
        objects.append(stream(inner, "/F Do " * fan))
    objects.append(stream(form, "0 0 9 9 re f"))
    body, offsets = "%PDF-1.7\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    tail = f"trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{len(body)}\n%%EOF\n"
    path.write_text(f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}{tail}")
    return path


def test_a_document_that_never_ends_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = PdfPages(tmp_path / "pages", 72, 100)
    documents.of(pdf(tmp_path / "first.pdf", 3))  # the processes have started
    with monkeypatch.context() as patched:
        patched.setattr(pdf_renderers, "PAGE_SECONDS", 3.0)
        with pytest.raises(BadImage, match=r"page 1: (takes longer than 3 s|the renderer ended)"):
            documents.of(nested(tmp_path / "bomb.pdf"))
    assert len(documents.of(pdf(tmp_path / "good.pdf", 3))) == 3
    documents.close()


CRASHING = """
import json, os, sys
for line in sys.stdin:
    command = json.loads(line)
    if command[0] == "open":
        print(json.dumps({"count": 4}), flush=True)
    elif command[1] == 2:
        os.kill(os.getpid(), 11)
    else:
        open(command[3], "wb").close()
        print(json.dumps({"done": command[1]}), flush=True)
"""
"""A double of the rendering process, in its protocol, which crashes at the third page."""


def test_a_crash_of_the_renderer_is_a_bad_image_and_leaves_no_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = PdfPages(tmp_path / "pages", 72, 100)
    good = pdf(tmp_path / "good.pdf", 2)
    with monkeypatch.context() as patched:
        patched.setattr(pdf_renderers, "WORKER", (sys.executable, "-c", CRASHING))
        with pytest.raises(BadImage, match="page 3: the renderer ended at it"):
            documents.of(pdf(tmp_path / "a.pdf", 4))
    documents.close()
    assert not [path for path in (tmp_path / "pages").iterdir() if path.is_dir()]
    assert len(documents.of(good)) == 2
    documents.close()


def test_a_full_disk_is_not_the_documents_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = CRASHING.replace("os.kill(os.getpid(), 11)",
                            'print(json.dumps({"errno": 28, "error": "No space"}), flush=True)')  # fmt: skip
    documents = PdfPages(tmp_path / "pages", 72, 100)
    document = pdf(tmp_path / "a.pdf", 4)
    with monkeypatch.context() as patched:
        patched.setattr(pdf_renderers, "WORKER", (sys.executable, "-c", full))
        with pytest.raises(OSError, match="No space"):
            documents.of(document)
    documents.close()
    assert len(documents.of(document)) == 4
    documents.close()


def test_the_rendering_processes_end_with_their_user_and_get_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    documents = PdfPages(tmp_path / "pages", 72, 100)
    documents.of(pdf(tmp_path / "a.pdf", 3))
    processes = [renderer._process for renderer in documents._renderers._renderers]
    assert processes and all(process.poll() is None for process in processes)
    if sys.platform == "linux":
        for process in processes:
            assert b"hf_secret" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    documents.close()
    assert all(process.poll() is not None for process in processes)


def test_a_page_lies_on_the_disk_once(folder: Folder, home: Home) -> None:
    pdf(folder.images / "a.pdf", 2)
    folder.write([{"question": "q?", "answer": "a", "image": "a.pdf"}])
    ready = prepare(folder.config(), home)
    pages = sorted(home.pages.rglob("*.png"))
    stored = [home.images / image.path for image in ready.samples[0].images]
    assert [path.read_bytes() for path in pages] == [path.read_bytes() for path in stored]
    # Pages that look alike are one image.
    assert {path.stat().st_ino for path in stored} <= {path.stat().st_ino for path in pages}


def test_a_users_own_image_is_copied_not_linked(folder: Folder, home: Home) -> None:
    ready = prepare(folder.config(), home)
    stored = {(home.images / s.image_path).stat().st_ino for s in ready.samples}
    assert stored.isdisjoint({path.stat().st_ino for path in folder.images.iterdir()})
