"""From a model's configuration to a directory with its files, whole and verified."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home, config_dir
from pixtrack.configs.schema import EndpointModel, GeneratedModel, HubModel, LocalModel, ModelConfig
from pixtrack.tasks.download import known_files as manifest
from pixtrack.tasks.download.completeness import problems, require_complete
from pixtrack.tasks.download.endpoints import COMMIT, offline
from pixtrack.tasks.download.files import needed
from pixtrack.tasks.download.known_files import FileState, Manifest, utc_now
from pixtrack.tasks.transfer import Progress, RemoteFile, hash_file

logger = logging.getLogger(__name__)

SourceName = Literal["huggingface", "modelscope"]


def model_directory(config: ModelConfig, home: Home, model_dir: Path | None = None) -> Path:
    """Where the model's files are, or will be; `model_dir` (--model-dir) goes before all else."""
    if model_dir is not None:
        return model_dir.expanduser().resolve()
    if isinstance(config.source, LocalModel):
        return (config_dir() / Path(config.source.path).expanduser()).resolve()
    return home.models / config.name


def local_files(config: ModelConfig, home: Home, model_dir: Path | None = None) -> Path | None:
    """The model's directory where its files are here and whole already; else None.

    Asks no network and reads headers only. A download is here once it has been verified; an
    endpoint never is.
    """
    if isinstance(config.source, EndpointModel):
        return None
    directory = model_directory(config, home, model_dir)
    if problems(directory, config.format):
        return None
    if isinstance(config.source, HubModel) and model_dir is None:
        known = manifest.read(directory)
        revision = config.source.revision
        if known is None or revision not in (known.revision, known.requested_revision):
            return None
        return directory if known.unchanged(directory) else None
    if isinstance(config.source, GeneratedModel) and model_dir is None:
        return directory if _generated(config.source, directory) else None
    return directory


def fetch_model(
    config: ModelConfig,
    home: Home,
    model_dir: Path | None = None,
    progress: Progress | None = None,
    *,
    source: SourceName | None = None,
    refresh: bool = False,
) -> Path:
    """The directory with the model's files: downloaded if need be, complete and verified.

    `model_dir` is a copy that somebody else made: checked for completeness, never changed.
    `progress` is called with bytes here and bytes in all. `source` is "huggingface" or
    "modelscope"; None: as PIXTRACK_MODEL_SOURCE says, else the hub. `refresh` asks again what an
    unpinned revision stands for. A directory verified before is taken as it is while the files'
    sizes and times are unchanged. Two processes that want the same model take turns.

    Raises UserError where files are missing, truncated, of the wrong format, or cannot be had.
    """
    if isinstance(config.source, EndpointModel):
        raise UserError(
            f"{config.name} runs behind an endpoint: there are no files to download; "
            "its server has them"
        )
    directory = model_directory(config, home, model_dir)
    if model_dir is not None or isinstance(config.source, LocalModel):
        where = "--model-dir" if model_dir is not None else f"source.path of model {config.name}"
        require_complete(
            directory, config.format, f"Complete the copy, or correct {where} (and its format)"
        )
        return directory
    chosen = _chosen(source)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _lock(home.models / f".{config.name}.lock", config.name):
            if isinstance(config.source, GeneratedModel):
                _generate(config.source, directory)
            else:
                _download(config, config.source, directory, progress, chosen, refresh)
    except OSError as error:  # a full or read-only disk, a file in place of the folder
        raise UserError(
            f"{error.filename or directory}: cannot be written ({error.strerror}): free space, or "
            "set PIXTRACK_HOME to another folder"
        ) from error
    return directory


def _chosen(source: SourceName | None) -> SourceName | None:
    """The source that somebody asked for; None where nobody did."""
    name = source or os.environ.get("PIXTRACK_MODEL_SOURCE") or None
    if name not in (None, "huggingface", "modelscope"):
        raise UserError(
            f"unknown model source {name!r} (PIXTRACK_MODEL_SOURCE or --from): "
            "use huggingface or modelscope"
        )
    return name  # type: ignore[return-value]


