"""Which modules a child has imported: it says so in its log under PYTHONPROFILEIMPORTTIME=1."""

from __future__ import annotations

import re
from pathlib import Path

VARIABLE = "PYTHONPROFILEIMPORTTIME"

PARENTS_ALONE = re.compile(
    r"pixtrack\.(flows|configs\.loading|configs\.paths"
    r"|tasks\.(?!(inference|runs|records|images|locks|processes)\b)\w+"
    r"|tasks\.inference\.(?!(worker|engines|prompts)\b)\w+"
    r"|tasks\.runs\.(?!(image_groups|journal|protocol|requests)\b)\w+)"
    r"|(prefect|mlflow|psutil|pynvml|pandas|pyarrow|scipy|matplotlib|typer|yaml|filelock"
    r"|huggingface_hub|ray)\b"
)
"""The modules that the inference child has no business with."""


def imported(log: Path) -> set[str]:
    """The modules that were imported by what wrote this log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
