"""Makes one-line errors, with file, line and key, of what pydantic finds wrong with a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from pixtrack.configs.errors import UserError, unknown_name
from pixtrack.configs.schema import DatasetSource, ModelSource


def complaint(
    path: Path, model: type[BaseModel], error: ValidationError, node: yaml.Node | None, data: Any
) -> UserError:
    """The error for a file that does not fit its model.

    It names a misspelt key, else the first wrong value; or, where keys are missing, all of them
    with their meanings.

    Args:
        path: the file
        model: the model that it should fit
        error: pydantic's error
        node: the file as YAML nodes, which have line numbers
        data: the file's values
    """
    errors = error.errors()
    missing = [one for one in errors if one["type"] == "missing"]
    wrong = [one for one in errors if one["type"] != "missing"]
    if not wrong:
        return _missing(path, model, [_keys(one, data) for one in missing], node)
    first = min(wrong, key=lambda one: one["type"] != "extra_forbidden")
    keys = _keys(first, data)
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    place = f"{path}:{_line_of(node, keys)}: {_dotted(keys)}"
    return UserError(f"{place}: {_plain(first, model, keys)}{more}")


def _missing(
    path: Path, model: type[BaseModel], absent: Sequence[list[Any]], node: yaml.Node | None
) -> UserError:
    named = []
    for keys in absent:
        meaning = _meaning(model, keys)
        named.append(f"{_dotted(keys)} ({meaning})" if meaning else _dotted(keys))
    many = "this key is" if len(named) == 1 else "these keys are"
    place = f"{path}:{_line_of(node, absent[0])}"
    return UserError(f"{place}: {many} required and missing: {'; '.join(named)}")


def _meaning(model: type[BaseModel], keys: Sequence[Any]) -> str:
    """The description of the key at that path; "" where the model gives none."""
    *above, last = [key for key in keys if not isinstance(key, int)]
    fields = [
        one.model_fields[last] for one in _models_at(model, above) if last in one.model_fields
    ]
    return next((field.description for field in fields if field.description), "")


def _models_at(model: type[BaseModel], keys: Sequence[Any]) -> list[type[BaseModel]]:
    """The models that the value at that path may have; for a list, those of its items."""
    found = [model]
    for key in keys:
        if not isinstance(key, int):
            fields = [one.model_fields[key] for one in found if key in one.model_fields]
            found = [inner for field in fields for inner in _models_in(field.annotation)]
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _keys(error: Any, data: Any) -> list[Any]:
    return [part for part in error["loc"] if not _is_tag(part, data)]


def _dotted(keys: Sequence[Any]) -> str:
    return ".".join(str(part) for part in keys)


_TAGS = frozenset(
    source.model_fields["kind"].default
    for union in (DatasetSource, ModelSource)
    for source in get_args(get_args(union)[0])
)
"""The names that pydantic gives to members of the unions of sources, which are their kinds."""


def _is_tag(part: Any, data: Any) -> bool:
    """Whether a location part is pydantic's name of a union member, not a key of the file."""
    return isinstance(part, str) and part in _TAGS and not (isinstance(data, dict) and part in data)


def _plain(error: Any, model: type[BaseModel], keys: list[Any]) -> str:
    if error["type"] == "extra_forbidden":
        if len(keys) == 1:
            known = sorted(model.model_fields)
            return str(unknown_name("key", str(keys[0]), known))
        return f"unknown key {keys[-1]!r}"
    if error["type"] in ("union_tag_not_found", "union_tag_invalid"):
        context = error["ctx"]
        key = context["discriminator"].strip("'")
        kinds = ", ".join(str(one.model_fields[key].default) for one in _models_at(model, keys))
        found = f"{context['tag']!r} is none" if "tag" in context else "is missing"
        return f"{key} {found}: use one of {kinds}"
    return str(error["msg"])


def _line_of(node: Any, keys: Sequence[Any]) -> int:
    """The 1-based line of the key path, or of the deepest part of it that the file has."""
    line = 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                if key_node.value == str(key):
                    line, node = key_node.start_mark.line + 1, value_node
                    break
            else:
                return line
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            return line
    return line