@contextmanager
def _lock(path: Path, model: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.warning("another process is fetching %s: waiting for it (%s)", model, path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _generate(source: GeneratedModel, directory: Path) -> None:
    from pixtrack.tasks.download.generated import write_random_pixtral

    if not _generated(source, directory) or problems(directory, "mistral"):
        write_random_pixtral(directory, source.seed)


def _generated(source: GeneratedModel, directory: Path) -> bool:
    """Whether the directory holds what this version writes for that seed."""
    from pixtrack.tasks.download.generated import GENERATOR_VERSION, MARKER

    try:
        made = json.loads((directory / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(made.get("generator_version") == GENERATOR_VERSION) and made["seed"] == source.seed


def _download(
    config: ModelConfig,
    hub: HubModel,
    directory: Path,
    progress: Progress | None,
    chosen: SourceName | None,
    refresh: bool,
) -> None:
    known = manifest.read(directory)
    # Files that came from ModelScope once do not make the next run ask the hub.
    before = "modelscope" if known is not None and known.source == "modelscope" else "huggingface"
    name = chosen or before
    same_request = known is not None and (
        known.source == name
        and known.repo == (hub.repo if name == "huggingface" else hub.modelscope)
        and (known.requested_revision == hub.revision or known.revision == hub.revision)
    )
    if known is not None and same_request and not refresh and known.unchanged(directory):
        if name == "huggingface" and not COMMIT.fullmatch(hub.revision):
            _warn_unpinned(config, hub.revision, known.revision)
        return
    if offline():
        found = problems(directory, config.format)
        if found:
            raise UserError(
                f"HF_HUB_OFFLINE is set and {config.name} is not whole in {directory}: "
                f"{'; '.join(found[:3])}. Unset it, or give a downloaded copy with --model-dir"
            )
        logger.warning(
            "HF_HUB_OFFLINE is set: the files of %s are complete but not verified against the hub",
            config.name,
        )
        return
    # Here, not above: the environment check asks where models lie on machines without httpx.
    from pixtrack.tasks.download.repositories import HuggingFace, ModelScope
    from pixtrack.tasks.transfer.download import download_files, require_space

    if name == "modelscope":
        if not hub.modelscope:
            raise UserError(
                f"model {config.name} names no ModelScope repository (source.modelscope): "
                "download it from the hub, or add it to the model's file"
            )
        source: HuggingFace | ModelScope = ModelScope(hub.modelscope)
    else:
        source = HuggingFace(hub.repo, hub.revision)
    listing = source.list()
    if name == "huggingface" and not COMMIT.fullmatch(hub.revision):
        _warn_unpinned(config, hub.revision, listing.revision)
    wanted = needed(listing.files, config.format)
    if not wanted:
        raise UserError(
            f"{source.repo} has no files of format {config.format!r}: correct format or source.repo "
            f"in the file of model {config.name}"
        )
    if known is not None:  # files of an older revision that the new one lacks
        for path in set(known.files) - {f.path for f in wanted}:
            (directory / path).unlink(missing_ok=True)
    digests = _already_here(directory, wanted, known, progress)
    missing = [f for f in wanted if f.path not in digests]
    require_space(directory, missing)
    offset = sum(f.size for f in wanted if f.path in digests)
    total = sum(f.size for f in wanted)
    digests |= download_files(source, directory, missing, _shifted(progress, offset, total))
    manifest.write(
        directory,
        Manifest(
            source=name,
            repo=source.repo,
            requested_revision=hub.revision,
            revision=listing.revision,
            verified=utc_now(),
            files={path: FileState.of(directory / path, digests[path]) for path in sorted(digests)},
        ),
    )
    require_complete(
        directory, config.format, f"The repository {source.repo} itself lacks them: report it there"
    )


def _warn_unpinned(config: ModelConfig, asked: str, commit: str) -> None:
    logger.warning(
        "%s: revision %r is not pinned, it stands for %s now; put the commit into the model's file",
        config.name,
        asked,
        commit or "an unknown commit",
    )


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
    """Path to sha256 of the wanted files that are here with the listed content.

    Files that the manifest vouches for are not read; others of the right size are hashed.
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
