"""A file is there whole or not at all, and a full disk is called by the file's name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pixtrack.tasks.files import write_atomically


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_no_more_leaves_the_old_file_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, "old")

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    owner: object = os if call == "fsync" else Path
    monkeypatch.setattr(owner, call, refuse)
    with pytest.raises(OSError, match=os.strerror(code)) as refused:
        write_atomically(path, "new")
    assert refused.value.filename == str(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
