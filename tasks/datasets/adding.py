"""A user's own dataset: every row checked, then one YAML written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, names
from pixtrack.configs.paths import home, writable_configs
from pixtrack.configs.schema import AnnotationDataset, DatasetConfig
from pixtrack.tasks.datasets.annotations import (
    COLUMNS,
    AnnotationSource,
    columns_of,
    file_sha256,
)
from pixtrack.tasks.datasets.checks import row_problem
from pixtrack.tasks.datasets.rows import RawRow
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.images import BadImage, inspect_image

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
METRIC_OF_FORMAT = {"plain": "anls", "vqa": "vqa_accuracy", "chartqapro": "chartqapro"}
"""The metric of a dataset of which nothing is said, by the form of its golds."""
SHOWN = 5


@dataclass(frozen=True)
class NewDataset:
    """What a user says of a dataset; what is empty is found out or takes a default."""

    name: str
    qa_file: Path
    img_folder: Path
    metrics: tuple[str, ...] = ()
    headline: str = ""
    prompt: str = ""
    title: str = ""
    licence: str = ""
    row_format: str = ""
    columns: Mapping[str, str] | None = None
    replace: bool = False
    allow_bad_rows: bool = False


@dataclass(frozen=True)
class Added:
    """What was checked and written."""

    config: DatasetConfig
    path: Path
    rows: int
    images: int
    problems: tuple[str, ...]
    """Of the bad rows that were allowed, one line each."""


def add_dataset(new: NewDataset, progress: Callable[[int, int], None] | None = None) -> Added:
    """Checks every row and image, then writes configs/datasets/NAME.yaml.

    With `replace`, an existing dataset (one of the seven, say) keeps its metrics, prompt and
    published scores, and gets these files as its source. Raises UserError, before anything is
    written, for names that are taken, keys that are missing, and bad rows unless they are allowed.
    """
    if not NAME.fullmatch(new.name):
        raise UserError(
            f"dataset name {new.name!r}: use letters, digits, '_', '-' and '.', at most 80"
        )
    exists = new.name in names(DatasetConfig)
    if exists and not new.replace:
        raise UserError(
            f"dataset {new.name} exists already: choose another name, or --replace its source"
            " (metrics, prompt and published scores stay)"
        )
    config = _config(new, load_dataset(new.name) if exists else None)
    source = AnnotationSource(config, _source_of(config), home().pages)
    problems, rows, images = _check(source, progress)
    if problems and (not new.allow_bad_rows or len(problems) == rows):
        more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise UserError(
            f"{len(problems)} of {rows} rows cannot be asked: {'; '.join(problems[:SHOWN])}{more}."
            " Mend them, or add --allow-bad-rows to keep them as failed samples"
        )
    config = config.model_copy(update={"questions": rows, "images": images})
    path = writable_configs() / "datasets" / f"{new.name}.yaml"
    write_atomically(path, _to_yaml(config))
    return Added(config, path, rows, images, tuple(problems))


def _config(new: NewDataset, old: DatasetConfig | None) -> DatasetConfig:
    qa_file, folder = new.qa_file.expanduser().absolute(), new.img_folder.expanduser().absolute()
    if not qa_file.is_file():
        raise UserError(f"{qa_file}: no such file (--qa-file)")
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder (--img-folder)")
    columns = columns_of(dict(new.columns or {}), new.name)
    first = _first_record(qa_file)
    for field in ("question", "answers", "image"):
        if columns[field] not in first:
            raise UserError(
                f"{qa_file}: its first row has no key {columns[field]!r}; it has"
                f" {', '.join(sorted(first)) or 'none'}: say which with --column {field}=KEY"
            )
    source = {
        "kind": "annotations",
        "qa_file": str(qa_file),
        "img_folder": str(folder),
        "sha256": file_sha256(qa_file),
        "columns": {field: key for field, key in columns.items() if COLUMNS[field] != key},
    }
    row_format = new.row_format or (old.row_format if old else _format_of(first, columns))
    metrics = new.metrics or (old.metrics if old else (METRIC_OF_FORMAT[row_format],))
    headline = new.headline or (old.headline if old and not new.metrics else metrics[0])
    values: dict[str, Any] = old.model_dump(exclude={"source"}) if old else {"name": new.name}
    values.update(source=source, row_format=row_format, metrics=metrics, headline=headline)
    values["title"] = new.title or values.get("title") or new.name
    values["licence"] = new.licence or values.get("licence") or "not stated"
    values["prompt"] = new.prompt or values.get("prompt") or "lmms_eval"
    try:
        return DatasetConfig.model_validate(values)
    except ValidationError as error:
        first_error = error.errors()[0]
        key = ".".join(str(part) for part in first_error["loc"])
        raise UserError(f"dataset {new.name}: {key}: {first_error['msg']}") from None


def _first_record(path: Path) -> dict[str, Any]:
    """The first row by the file's own keys."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip()
            if not text:
                continue
            try:
                data = json.loads(text)
            except ValueError:
                data = None
            if not isinstance(data, dict):
                raise UserError(
                    f"{path} line {number}: not a JSON object: one a line is needed (JSON Lines,"
                    " not one JSON array)"
                )
            return data
    raise UserError(f"{path}: no rows (--qa-file)")


def _format_of(record: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    if isinstance(record[columns["question"]], list):
        return "chartqapro"
    golds = record[columns["answers"]]
    return "vqa" if isinstance(golds, list) and golds and isinstance(golds[0], dict) else "plain"


def _source_of(config: DatasetConfig) -> AnnotationDataset:
    assert config.source.kind == "annotations"
    return config.source


def _check(
    source: AnnotationSource, progress: Callable[[int, int], None] | None
) -> tuple[list[str], int, int]:
    """The problems, the number of rows and the number of images."""
    problems: list[str] = []
    known: dict[Path, object] = {}
    rows = 0
    with ThreadPoolExecutor(2) as pool:
        for batch in source.batches(None):
            every = (image for row in batch.rows for image in row.images)
            new = {image for image in every if isinstance(image, Path)} - known.keys()
            known.update(zip(new, pool.map(_look, new), strict=True))
            problems += _problems(batch.rows, known)
            rows += len(batch.rows)
            if progress is not None:
                progress(rows, source.total)
    return problems, rows, sum(not isinstance(found, str) for found in known.values())


def _problems(rows: Sequence[RawRow], known: Mapping[Path, object]) -> list[str]:
    found = []
    for row in rows:
        images = [known[image] for image in row.images if isinstance(image, Path)]
        problem = row_problem(row, images)
        if problem:
            found.append(f"row {row.index}: {problem}")
    return found


def _look(path: Path) -> object:
    try:
        return inspect_image(path.read_bytes())
    except BadImage as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _to_yaml(config: DatasetConfig) -> str:
    values = config.model_dump(mode="json", exclude_defaults=True, exclude={"name", "source"})
    source = config.source.model_dump(mode="json", exclude_defaults=True)
    ordered = {
        "title": values.pop("title"),
        "source": {"kind": config.source.kind, **source},
        **values,
    }
    text: str = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=100)
    return "# Written by `pixtrack datasets add`, which checked every row.\n" + text
