"""PDF documents as images: rendered once, and what cannot be rendered is said in words."""

from __future__ import annotations

import os
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from pixtrack.tasks.datasets.pdf_pages import PdfPages
from pixtrack.tasks.images import BadImage, inspect_image

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
