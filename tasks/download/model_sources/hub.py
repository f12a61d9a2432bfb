"""Files on the Hugging Face hub (or a mirror) or on ModelScope: downloaded once and verified."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import HubModel, ModelConfig
from pixtrack.tasks.download import known_files
from pixtrack.tasks.download.completeness import problems, require_complete
from pixtrack.tasks.download.hub_settings import COMMIT, offline
from pixtrack.tasks.download.known_files import FileState, Manifest, utc_now
from pixtrack.tasks.download.locking import model_lock
from pixtrack.tasks.download.model_sources.base import (
    Availability,
    Fetching,
    SourceName,
    writing,
)
from pixtrack.tasks.download.model_sources.on_disk import FilesOnDisk
from pixtrack.tasks.download.needed_files import needed
from pixtrack.tasks.transfer import Progress, RemoteFile, hash_file

if TYPE_CHECKING:
    from pixtrack.tasks.download.repositories import HuggingFace, ModelScope

logger = logging.getLogger(__name__)


class HubFiles(FilesOnDisk):
    """A download into the data home; it stays verified while its sizes and times are unchanged."""

    needs_network = True

    def __init__(self, config: ModelConfig, source: HubModel) -> None:
        super().__init__(config)
        self._hub = source
        self.address = f"https://huggingface.co/{source.repo} at {source.revision}"
        self.repair = f"`pixtrack download {config.name}` fetches what is missing or damaged"

    def directory(self, home: Home) -> Path:
        """The model's folder in the data home."""
        return home.models / self._config.name

    def here(self, home: Home) -> Path | None:
        """The folder, where the configured revision has been downloaded and verified."""
        directory = self.directory(home)
        if problems(directory, self._config.format):
            return None
        known = known_files.read(directory)
        revision = self._hub.revision
        if known is None or revision not in (known.revision, known.requested_revision):
            return None
        return directory if known.unchanged(directory) else None

    def fetch(self, home: Home, how: Fetching) -> Path:
        """The folder, downloaded first where needed; one process at a time downloads a model."""
        directory = self.directory(home)
        chosen = _chosen(how.source)
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            with model_lock(home, self._config.name):
                self._download(directory, chosen, how)
        return directory

    def availability(self, home: Home) -> Availability:
        """Complete, or how much is still to be downloaded."""
        directory, title = self.directory(home), self._config.title
        if not problems(directory, self._config.format):
            return Availability("ok", f"{title}: files complete in {directory}")
        need = self._config.size_gb * 1e9
        if directory.is_dir():
            need -= sum(p.stat().st_size for p in directory.rglob("*") if p.is_file())
        partly = directory.is_dir() and any(directory.iterdir())
        state = "partly downloaded" if partly else "not here"
        return Availability(
            "warning",
            f"{title}: {state}, {max(0, need) / 1e9:.1f} GB to download",
            f"pixtrack download {self._config.name} (a run does it by itself)",
            max(1, need),
        )

    def _download(self, directory: Path, chosen: SourceName | None, how: Fetching) -> None:
        known = known_files.read(directory)
        name = chosen or _came_from(known)
        if known is not None and not how.refresh and self._is_here(known, name, directory):
            if name == "huggingface" and not COMMIT.fullmatch(self._hub.revision):
                self._warn_unpinned(known.revision)
            return
        if offline():
            self._accept_unverified(directory)
            return
        repository = self._repository(name)
        listing = repository.list()
        if name == "huggingface" and not COMMIT.fullmatch(self._hub.revision):
            self._warn_unpinned(listing.revision)
        wanted = needed(listing.files, self._config.format)
        if not wanted:
            raise UserError(
                f"{repository.repo} has no files of format {self._config.format!r}: correct format "
                f"or source.repo in the file of model {self._config.name}"
            )
        if known is not None:  # files of an older revision that the new one lacks
            for path in set(known.files) - {f.path for f in wanted}:
                (directory / path).unlink(missing_ok=True)
        digests = self._transfer(repository, directory, wanted, known, how.progress)
        known_files.write(
            directory,
            Manifest(
                source=name,
                repo=repository.repo,
                requested_revision=self._hub.revision,
                revision=listing.revision,
                verified=utc_now(),
                files={p: FileState.of(directory / p, digests[p]) for p in sorted(digests)},
            ),
        )
        remedy = f"The repository {repository.repo} itself lacks them: report it there"
        require_complete(directory, self._config.format, remedy)

    def _is_here(self, known: Manifest, name: SourceName, directory: Path) -> bool:
        """Whether the directory holds the configured revision from that source, unchanged."""
        hub = self._hub
        return (
            known.source == name
            and known.repo == (hub.repo if name == "huggingface" else hub.modelscope)
            and hub.revision in (known.requested_revision, known.revision)
            and known.unchanged(directory)
        )

    def _accept_unverified(self, directory: Path) -> None:
        """Accepts complete files with a warning, for use where the source cannot be reached."""
        name = self._config.name
        found = problems(directory, self._config.format)
        if found:
            raise UserError(
                f"HF_HUB_OFFLINE is set and {name} is not whole in {directory}: "
                f"{'; '.join(found[:3])}. Unset it, or give a downloaded copy with --model-dir"
            )
        logger.warning(
            "HF_HUB_OFFLINE is set: the files of %s are complete but not verified against the hub",
            name,
        )

    def _repository(self, name: SourceName) -> HuggingFace | ModelScope:
        # Imported here: the environment check asks for the folder on machines without httpx.
        from pixtrack.tasks.download.repositories import HuggingFace, ModelScope

        hub = self._hub
        if name == "huggingface":
            return HuggingFace(hub.repo, hub.revision)
        if not hub.modelscope:
            raise UserError(
                f"model {self._config.name} names no ModelScope repository (source.modelscope): "
                "download it from the hub, or add it to the model's file"
            )
        return ModelScope(hub.modelscope)

    def _transfer(
        self,
        repository: HuggingFace | ModelScope,
        directory: Path,
        wanted: list[RemoteFile],
        known: Manifest | None,
        progress: Progress | None,
    ) -> dict[str, str]:
        """Downloads the files that are not here yet.

        Args:
            repository: where they come from
            directory: where they go
            wanted: the files that the model needs
            known: the directory's manifest, if it has one
            progress: called with the bytes present so far and the bytes in all

        Returns:
            the sha256 of every wanted file, by path
        """
        from pixtrack.tasks.transfer.download import download_files, require_space

        digests = _already_here(directory, wanted, known, progress)
        missing = [f for f in wanted if f.path not in digests]
        require_space(directory, missing)
        offset = sum(f.size for f in wanted if f.path in digests)
        total = sum(f.size for f in wanted)
        shown = _shifted(progress, offset, total)
        return digests | download_files(repository, directory, missing, shown)

    def _warn_unpinned(self, commit: str) -> None:
        logger.warning(
            "%s: revision %r is not pinned, it stands for %s now; put the commit into the model's "
            "file",
            self._config.name,
            self._hub.revision,
            commit or "an unknown commit",
        )


