"""What identifies a model's files: a digest of their contents, wherever they came from."""

from __future__ import annotations

import json
from pathlib import Path

from pixtrack.configs.paths import Home
from pixtrack.tasks.download import known_files as manifest
from pixtrack.tasks.download.known_files import FileState
from pixtrack.tasks.download.needed_files import needed
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.transfer import Progress, RemoteFile, hash_file


def digest_of_files(
    directory: Path, model_format: str, home: Home, progress: Progress | None = None
) -> dict[str, str]:
    """A digest over names and contents of the files that the format needs, for a fingerprint.

    The same files from the hub, from ModelScope and in a local copy have the same digest. For a
    verified download it is taken from the directory's manifest. Other directories are hashed once
    (about a minute for 24 GB); their digests are kept in the data home by path, size and time.
    Raises OSError where the directory cannot be read.
    """
    known = manifest.read(directory)
    listed = needed(
        [
            RemoteFile(path.name, path.stat().st_size)
            for path in directory.iterdir()
            if path.is_file() and not path.name.startswith(".")
        ],
        model_format,
    )
    vouched = known.files if known is not None else {}
    cache_file = home.models / ".digests.json"
    cache = _read_cache(cache_file)
    digests: dict[str, str] = {}
    done, total, changed = 0, sum(file.size for file in listed), False
    for file in listed:
        path = directory / file.path
        state = vouched.get(file.path) or cache.get(str(path))
        if state is None or not state.unchanged(path):
            state = FileState.of(path, hash_file(path)[0])
            cache[str(path)] = state
            changed = True
        digests[file.path] = state.sha256
        done += file.size
        if progress is not None:
            progress(done, total)
    if changed:
        kept = {path: state.model_dump() for path, state in cache.items() if Path(path).exists()}
        write_atomically(cache_file, json.dumps(kept, indent=1))
    return {"files": manifest.digest_of(digests)}


def _read_cache(path: Path) -> dict[str, FileState]:
    """The kept digests of files outside verified downloads; {} where the cache is missing or
    damaged.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {name: FileState.model_validate(state) for name, state in data.items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
