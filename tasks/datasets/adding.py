"""Adds a user's own dataset: checks every row of its file, then writes its configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
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
from pixtrack.tasks.datasets.converting import Questions, read_questions
from pixtrack.tasks.datasets.new_dataset import NewDataset
from pixtrack.tasks.datasets.row_check import row_problem
from pixtrack.tasks.datasets.rows import RawRow
from pixtrack.tasks.datasets.understanding import counted
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.images import BadImage, ImageFacts, inspect_image

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
METRIC_OF_FORMAT = {"plain": "anls", "vqa": "vqa_accuracy", "chartqapro": "chartqapro"}
"""The metric of a row format where neither the user nor an existing configuration names one."""
SEEN_IN_ROWS = ("plain", "vqa", "chartqapro", "conversation")
"""Row formats that are recognised from the rows. With --replace, any other one is kept."""
SHOWN = 5


@dataclass(frozen=True)
class Added:
    """What `add_dataset` checked and wrote."""

    config: DatasetConfig
    path: Path
    rows: int
    images: int
    problems: tuple[str, ...]
    """One line for each bad row that was allowed: where it stands, and what is wrong with it."""
    understood: tuple[str, ...] = ()
    """How the file was understood, in lines for the user."""


def add_dataset(
    new: NewDataset,
    progress: Callable[[int, int], None] | None = None,
    on_understood: Callable[[Sequence[str]], None] = lambda _lines: None,
) -> Added:
    """Checks every row and image, then writes NAME.yaml into the user's own configurations.

    A file that is not JSON Lines in pixtrack's own layout is converted to NAME.jsonl beside the
    YAML; images that its rows contain are written into the data home.

    Args:
        new: the dataset's name and files, and what the user says of them. With `replace`, an
            existing dataset keeps its metrics, prompt and published scores, and gets these files
            as its source.
        progress: called with the rows checked so far and their number (0: unknown)
        on_understood: called with lines for the user that say how the file was understood, before
            anything is written

    Raises:
        UserError: before anything is written, for a name that is taken, for missing keys, and for
            bad rows unless they are allowed
    """
    old = _existing(new)
    path = writable_configs() / "datasets" / f"{new.name}.yaml"
    with read_questions(new) as asked:
        on_understood(asked.understood.lines())
        config = _config(new, old, asked)
        source = AnnotationSource(config, _source_of(config), home().pages)
        with closing(source):
            checked = _check(source, asked, progress)
        problems, rows = checked.problems, len(asked.places)
        if problems and (not new.allow_bad_rows or len(problems) >= rows):
            more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
            raise UserError(
                f"{new.qa_file.name}: {len(problems)} of {counted(rows)} cannot be asked: "
                f"{'; '.join(problems[:SHOWN])}{more}. Mend them, or add --allow-bad-rows to keep "
                "them as failed samples"
            )
        asked.put(path.with_suffix(".jsonl"), home().root / "added" / new.name)
    config = _config(new, old, asked)
    config = config.model_copy(update={"questions": rows, "images": checked.images})
    write_atomically(path, _to_yaml(config))
    said = (*asked.understood.lines(), *checked.notes)
    return Added(config, path, rows, checked.images, tuple(problems), said)


def _existing(new: NewDataset) -> DatasetConfig | None:
    """The existing dataset whose source is to be replaced; None for a new name.

    Raises UserError for a name that cannot be used.
    """
    name = new.name
    if not NAME.fullmatch(name):
        raise UserError(f"dataset name {name!r}: use letters, digits, '_', '-' and '.', at most 80")
    base, _, size = name.rpartition("-")
    if size.isdecimal() and base in names(DatasetConfig) and load_dataset(base).source.any_size:
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
        return None  # the name is nobody's alias either
    raise UserError(f"dataset name {name!r}: {other} is called so too; choose another")


def _config(new: NewDataset, old: DatasetConfig | None, asked: Questions) -> DatasetConfig:
    source = {
        "kind": "annotations",
        "qa_file": str(asked.qa_file),
        "img_folder": str(asked.folder),
        "sha256": file_sha256(asked.qa_file),
        "columns": asked.columns,
        **({} if new.dpi is None else {"dpi": new.dpi}),
    }
    kept = old.row_format if old and old.row_format not in SEEN_IN_ROWS else ""
    row_format = new.row_format or kept or asked.row_format
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


@dataclass(frozen=True)
class _Checked:
    """What the check of every row and image found."""

    problems: list[str]
    """One line for each bad row: where it stands, and why it cannot be asked."""
    images: int
    notes: tuple[str, ...]


def _check(
    source: AnnotationSource, asked: Questions, progress: Callable[[int, int], None] | None
) -> _Checked:
    problems: list[str] = []
    known: dict[Path, ImageFacts | str] = {}
    rows = 0
    with ThreadPoolExecutor(2) as pool:
        for batch in source.batches(None):
            every = (image for row in batch.rows for image in row.images)
            new = {image for image in every if isinstance(image, Path)} - known.keys()
            known.update(zip(new, pool.map(_look, new), strict=True))
            problems += _problems(batch.rows, known, asked)
            rows += len(batch.rows)
            if progress is not None:
                progress(rows, source.total)
    facts = [found for found in known.values() if not isinstance(found, str)]
    animated = sum(found.frames > 1 for found in facts)
    notes = (f"animations, shown by their first frame ({animated:,} images)",) if animated else ()
    return _Checked(problems, len(facts), notes)


def _problems(
    rows: Sequence[RawRow], known: Mapping[Path, ImageFacts | str], asked: Questions
) -> list[str]:
    found = []
    for row in rows:
        images = [known[image] for image in row.images if isinstance(image, Path)]
        problem = asked.errors.get(row.index) or row_problem(row, images)
        if problem:
            # The source's own place may be a line of the converted copy: the user's is put instead.
            problem = problem.removeprefix(f"{asked.qa_file.name} line {row.index + 1}: ")
            place = asked.places[row.index]
            problem = problem.removeprefix(f"{asked.qa_file.name} {place}: ")
            found.append(f"{place}: {problem}")
    return found


def _look(path: Path) -> ImageFacts | str:
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
