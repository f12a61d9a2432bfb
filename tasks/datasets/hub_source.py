"""Parquet files on the hub: pinned to a commit, read row group by row group.

Memory stays at one row group's column page and one batch of images, whatever a file's size: text
columns are read first, and images only of the rows that are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig, HubDataset
from pixtrack.tasks.datasets.alignment import align
from pixtrack.tasks.datasets.annotations import file_sha256
from pixtrack.tasks.datasets.fields import FIELDS, required_fields, to_row
from pixtrack.tasks.datasets.hub import DatasetRepo, cached_files, offline
from pixtrack.tasks.datasets.manifest import folder
from pixtrack.tasks.datasets.pinned import Unavailable, annotation_file, annotation_rows
from pixtrack.tasks.datasets.rows import Batch, BytesCallback, RawRow
from pixtrack.tasks.datasets.shards import HubShards, LocalShards, Shards
from pixtrack.tasks.records import Sample

log = logging.getLogger(__name__)

BATCH_BYTES = 8 * 2**20
"""Images handed on at once. The peak is the page that they come from, twice (compressed and not):
a row group of 100 MB of images, as DocVQA has them, prepares in 430 MB in all."""
BATCH_ROWS = 64


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
        if offline():
            commit, cached = cached_files(source.repo, source.revision, source.files)
            described = [
                {"path": name, "size": path.stat().st_size, "sha256": file_sha256(path)}
                for name, path in cached.items()
            ]
            self._shards: Shards = LocalShards(list(cached.values()))
        else:
            repo = DatasetRepo(source.repo)
            commit = repo.resolve(source.revision)
            if commit != source.revision:
                log.warning(
                    "dataset %s: revision %r stands for %s now: put that into source.revision",
                    config.name,
                    source.revision,
                    commit,
                )
            files = repo.list(source.files)
            described = [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in files]
            shards = folder(home, config.name) / ".work" / "shards"
            self._shards = HubShards(repo, files, shards, on_bytes)
        self.identity.update(revision=commit, files=described)

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
                    self._shards.open(number), buffer_size=1 << 20, pre_buffer=False
                ) as file:
                    for rows, row in self._read(file, name, skip, next_index):
                        next_index += len(rows)
                        yield Batch(rows, {"file": number, "row": row, "next": next_index})
            except pa.ArrowException as error:
                raise UserError(
                    f"{self._source.repo}: {name}: not readable parquet ({_line(error)})"
                ) from None
            yield Batch((), {"file": number + 1, "row": 0, "next": next_index})
            self._shards.done(number)

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
        self._shards.close()

    def _read(
        self, file: pq.ParquetFile, name: str, skip: int, next_index: int
    ) -> Iterator[tuple[tuple[RawRow, ...], int]]:
        """Rows behind the first `skip` of the file, with the number of rows read so far."""
        columns = self._source.columns
        known = file.schema_arrow.names
        source = self._source
        named = [
            *columns.items(),
            *(("image_columns", column) for column in source.image_columns),
            *(("option_columns", column) for column in source.option_columns),
        ]
        for key, column in [*named, *((f"where {c}", c) for c in self._source.where)]:
            if column not in known:
                place = _place_of(key, columns)
                raise UserError(
                    f"{self._source.repo} at {self.identity['revision'][:12]}: {name}: no column"
                    f" {column!r} ({place} of dataset {self._config.name}); it has"
                    f" {', '.join(known)}"
                )
        shown = [*filter(None, [columns.get("image", "")]), *self._source.image_columns]
        text = sorted({*columns.values(), *source.option_columns, *source.where} - {*shown})
        wanted = self._wanted()
        begin = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            first, begin = begin, begin + count
            if begin <= skip:
                continue
            records = _records(file.read_row_group(group, columns=text))
            kept = [
                first + i >= skip and self._keeps(record, error, wanted)
                for i, (record, error) in enumerate(records)
            ]
            if not any(kept):
                continue
            row = 0
            for images in file.iter_batches(
                batch_size=_batch_rows(file, group, shown),
                row_groups=[group],
                columns=shown,
                use_threads=False,
            ):
                columns_here, rows = [images.column(one) for one in shown], []
                for i in range(images.num_rows):
                    if kept[row]:
                        record, error = records[row]
                        where = f"{name} row {first + row}"
                        rows.append(
                            self._row(
                                next_index, record, error, [c[i] for c in columns_here], where
                            )
                        )
                        next_index += 1
                    row += 1
                if rows:
                    yield tuple(rows), first + row
                    del rows, columns_here, images
            pa.default_memory_pool().release_unused()

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

    def _row(
        self,
        index: int,
        record: Mapping[str, Any],
        error: str,
        cells: Sequence[pa.Scalar],
        where: str,
    ) -> RawRow:
        values = {
            field: record.get(column)
            for field, column in self._source.columns.items()
            if field != "image"
        }
        if self._source.option_columns:
            values["options"] = [record.get(column) for column in self._source.option_columns]
        images, names = [], []
        for cell in cells:
            for data in _listed(cell.as_py()):
                name = where
                if isinstance(data, Mapping):  # the datasets library's Image feature
                    name = f"{data.get('path') or 'image'} ({where})"
                    data = data.get("bytes")
                if isinstance(data, bytes):
                    images.append(data)
                    names.append(name)
                elif data is not None:
                    found = type(data).__name__
                    error = error or f"{where}: the image is {found}, not bytes"
        if not images and not self._source.optional_images:
            error = error or f"{where}: there is no image"
        return to_row(self._config.row_format, index, values, images, names, error)


def _place_of(key: str, columns: Mapping[str, str]) -> str:
    if key in columns:
        return f"source.columns.{key}"
    return "source.where" if key.startswith("where ") else f"source.{key}"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _records(table: pa.Table) -> list[tuple[dict[str, Any], str]]:
    """Each row with its error; strings that are not UTF-8 spoil their own row only."""
    try:
        return [(record, "") for record in table.to_pylist()]
    except UnicodeDecodeError:
        found: list[tuple[dict[str, Any], str]] = []
        for number in range(table.num_rows):
            try:
                found.append((table.slice(number, 1).to_pylist()[0], ""))
            except UnicodeDecodeError as error:
                found.append(({}, f"not valid UTF-8 ({error.reason})"))
        return found


def _batch_rows(file: pq.ParquetFile, group: int, shown: Sequence[str]) -> int:
    """How many rows of that group fit into a batch, by the mean size of their images."""
    meta = file.metadata.row_group(group)
    size = sum(
        meta.column(i).total_uncompressed_size
        for i in range(meta.num_columns)
        if meta.column(i).path_in_schema.partition(".")[0] in shown
    )
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(1, size / max(1, meta.num_rows)))))


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
