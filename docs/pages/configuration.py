"""Every key of every configuration file, from the models that read them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs.pages.markdown import code, ours, sentence, table
from pixtrack.configs.loading import kinds
from pixtrack.configs.schema import StudyConfig
from pixtrack.tasks.tracking.settings import TrackingSettings


def roots() -> dict[type[BaseModel], str]:
    """The model of each kind of file, and where such files lie."""
    files: dict[type[BaseModel], str] = {
        model: f"configs/{folder}/NAME.yaml" for model, folder in kinds().items()
    }
    return {
        **files,
        StudyConfig: "experiments/NAME.yaml",
        TrackingSettings: "configs/tracking.yaml",
    }


def page() -> str:
    """A section for each kind of file, each followed by the parts that its keys are made of."""
    parts = [
        "# Configuration\n\nEvery key of every file. An unknown key is an error that names the file,"
        " the line and the nearest key. `name` is the file's own name and is left out.\n"
    ]
    seen: set[type[BaseModel]] = set()
    for model, place in roots().items():
        parts.append(f"## {place}\n\n{_section(model, without='name')}")
        for part in _below(model):
            if part not in seen:
                seen.add(part)
                parts.append(f"### {part.__name__}\n\n{_section(part)}")
    return "\n".join(parts)


def _section(model: type[BaseModel], without: str = "") -> str:
    words = inspect.cleandoc(model.__doc__ or "")
    rows = [
        (
            code(name),
            code(_type(field.annotation)),
            _default(field),
            ours(sentence(field.description or "")),
        )
        for name, field in model.model_fields.items()
        if name != without
    ]
    return f"{words}\n\n{table(('key', 'type', 'default', 'meaning'), rows)}"


def _below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        for part in _models_in(field.annotation):
            yield part
            yield from _below(part)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _type(annotation: Any) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("pixtrack.configs.schema.", "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined or isinstance(default, BaseModel):
        return ""
    return code(repr(default))
