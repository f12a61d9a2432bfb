"""The names that Prefect's form offers for a flow's parameters.

They are part of a deployment's schema, so that Prefect refuses a mistyped name when a flow run is
asked for, before a worker starts a process. A deployment knows the names of when it was made:
`pixtrack deploy` makes them anew.
"""

from __future__ import annotations

from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, names
from pixtrack.configs.schema import DatasetConfig, DatasetGroup, ModelConfig, PromptConfig


def datasets() -> dict[str, Any]:
    """Offers the datasets, with their aliases, and the groups.

    As data, not as a function: Prefect adds its own to a parameter's schema, and pydantic cannot
    put the two together. (The others are members of a union, to which nothing is added.)
    """
    schema: dict[str, Any] = {}
    known = names(DatasetConfig)
    _offer(schema, [*known, *names(DatasetGroup), *_aliases(known)])
    return schema


def prompts(schema: dict[str, Any]) -> None:
    """Offers the prompts, and `default`: each dataset's own."""
    _offer(schema, ["default", *names(PromptConfig)])


def models(schema: dict[str, Any]) -> None:
    """Offers the models; a hub's ORG/NAME and a folder, which have a slash, may be typed."""
    named: dict[str, Any] = {"type": "string"}
    _offer(named, names(ModelConfig))
    typed = {"type": "string", "pattern": "/", "title": "ORG/NAME[@REV], or a folder"}
    schema.pop("type", None)
    schema["anyOf"] = [named, typed]


def _offer(schema: dict[str, Any], choices: list[str]) -> None:
    schema["enum"] = list(dict.fromkeys(choices))


def _aliases(known: list[str]) -> list[str]:
    found: list[str] = []
    for name in known:
        try:
            found += load_dataset(name).aliases
        except UserError:
            continue  # a broken file: whoever names it is told
    return found
