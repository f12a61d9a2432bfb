"""What MLflow takes: names and values no longer than its store has room for.

Source: mlflow.utils.validation (MAX_ENTITY_KEY_LENGTH, MAX_PARAM_VAL_LENGTH, MAX_TAG_VAL_LENGTH).
"""

from __future__ import annotations

import hashlib

LONGEST_KEY = 250
"""Characters of the name of a metric, a parameter or a tag."""
LONGEST_TAG = 8_000
LONGEST_NAME = 250
"""Of a run; the file system of an artifact store takes no more either."""


def short_name(name: str, longest: int = LONGEST_KEY) -> str:
    """The name, or its beginning and a digest of the whole where it is too long: still its own."""
    if len(name) <= longest:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{name[: longest - len(digest) - 1].rstrip()}-{digest}"


def short_text(text: str, longest: int = LONGEST_TAG) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
