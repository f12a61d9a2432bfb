"""The annotation file of a hub dataset: fetched once, checked against its pinned sha256, and kept.

It is kept as annotations/SHA256.jsonl in the folder of datasets. A copy that a user already has is
taken in by `keep` (`pixtrack datasets prepare NAME --annotations FILE`) and checked in the same
way.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import httpx

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig, HubDataset
from pixtrack.tasks.datasets.annotations import COLUMNS, file_sha256, read_records
from pixtrack.tasks.datasets.fields import to_row
from pixtrack.tasks.datasets.hub_repository import ATTEMPTS, PASSING, DatasetRepo, offline
from pixtrack.tasks.datasets.rows import RawRow
from pixtrack.tasks.retrying import TryAgain, retry_after_seconds, retrying

MAX_BYTES = 100_000_000


class Unavailable(UserError):
    """The annotation file cannot be fetched now; a file with other content is a plain UserError."""


def annotation_file(config: DatasetConfig, source: HubDataset, home: Home) -> Path:
    """The pinned annotation file on this disk, fetched if needed.

    Raises Unavailable where it cannot be fetched, UserError where it has other content.
    """
    kept = _place(home, source)
    if kept.is_file() and file_sha256(kept) == source.annotations_sha256:
        return kept
    remedy = (
        f"get it from {source.annotations_url or source.annotations_repo} and run: pixtrack"
        f" datasets prepare {config.name} --annotations FILE"
    )
    what = f"dataset {config.name}: its annotation file {source.annotations_file}"
    if offline():
        raise Unavailable(f"{what} is not here and HF_HUB_OFFLINE is set: {remedy}")
    reasons = []
    for fetch in (_from_hub, _from_url):
        try:
            found = fetch(source, kept.parent)
        except UserError as error:
            reasons.append(str(error))
            continue
        if found is None:
            continue
        sha256 = file_sha256(found)
        if sha256 == source.annotations_sha256:
            found.replace(kept)
            return kept
        found.unlink()
        raise UserError(
            f"{what} has sha256 {sha256} where it was fetched, and"
            f" source.annotations_sha256 pins {source.annotations_sha256}: {remedy}"
        )
    raise Unavailable(f"{what} cannot be had ({'; '.join(reasons)}): {remedy}")


def keep(config: DatasetConfig, source: HubDataset, home: Home, file: Path) -> Path:
    """Copies a local annotation file into the data home. Raises UserError unless it is the pinned
    one.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file: correct --annotations")
    if not source.annotations_sha256:
        raise UserError(
            f"dataset {config.name} names no annotation file (source.annotations_sha256)"
        )
    sha256 = file_sha256(file)
    if sha256 != source.annotations_sha256:
        raise UserError(
            f"{file}: sha256 is {sha256}, but dataset {config.name} pins"
            f" {source.annotations_sha256} (source.annotations_sha256): this is another file"
        )
    place = _place(home, source)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    shutil.copyfile(file, partial)
    partial.replace(place)
    return place


def annotation_rows(config: DatasetConfig, file: Path) -> list[RawRow]:
    """The rows of an annotation file in the public layout, without images."""
    return [
        to_row(
            config.row_format,
            record.index,
            record.values,
            image_names=(str(record.values.get("image") or ""),),
            error=record.error,
        )
        for record in read_records(file, COLUMNS)
    ]


def _place(home: Home, source: HubDataset) -> Path:
    return home.datasets / "annotations" / f"{source.annotations_sha256}.jsonl"


def _from_hub(source: HubDataset, folder: Path) -> Path | None:
    from pixtrack.tasks.transfer.download import download_files

    if not source.annotations_repo:
        return None
    repo = DatasetRepo(source.annotations_repo)
    repo.resolve(source.annotations_revision)
    files = repo.list((source.annotations_file,), "source.annotations_file")
    if len(files) > 1:
        right = [file for file in files if file.sha256 == source.annotations_sha256]
        names = ", ".join(file.path for file in files[:4])
        if not right:
            raise UserError(f"{repo.page}: {len(files)} files fit, none is the pinned one: {names}")
        files = right
    with_repo = folder / f".fetch.{os.getpid()}"
    with_repo.mkdir(parents=True, exist_ok=True)
    try:
        download_files(repo, with_repo, files[:1])
        partial = folder / f".annotations.{os.getpid()}.partial"
        (with_repo / files[0].path).replace(partial)
        return partial
    finally:
        shutil.rmtree(with_repo, ignore_errors=True)


def _from_url(source: HubDataset, folder: Path) -> Path | None:
    if not source.annotations_url:
        return None
    try:
        return retrying(ATTEMPTS)(_download, source.annotations_url, folder)
    except (TryAgain, httpx.HTTPError) as error:
        reason = str(error) if isinstance(error, TryAgain) else type(error).__name__
        raise UserError(f"{source.annotations_url}: {reason}") from None


def _download(url: str, folder: Path) -> Path:
    with httpx.stream("GET", url, follow_redirects=True, timeout=10) as response:
        status = response.status_code
        if status == 200:
            return _save(response, folder)
        if status not in PASSING:
            raise UserError(f"{url}: HTTP {status}")
        raise TryAgain(f"HTTP {status}", retry_after_seconds(response.headers.get("retry-after")))


def _save(response: httpx.Response, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".annotations.{os.getpid()}.partial"
    size = 0
    with partial.open("wb") as file:
        for piece in response.iter_bytes():
            size += len(piece)
            if size > MAX_BYTES:
                raise UserError(f"{response.url}: more than {MAX_BYTES:,} bytes")
            file.write(piece)
    return partial
