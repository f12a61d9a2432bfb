"""The files of a hub dataset at one commit: over the network, or from the hub client's cache."""

from __future__ import annotations

import fnmatch
import logging
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig, HubDataset
from pixtrack.tasks.datasets.annotations import file_sha256
from pixtrack.tasks.datasets.hub_documents import HubDocuments
from pixtrack.tasks.datasets.hub_repository import DatasetRepo, cached_files, offline
from pixtrack.tasks.datasets.manifest import folder
from pixtrack.tasks.datasets.pdf_pages import PdfPages
from pixtrack.tasks.datasets.rows import BytesCallback
from pixtrack.tasks.datasets.shards import HubShards, LocalShards, Shards
from pixtrack.tasks.images import BadImage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HubFiles:
    """The files of a dataset at its pinned commit."""

    commit: str
    described: list[dict[str, Any]]
    """Path, size and sha256 of each parquet file, in order."""
    shards: Shards
    """Gives the parquet files, by their number in `described`."""
    documents: HubDocuments[Any] | None
    """The documents, where the dataset's images are the pages of PDFs; else None."""

    def close(self) -> None:
        """Stops fetching."""
        self.shards.close()
        if self.documents is not None:
            self.documents.close()


def open_files(
    config: DatasetConfig, source: HubDataset, home: Home, on_bytes: BytesCallback | None
) -> HubFiles:
    """The files at the commit that the configured revision stands for.

    With HF_HUB_OFFLINE they are those in the hub client's cache. Raises UserError where the
    repository, the revision or a file cannot be found or fetched.
    """
    if offline():
        return _cached(source, home)
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
    work = folder(home, config.name) / ".work"
    documents = None
    if source.documents is not None:
        listed = repo.list([source.documents.files], "source.documents.files")
        documents = HubDocuments(
            {PurePosixPath(file.path).name: file for file in listed},
            lambda some: HubShards(repo, some, work / "documents", on_bytes),
            _renderer(source, home),
            lambda _: BadImage("no such document in the repository"),
        )
    return HubFiles(commit, described, HubShards(repo, files, work / "shards", on_bytes), documents)


def _cached(source: HubDataset, home: Home) -> HubFiles:
    about = source.documents
    patterns = [*source.files, *([about.files] if about else [])]
    commit, cached = cached_files(source.repo, source.revision, patterns)
    paths = {
        name: path
        for name, path in cached.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in source.files)
    }
    described = [
        {"path": name, "size": path.stat().st_size, "sha256": file_sha256(path)}
        for name, path in paths.items()
    ]
    documents = None
    if about is not None:
        found = {n: path for n, path in cached.items() if fnmatch.fnmatchcase(n, about.files)}
        documents = HubDocuments(
            {PurePosixPath(name).name: path for name, path in found.items()},
            LocalShards,
            _renderer(source, home),
            lambda name: UserError(
                f"HF_HUB_OFFLINE is set and the hub's cache of {source.repo} lacks the document"
                f" {name}: unset it"
            ),
        )
    return HubFiles(commit, described, LocalShards(list(paths.values())), documents)


def _renderer(source: HubDataset, home: Home) -> PdfPages:
    assert source.documents is not None
    return PdfPages(home.pages, source.documents.dpi, source.documents.most_pages)
