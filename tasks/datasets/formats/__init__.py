"""Row formats: how questions and golds are laid out in a source's records.

One function and one module for each format. A function takes a record by our field names
(fields.FIELDS) and returns values of a RawRow, or raises BadField. The value `images` is how many
of the row's images are shown; without it all are. A new format is a module and a row of FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pixtrack.configs.errors import unknown_name
from pixtrack.tasks.datasets.formats.base import BadField
from pixtrack.tasks.datasets.formats.chartqapro import chartqapro
from pixtrack.tasks.datasets.formats.choice_index import choice_index
from pixtrack.tasks.datasets.formats.conversation import conversation
from pixtrack.tasks.datasets.formats.mathvista import mathvista
from pixtrack.tasks.datasets.formats.mmlongbench_doc import mmlongbench_doc
from pixtrack.tasks.datasets.formats.mmmu import mmmu
from pixtrack.tasks.datasets.formats.mmmu_pro_vision import mmmu_pro_vision
from pixtrack.tasks.datasets.formats.plain import plain
from pixtrack.tasks.datasets.formats.vqa import vqa

__all__ = ["FORMATS", "BadField", "Format", "format_of"]

Format = Callable[[Mapping[str, Any]], dict[str, Any]]

FORMATS: dict[str, Format] = {
    "plain": plain,
    "vqa": vqa,
    "chartqapro": chartqapro,
    "conversation": conversation,
    "choice_index": choice_index,
    "mmmu": mmmu,
    "mmmu_pro_vision": mmmu_pro_vision,
    "mathvista": mathvista,
    "mmlongbench_doc": mmlongbench_doc,
}


def format_of(name: str) -> Format:
    """The row format of that name. Raises UserError with the known ones."""
    if name not in FORMATS:
        raise unknown_name("row_format", name, FORMATS)
    return FORMATS[name]
