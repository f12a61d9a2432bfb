"""The journal of a preparation: an interrupted one goes on after its last recorded batch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pixtrack.tasks.datasets.samples_file import from_row, to_row
from pixtrack.tasks.records import Sample


class Progress:
    """The journal of one preparation: a header, then one line for each batch.

    Whoever uses it must hold the dataset's lock. A journal that an earlier process left is
    continued if its header has the same source and settings; otherwise it is discarded. A line that
    was cut short is discarded as well, and its batch done again.
    """

    def __init__(self, directory: Path, header: Mapping[str, Any]) -> None:
        self._path = directory / "progress.jsonl"
        self._header = json.loads(json.dumps(header))
        self._file: IO[bytes] | None = None
        self._forget()

    def _forget(self) -> None:
        self.samples: list[Sample] = []
        self.sizes: dict[str, int] = {}
        """Image path to bytes."""
        self.cursor: dict[str, Any] | None = None
        self.notes: Counter[str] = Counter()

    def __enter__(self) -> Progress:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        end = self._read()
        self._file = self._path.open("r+b" if end else "wb")
        self._file.truncate(end)
        self._file.seek(end)
        if not end:
            self._write(self._header)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self) -> int:
        """Reads what an earlier process recorded.

        Returns the byte offset at which the last whole line ends; 0 where nothing is usable.
        """
        end = 0
        try:
            with self._path.open("rb") as file:
                for line in file:
                    try:
                        data = json.loads(line)
                    except ValueError:
                        break
                    if not line.endswith(b"\n"):
                        break
                    if end == 0:
                        if data != self._header:
                            return 0
                    else:
                        self._take(data)
                    end += len(line)
        except FileNotFoundError:
            return 0
        return end

    def _take(self, data: dict[str, Any]) -> None:
        self.samples.extend(from_row(row) for row in data["rows"])
        self.sizes.update(data["sizes"])
        self.cursor = data["cursor"]
        self.notes.update(data["notes"])

    def add(
        self,
        samples: Sequence[Sample],
        sizes: Mapping[str, int],
        cursor: dict[str, Any],
        notes: Mapping[str, int],
    ) -> None:
        """Records a batch. When this returns, the batch survives the death of this process."""
        self.samples.extend(samples)
        self.sizes.update(sizes)
        self.cursor = cursor
        self.notes.update(notes)
        rows = [to_row(sample) for sample in samples]
        self._write({"rows": rows, "sizes": dict(sizes), "cursor": cursor, "notes": dict(notes)})

    def start_over(self) -> None:
        """Forgets everything recorded."""
        assert self._file is not None
        self._forget()
        self._file.seek(0)
        self._file.truncate()
        self._write(self._header)

    def _write(self, data: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(data, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
