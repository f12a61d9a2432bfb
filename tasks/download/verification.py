"""Reads every byte of a model again: for `pixtrack models verify`, when something seems damaged."""

from __future__ import annotations

from pathlib import Path

from pixtrack.tasks.download import known_files as manifest
from pixtrack.tasks.download.completeness import problems
from pixtrack.tasks.transfer import Progress, hash_file


def verify_files(
    directory: Path, model_format: str, progress: Progress | None = None
) -> tuple[list[str], int]:
    """What is wrong with a model's files, one line a file, and how many were compared by sha256.

    Completeness always; content against what was listed when they were downloaded, where this
    program downloaded them (0 compared: a copy from elsewhere, whose digests nobody here knows).
    Damaged files are left as they are and no longer vouched for: the next download replaces them.
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
