"""Writes a comparison for people and programs: one HTML page, Markdown, CSV and JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pixtrack.configs.paths import home
from pixtrack.tasks.comparison import result_rows
from pixtrack.tasks.comparison import result_tables as table
from pixtrack.tasks.comparison.report.gallery import build_gallery
from pixtrack.tasks.comparison.report.page import render
from pixtrack.tasks.comparison.report.thumbnails import PIXELS
from pixtrack.tasks.comparison.result import Comparison
from pixtrack.tasks.files import write_atomically

PAGE_BYTES = 18_000_000
"""The page is kept under 20 MB: what mail and artifact viewers still take."""
_FRAME_BYTES = 400_000
"""Kept for everything but the gallery."""


@dataclass(frozen=True)
class Written:
    """The files of a comparison."""

    directory: Path
    page: Path
    markdown: Path
    json: Path
    csv: tuple[Path, ...]
    page_bytes: int
    questions: int
    with_image: int


def write(
    comparison: Comparison,
    out: Path,
    images: Path | None = None,
    *,
    page_bytes: int = PAGE_BYTES,
    pixels: int = PIXELS,
) -> Written:
    """Writes index.html, comparison.md, comparison.json and *.csv into `out`, replacing old ones.

    `images`: the image store (default: the data home's). `page_bytes`: about how large the page
    may grow; `pixels`: the longer side of its reduced images.
    """
    out.mkdir(parents=True, exist_ok=True)
    gallery = build_gallery(comparison, images or home().images, page_bytes - _FRAME_BYTES, pixels)
    page = render(comparison, gallery)
    files = {
        "index.html": page,
        "comparison.md": table.markdown(comparison),
        "comparison.json": json.dumps(comparison.to_json(), indent=2, ensure_ascii=False),
        "leaderboard.csv": result_rows.to_csv(result_rows.leaderboard_rows(comparison)),
        "differences.csv": result_rows.to_csv(result_rows.difference_rows(comparison)),
        "breakdowns.csv": result_rows.to_csv(result_rows.breakdown_rows(comparison)),
    }
    for name, text in files.items():
        write_atomically(out / name, text)
    return Written(
        directory=out,
        page=out / "index.html",
        markdown=out / "comparison.md",
        json=out / "comparison.json",
        csv=tuple(out / name for name in files if name.endswith(".csv")),
        page_bytes=len(page.encode()),
        questions=gallery.questions,
        with_image=gallery.with_image,
    )


__all__ = ["Written", "write"]
