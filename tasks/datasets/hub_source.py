"""The source `hub`: parquet files pinned to a commit, read row group by row group.

Whatever a file's size, memory holds one column page of a row group and one batch of images: text
columns are read first, and images only for the rows that are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig, HubDataset
from pixtrack.tasks.datasets.alignment import align
from pixtrack.tasks.datasets.fields import FIELDS, required_fields, to_row
from pixtrack.tasks.datasets.hub_documents import HubDocuments
from pixtrack.tasks.datasets.hub_files import open_files
from pixtrack.tasks.datasets.parquet_rows import batch_rows, images_of, records_of
from pixtrack.tasks.datasets.pinned import Unavailable, annotation_file, annotation_rows
from pixtrack.tasks.datasets.rows import Batch, BytesCallback, RawImage, RawRow
from pixtrack.tasks.images import BadImage
from pixtrack.tasks.records import Sample

log = logging.getLogger(__name__)


class _Kept(NamedTuple):
    """A row of a parquet file that belongs to the dataset."""

    record: Mapping[str, Any]
    error: str
    where: str
    """File and row number, for messages."""


class HubSource:
    """Parquet files of a hub repository, with the annotation file that orders their rows."""

    def __init__(
        self,
        config: DatasetConfig,
        source: HubDataset,
        home: Home,
        on_bytes: BytesCallback | None = None,
    ) -> None:
        self._config, self._source = config, source
        _check_columns(config, source)
        self.total = config.questions
        self.identity: dict[str, Any] = {
            "kind": "hub",
            "repo": source.repo,
            "requested_revision": source.revision,
        }
        self._rows = self._annotation_rows(config, source, home)
        self._files = open_files(config, source, home, on_bytes)
        self.identity.update(revision=self._files.commit, files=self._files.described)

    def _annotation_rows(
        self, config: DatasetConfig, source: HubDataset, home: Home
    ) -> list[RawRow] | None:
        if not source.annotations_sha256:
            if source.select_by_annotations:
                raise UserError(
                    f"dataset {config.name}: source.select_by_annotations needs"
                    " source.annotations_sha256"
                )
            return None
        about = {"file": source.annotations_file, "sha256": source.annotations_sha256}
        try:
            rows = annotation_rows(config, annotation_file(config, source, home))
        except Unavailable as error:
            if source.select_by_annotations:
                raise
            log.warning("%s. Its rows keep the hub's order, unchecked", error)
            self.identity["annotations"] = {**about, "used": False}
            return None
        self.identity["annotations"] = {**about, "used": True}
        return rows

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        """The kept rows in the hub's order; their index is their position among the kept."""
        at = cursor or {"file": 0, "row": 0, "next": 0}
        next_index = at["next"]
        for number in range(at["file"], len(self.identity["files"])):
            skip = at["row"] if number == at["file"] else 0
            name = self.identity["files"][number]["path"]
            try:
                with pq.ParquetFile(
                    self._files.shards.open(number), buffer_size=1 << 20, pre_buffer=False
                ) as file:
                    for rows, row in self._read(file, name, skip, next_index):
                        next_index += len(rows)
                        yield Batch(rows, {"file": number, "row": row, "next": next_index})
            except pa.ArrowException as error:
                raise UserError(
                    f"{self._source.repo}: {name}: not readable parquet ({_line(error)})"
                ) from None
            yield Batch((), {"file": number + 1, "row": 0, "next": next_index})
            self._files.shards.done(number)

    def finish(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], dict[str, int]]:
        """The samples in the order of the annotation file, where there is one."""
        if self._rows is None:
            return samples, {}
        result = align(samples, self._rows, self._source.select_by_annotations)
        self.identity["annotations"]["aligned"] = result.aligned
        if not result.aligned:
            log.warning(
                "dataset %s: the hub's rows and the annotation file %s differ: %s rows are only on"
                " the hub, %s only in the file%s",
                self._config.name,
                self._source.annotations_file,
                result.notes["rows_only_on_hub"],
                result.notes["rows_only_in_annotations"],
                ""
                if self._source.select_by_annotations
                else "; indexes are the hub's positions, not rows of the file",
            )
        return result.samples, result.notes

    def close(self) -> None:
        """Stops fetching."""
        self._files.close()

    def _read(
        self, file: pq.ParquetFile, name: str, skip: int, next_index: int
    ) -> Iterator[tuple[tuple[RawRow, ...], int]]:
        """The kept rows of a file in batches, each with the number of file rows read so far.

        Args:
            file: the file
            name: its name, for messages
            skip: how many of its rows were done before
            next_index: the index of the next kept row
        """
        self._check_known(file.schema_arrow.names, name)
        source = self._source
        documents = self._files.documents
        shown = [] if documents is not None else self._image_columns()
        columns = {*source.columns.values(), *source.option_columns, *source.where}
        wanted = self._wanted()
        begin = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            first, begin = begin, begin + count
            if begin <= skip:
                continue
            records = records_of(file.read_row_group(group, columns=sorted(columns - {*shown})))
            kept = {
                row: _Kept(record, error, f"{name} row {first + row}")
                for row, (record, error) in enumerate(records)
                if first + row >= skip and self._keeps(record, error, wanted)
            }
            if not kept:
                continue
            batches = (
                self._with_images(file, group, kept, next_index)
                if documents is None
                else self._with_pages(documents, kept, next_index)
            )
            for rows, row in batches:
                next_index += len(rows)
                yield rows, first + row
            pa.default_memory_pool().release_unused()

    def _with_images(
        self, file: pq.ParquetFile, group: int, kept: Mapping[int, _Kept], next_index: int
    ) -> Iterator[tuple[tuple[RawRow, ...], int]]:
        """The kept rows of a row group with the images in their cells, as `_read` returns them."""
        shown = self._image_columns()
        row = 0
        for images in file.iter_batches(
            batch_size=batch_rows(file, group, shown),
            row_groups=[group],
            columns=shown,
            use_threads=False,
        ):
            columns, rows = [images.column(one) for one in shown], []
            for i in range(images.num_rows):
                if row in kept:
                    rows.append(self._row(next_index, kept[row], [cell[i] for cell in columns]))
                    next_index += 1
                row += 1
            if rows:
                yield tuple(rows), row
                del rows, columns, images

    def _with_pages(
        self, documents: HubDocuments[Any], kept: Mapping[int, _Kept], next_index: int
    ) -> Iterator[tuple[tuple[RawRow, ...], int]]:
        """The kept rows of a row group with the pages of the documents they name, as `_read`."""
        column = self._source.columns["image"]
        documents.expect([one.record.get(column) for one in kept.values()])
        for number, (row, one) in enumerate(kept.items()):
            document, error = one.record.get(column), one.error
            pages: list[Path] = []
            try:
                pages = documents.pages_of(document) if not error else []
            except BadImage as problem:
                error = f"{one.where}: document {str(document)[:200]!r}: {problem}"
            names = [f"{document} page {page + 1}" for page in range(len(pages))]
            yield (
                (self._to_row(next_index + number, one.record, pages, names, error),),
                row + 1,
            )

    def _image_columns(self) -> list[str]:
        first = self._source.columns.get("image", "")
        return [*filter(None, [first]), *self._source.image_columns]

    def _check_known(self, known: Sequence[str], name: str) -> None:
        """Raises UserError for a configured column that the file lacks."""
        source = self._source
        named = [
            *source.columns.items(),
            *(("image_columns", column) for column in source.image_columns),
            *(("option_columns", column) for column in source.option_columns),
            *((f"where {column}", column) for column in source.where),
        ]
        for key, column in named:
            if column not in known:
                place = _place_of(key, source.columns)
                raise UserError(
                    f"{source.repo} at {self.identity['revision'][:12]}: {name}: no column"
                    f" {column!r} ({place} of dataset {self._config.name}); it has"
                    f" {', '.join(known)}"
                )

    def _wanted(self) -> set[str] | None:
        if not self._source.select_by_annotations:
            return None
        return {row.question_id for row in self._rows or ()}

    def _keeps(self, record: Mapping[str, Any], error: str, wanted: set[str] | None) -> bool:
        if error:
            return wanted is None and not self._source.where
        if any(str(record[key]) != str(value) for key, value in self._source.where.items()):
            return False
        return wanted is None or str(record[self._source.columns["question_id"]]) in wanted

    def _row(self, index: int, one: _Kept, cells: Sequence[pa.Scalar]) -> RawRow:
        images, names, problem = images_of(cells, one.where)
        error = one.error or problem
        if not images and not self._source.optional_images:
            error = error or f"{one.where}: there is no image"
        return self._to_row(index, one.record, images, names, error)

    def _to_row(
        self,
        index: int,
        record: Mapping[str, Any],
        images: Sequence[RawImage],
        names: Sequence[str],
        error: str,
    ) -> RawRow:
        values = {
            field: record.get(column)
            for field, column in self._source.columns.items()
            if field != "image"
        }
        if self._source.option_columns:
            values["options"] = [record.get(column) for column in self._source.option_columns]
        return to_row(self._config.row_format, index, values, images, names, error)


def _place_of(key: str, columns: Mapping[str, str]) -> str:
    if key in columns:
        return f"source.columns.{key}"
    return "source.where" if key.startswith("where ") else f"source.{key}"


def _check_columns(config: DatasetConfig, source: HubDataset) -> None:
    where = f"dataset {config.name}: source.columns"
    for field in source.columns:
        if field not in FIELDS:
            raise UserError(f"{where}.{field}: no such field; known: {', '.join(FIELDS)}")
    needed = required_fields(config.row_format)
    if source.select_by_annotations:
        needed = (*needed, "question_id")
    for field in needed:
        if field not in source.columns:
            raise UserError(f"{where}: {field} is missing")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
