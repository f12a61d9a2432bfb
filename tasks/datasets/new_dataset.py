"""What a user says of a dataset of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NewDataset:
    """What a user says of a dataset; what is empty is found out or takes a default."""

    name: str
    qa_file: Path
    img_folder: Path | None = None
    """Where image names start; None: the folder of `qa_file`."""
    answers_file: Path | None = None
    """A second file with the golds, joined by the question's id, as VQA has them."""
    text_only: bool = False
    """Whether the questions are on no image at all."""
    dpi: int | None = None
    """The resolution that pages of PDF documents get; None: the default."""
    metrics: tuple[str, ...] = ()
    headline: str = ""
    prompt: str = ""
    title: str = ""
    licence: str = ""
    row_format: str = ""
    columns: Mapping[str, str] | None = None
    replace: bool = False
    allow_bad_rows: bool = False
