"""`pixtrack models add`: writes a model's file from what its own files tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pixtrack.configs.endpoint_address import parse_address, shown_address
from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import names
from pixtrack.configs.paths import Home, writable_configs
from pixtrack.configs.schema import EndpointModel, ModelConfig
from pixtrack.tasks.environment.unconfigured import find_unconfigured
from pixtrack.tasks.files import write_atomically

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


def add(
    name: str,
    source: str,
    home: Home,
    said: Mapping[str, Any],
    served_model: str = "",
    replace: bool = False,
) -> tuple[Path, ModelConfig]:
    """Writes NAME.yaml into the user's own configurations.

    Args:
        name: what the model is to be called
        source: `ORG/NAME[@REVISION]` of the hub, a folder, or an endpoint's address
        home: where the small files of a repository are kept
        said: keys of a model's file that the user gives; empty ones are left out
        served_model: the model's name at an endpoint; "" for its first one
        replace: whether a file of that name may be written over

    Returns (the file, the model as it says). Raises UserError for a name that is no name or taken,
    and for a source that is none or cannot be read.
    """
    path = writable_configs() / "models" / f"{name}.yaml"
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r}: not a name for a model: use letters, digits, '_', '-' and '.', "
            "and begin with a letter or digit"
        )
    if path.exists() and not replace:
        raise UserError(f"{path}: there is a model of this name: choose another, or --replace it")
    if name in names(ModelConfig) and not path.exists():
        raise UserError(f"model {name} comes with pixtrack: choose another name")
    is_endpoint = re.match(r"https?://", source) is not None
    if served_model and not is_endpoint:
        raise UserError("--served-model is for an endpoint: give its address, http://HOST:PORT/v1")
    given = {"name": name, **{key: value for key, value in said.items() if value}}
    if is_endpoint:
        model = _endpoint(source, served_model, given)
    else:
        model = find_unconfigured(source, home, given)
    write_atomically(path, _to_yaml(model))
    return path, model


def _endpoint(address: str, served_model: str, given: Mapping[str, Any]) -> ModelConfig:
    if parse_address(address).secrets:
        raise UserError(
            f"{shown_address(address)}: a password or key in the address is written to no file: "
            "leave it out, and set OPENAI_API_KEY, or OPENAI_BASE_URL and use the model `endpoint`"
        )
    values = {
        "title": served_model or f"A model behind {shown_address(address)}",
        "source": EndpointModel(base_url=address, served_model=served_model),
        "format": "endpoint",
        "family": "endpoint",
        "parameters_billions": 0,
        "licence": "the served model's own",
        "memory": "on the server",
    }
    return ModelConfig(**{**values, **given})


def _to_yaml(model: ModelConfig) -> str:
    values = model.model_dump(mode="json", exclude_defaults=True, exclude={"name", "source"})
    source = model.source.model_dump(mode="json", exclude_defaults=True)
    required = ("format", "family", "parameters_billions")
    ordered = {
        "title": values.pop("title"),
        "source": {"kind": model.source.kind, **source},
        **{key: values.pop(key) for key in required},
        **values,
    }
    text: str = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=100)
    return "# Written by `pixtrack models add`, from what the model's own files tell.\n" + text