def _came_from(known: Manifest | None) -> SourceName:
    """The source that the present files came from; the hub where there are none."""
    return "modelscope" if known is not None and known.source == "modelscope" else "huggingface"


def _chosen(source: SourceName | None) -> SourceName | None:
    """The source given as an argument or in PIXTRACK_MODEL_SOURCE; None without either."""
    name = source or os.environ.get("PIXTRACK_MODEL_SOURCE") or None
    if name not in (None, "huggingface", "modelscope"):
        raise UserError(
            f"unknown model source {name!r} (PIXTRACK_MODEL_SOURCE or --from): "
            "use huggingface or modelscope"
        )
    return name  # type: ignore[return-value]


def _shifted(
    progress: Progress | None, offset: int, total: int
) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, _total: progress(offset + done, total)


def _already_here(
    directory: Path,
    wanted: list[RemoteFile],
    known: Manifest | None,
    progress: Progress | None,
) -> dict[str, str]:
    """The sha256, by path, of the wanted files that are here with the listed content.

    Files that are unchanged by the manifest are not read; others of the right size are hashed.
    """
    digests: dict[str, str] = {}
    done, total = 0, sum(f.size for f in wanted)
    for file in wanted:
        path = directory / file.path
        if not path.is_file() or path.stat().st_size != file.size:
            continue
        state = known.files.get(file.path) if known is not None else None
        if state is not None and state.unchanged(path) and file.sha256 == state.sha256:
            digests[file.path] = state.sha256
        else:
            sha256, git_sha1 = hash_file(path)
            right = sha256 == file.sha256 if file.sha256 else git_sha1 == file.git_sha1
            if (file.sha256 or file.git_sha1) and right:
                digests[file.path] = sha256
            else:
                path.unlink()
        if file.path in digests:
            done += file.size
            if progress is not None:
                progress(done, total)
    return digests
