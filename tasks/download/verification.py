"""Checks every byte of a model's files, for `pixtrack models verify`."""

from __future__ import annotations

from pathlib import Path

from pixtrack.tasks.download import known_files as manifest
from pixtrack.tasks.download.completeness import problems
from pixtrack.tasks.transfer import Progress, hash_file


def verify_files(
    directory: Path, model_format: str, progress: Progress | None = None
) -> tuple[list[str], int]:
    """Checks completeness, and the content of files that this program downloaded.

    Content is compared with the sha256 listed when the files were downloaded; of a copy from
    elsewhere no digests are known, and 0 files are compared. Damaged files are marked as
    unverified in the manifest, so that the next download replaces them.

    Returns:
        what is wrong, one line for each file, and how many files were compared by sha256
    """
    found = problems(directory, model_format)
    known = manifest.read(directory)
    if known is None:
        return found, 0
    distrusted = dict(known.files)
    done, total = 0, sum(state.size for state in known.files.values())
    for name, state in known.files.items():
        path = directory / name
        if not path.is_file():
            found.append(f"{name}: missing, and was downloaded")
            continue
        sha256, _ = hash_file(path)
        if sha256 != state.sha256:
            distrusted[name] = state.model_copy(update={"mtime_ns": 0})
            found.append(f"{name}: damaged, sha256 is {sha256[:12]}…, was {state.sha256[:12]}…")
        done += state.size
        if progress is not None:
            progress(done, total)
    if distrusted != known.files:
        manifest.write(directory, known.model_copy(update={"files": distrusted}))
    return list(dict.fromkeys(found)), len(known.files)
