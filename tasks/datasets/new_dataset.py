"""The options of `pixtrack datasets add`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NewDataset:
    """What a user says of a new dataset. An empty field is derived from the file or a default."""

    name: str
    qa_file: Path
    img_folder: Path | None = None
    """The folder that image names are relative to; None: the folder of `qa_file`."""
    answers_file: Path | None = None
    """A second file with the golds, joined by the question's id, as VQA has them."""
    text_only: bool = False
    """Whether the questions have no images at all."""
    dpi: int | None = None
    """Resolution at which pages of PDF documents are rendered; None: the default."""
    metrics: tuple[str, ...] = ()
    headline: str = ""
    prompt: str = ""
    title: str = ""
    licence: str = ""
    row_format: str = ""
    columns: Mapping[str, str] | None = None
    replace: bool = False
    allow_bad_rows: bool = False
