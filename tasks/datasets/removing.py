"""`pixtrack datasets remove`: the prepared samples, and what `datasets add` wrote."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import path_of
from pixtrack.configs.paths import Home, writable_configs
from pixtrack.configs.schema import DatasetConfig

WRITTEN = "# Written by `pixtrack datasets add`"
"""How a file begins that `datasets add` wrote."""


def files_of_dataset(config: DatasetConfig, home: Home) -> list[Path]:
    """What `remove` would remove: what was prepared, and what `datasets add` wrote.

    A file that comes with pixtrack or was written by hand is not among it, nor are the user's own
    questions and images, answers, and images in the store (`pixtrack clean images`).
    """
    found = [home.datasets / config.name]
    path = path_of(DatasetConfig, config.name)
    if path is not None and path.parent.parent == writable_configs():
        text = path.read_text(encoding="utf-8")
        if text.startswith(WRITTEN):
            found += [path, path.with_suffix(".jsonl"), home.root / "added" / config.name]
    return [one for one in found if one.exists()]


def remove(config: DatasetConfig, home: Home) -> None:
    """Removes those files. Raises UserError while another command prepares the dataset."""
    try:
        home.datasets.mkdir(parents=True, exist_ok=True)
        with FileLock(home.datasets / f".{config.name}.lock", timeout=0):
            for path in files_of_dataset(config, home):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
    except Timeout:
        raise UserError(
            f"dataset {config.name}: another command prepares it: wait for it or stop it"
        ) from None
