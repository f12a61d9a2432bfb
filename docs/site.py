"""MkDocs calls this: adds the pages that are made from the code to the site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def on_files(files: Any, config: Any) -> Any:
    """Every generated page as a file of the site; none of them is committed."""
    from mkdocs.structure.files import File

    from docs.pages import PAGES

    root = Path(__file__).resolve().parents[1]
    for picture in sorted((root / "bench" / "measured").glob("*.png")):
        place = f"images/{picture.name}"
        files.append(File.generated(config, place, abs_src_path=str(picture)))
    for place, write in PAGES.items():
        files.append(File.generated(config, place, content=write()))
    return files
