"""A user's own dataset: every row checked, then one YAML written."""

from __future__ import annotations

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
from pixtrack.configs.schema import AnnotationDataset, DatasetConfig, DatasetGroup
from pixtrack.tasks.datasets.annotations import (
    AnnotationSource,
    file_sha256,
)
from pixtrack.tasks.datasets.checks import row_problem
from pixtrack.tasks.datasets.converting import InPlace, Questions, read_questions
from pixtrack.tasks.datasets.new_dataset import NewDataset
from pixtrack.tasks.datasets.rows import RawRow
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.images import BadImage, inspect_image

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
METRIC_OF_FORMAT = {"plain": "anls", "vqa": "vqa_accuracy", "chartqapro": "chartqapro"}
"""The metric of a dataset of which nothing is said, by the form of its golds."""
SHOWN = 5


@dataclass(frozen=True)
class Added:
    """What was checked and written."""

    config: DatasetConfig
    path: Path
    rows: int
    images: int
    problems: tuple[str, ...]
    """Of the bad rows that were allowed, one line each."""
    understood: tuple[str, ...] = ()
    """What was found in the file, in words."""


def add_dataset(
    new: NewDataset,
    progress: Callable[[int, int], None] | None = None,
    on_understood: Callable[[Sequence[str]], None] = lambda _lines: None,
) -> Added:
    """Checks every row and image, then writes NAME.yaml into the user's own configurations.

    `on_understood` is told in words what was found in the file, before anything is written. A file
    that is not JSON Lines in our layout is converted: NAME.jsonl lies beside the YAML, images that
    were inside of the file in the data home. With `replace`, an existing dataset (one of the seven,
    say) keeps its metrics, prompt and published scores, and gets these files as its source. Raises
    UserError, before anything is written, for names that are taken, keys that are missing, and bad
    rows unless they are allowed.
    """
    old = _existing(new)
    asked = read_questions(new)
    on_understood(asked.understood.lines())
    path = writable_configs() / "datasets" / f"{new.name}.yaml"
    with asked.in_place(path, keep=False) as files:
        config = _config(new, old, asked, files)
        source = AnnotationSource(config, _source_of(config), home().pages)
        problems, rows, images = _check(source, progress)
        problems = _all_problems(asked.problems, problems)
        if problems and (not new.allow_bad_rows or len(problems) >= rows):
            more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
            raise UserError(
                f"{len(problems)} of {rows} rows cannot be asked: {'; '.join(problems[:SHOWN])}"
                f"{more}. Mend them, or add --allow-bad-rows to keep them as failed samples"
            )
        files.keep()
    config = _config(new, old, asked, files)
    config = config.model_copy(update={"questions": rows, "images": images})
    write_atomically(path, _to_yaml(config))
    return Added(config, path, rows, images, tuple(problems), tuple(asked.understood.lines()))


def _all_problems(of_the_file: Sequence[str], of_the_rows: Sequence[str]) -> list[str]:
    """Each bad row once: both looks may have met it."""
    said = " ".join(of_the_rows)
    return [*(line for line in of_the_file if line.split(": ")[0] not in said), *of_the_rows]


def _existing(new: NewDataset) -> DatasetConfig | None:
    """The dataset that is to get new files. Raises UserError for a name that cannot be taken."""
    name = new.name
    if not NAME.fullmatch(name):
        raise UserError(f"dataset name {name!r}: use letters, digits, '_', '-' and '.', at most 80")
    base, _, size = name.rpartition("-")
    if (
        size.isdecimal()
        and base in names(DatasetConfig)
        and load_dataset(base).source.kind == "sample"
    ):
        raise UserError(
            f"dataset name {name!r}: that is {base} with {size} images; choose another name"
        )
    if name in names(DatasetGroup):
        raise UserError(f"dataset name {name!r}: a group of datasets is called so; choose another")
    if name in names(DatasetConfig):
        if not new.replace:
            raise UserError(
                f"dataset {name} exists already: choose another name, or --replace its source"
                " (metrics, prompt and published scores stay)"
            )
        return load_dataset(name)
    try:
        other = load_dataset(name).name
    except UserError:
        return None  # no alias either
    raise UserError(f"dataset name {name!r}: {other} is called so too; choose another")


def _config(
    new: NewDataset, old: DatasetConfig | None, asked: Questions, files: InPlace
) -> DatasetConfig:
    source = {
        "kind": "annotations",
        "qa_file": str(files.qa_file),
        "img_folder": str(files.folder),
        "sha256": file_sha256(files.qa_file),
        "columns": files.columns,
    }
    row_format = new.row_format or (old.row_format if old else asked.row_format)
    default = "multiple_choice" if asked.has_options else METRIC_OF_FORMAT.get(row_format, "anls")
    metrics = new.metrics or (old.metrics if old else (default,))
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
