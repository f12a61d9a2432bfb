"""References to Python code of the user's own: `my_metric.py:score`, or `package.module:score`.

Where a metric or a post-processing step is named, a reference may stand for one that is not
pixtrack's: a function in a file, or one that Python can import.
"""

from __future__ import annotations

import re
from pathlib import Path

from pixtrack.configs.errors import UserError

_REFERENCE = re.compile(r"(?P<place>[^:\n]+):(?P<function>[A-Za-z_]\w*)")


def is_reference(name: object) -> bool:
    """Whether it refers to code: a text with a colon, which no name of pixtrack's own has."""
    return isinstance(name, str) and ":" in name


def parts(reference: str) -> tuple[str, str]:
    """(the file or module, the function). Raises UserError for what is no reference."""
    found = _REFERENCE.fullmatch(reference.strip())
    if found is None:
        raise UserError(
            f"{reference!r}: no reference to a function: write FILE.py:FUNCTION, or "
            "PACKAGE.MODULE:FUNCTION"
        )
    return found["place"].strip(), found["function"]


def is_file(place: str) -> bool:
    """Whether the place of a reference is a file's path, and not a module's name."""
    return place.endswith(".py") or "/" in place


def short_name(reference: str) -> str:
    """What tables call the function: `my_metric.score`, wherever its file lies."""
    place, function = parts(reference)
    stem = Path(place).stem if is_file(place) else place.rpartition(".")[2]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', stem)}.{function}"


def located(reference: str, folder: Path) -> str:
    """The reference with its file's path made absolute; a relative one starts at `folder`."""
    place, function = parts(reference)
    if not is_file(place):
        return reference
    return f"{(folder / Path(place).expanduser()).resolve()}:{function}"
