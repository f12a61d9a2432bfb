"""The files of a repository that describe a model: fetched without the weights, and kept."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.download.hub_settings import COMMIT, offline
from pixtrack.tasks.download.model_sources.base import writing
from pixtrack.tasks.files import write_atomically

logger = logging.getLogger(__name__)

SMALL_FILES = ("config.json", "params.json", "preprocessor_config.json", "processor_config.json")
_LISTING = "listing.json"


@dataclass(frozen=True)
class DescribingFiles:
    """A repository at one commit, as far as it describes its model."""

    commit: str
    directory: Path
    """Where those of SMALL_FILES lie that the repository has."""
    sizes: dict[str, int]
    """The files of its root folder, with their bytes."""
    licence: str
    """As its card says it; "" where it does not."""


def describing_files(repo: str, revision: str, home: Home) -> DescribingFiles:
    """What describes the model of that repository, at the commit that the revision stands for.

    A commit that was asked for before, and the last known one where the hub is away or forbidden
    (HF_HUB_OFFLINE), are read from the data home. Raises UserError where the hub does not have the
    repository or the revision, and where it is away and nothing is known.
    """
    kept = home.models / ".described" / repo.replace("/", "--")
    if COMMIT.fullmatch(revision) and (kept / revision / _LISTING).is_file():
        return _read(kept / revision)
    if offline():
        return _last(kept, revision) or _unknown(repo)
    try:
        return _fetch(repo, revision, kept)
    except UserError as error:
        known = _last(kept, revision) if "cannot be reached" in str(error) else None
        if known is None:
            raise
        logger.warning("%s; %s is taken at %s, its last known commit", error, repo, known.commit)
        return known


def _fetch(repo: str, revision: str, kept: Path) -> DescribingFiles:
    from pixtrack.tasks.download.repositories import HuggingFace
    from pixtrack.tasks.transfer.download import download_files

    repository = HuggingFace(repo, revision)
    listing = repository.list()
    directory = kept / (listing.revision or re.sub(r"[^\w.-]+", "-", revision))
    wanted = [file for file in listing.files if file.path in SMALL_FILES]
    found = DescribingFiles(
        commit=listing.revision,
        directory=directory,
        sizes={file.path: file.size for file in listing.files if "/" not in file.path},
        licence=listing.licence,
    )
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        download_files(repository, directory, wanted)
        data = {**asdict(found), "directory": str(directory), "asked": revision}
        write_atomically(directory / _LISTING, json.dumps(data, indent=1))
    return found


def _last(kept: Path, revision: str) -> DescribingFiles | None:
    """What was fetched last under that revision; None where nothing was."""
    listings = sorted(kept.glob(f"*/{_LISTING}"), key=lambda path: path.stat().st_mtime)
    for listing in reversed(listings):
        if json.loads(listing.read_text(encoding="utf-8")).get("asked") == revision:
            return _read(listing.parent)
    return None


def _read(directory: Path) -> DescribingFiles:
    data = json.loads((directory / _LISTING).read_text(encoding="utf-8"))
    return DescribingFiles(data["commit"], directory, data["sizes"], data["licence"])


def _unknown(repo: str) -> DescribingFiles:
    raise UserError(
        f"HF_HUB_OFFLINE is set and nothing is known of {repo} here: unset it once, or give a "
        "folder with the model's files"
    )
