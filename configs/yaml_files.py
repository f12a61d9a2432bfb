"""Parses YAML that people write: bounded in depth and size, each key once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pixtrack.configs.errors import UserError

LONGEST_CHARACTERS = 2_000_000
DEEPEST = 30
"""Levels of nesting; no configuration has more than six."""
MOST_VALUES = 100_000
"""Values, with every alias counted where it is used: a few lines of aliases can mean billions."""


def parse_yaml(path: Path, text: str) -> tuple[yaml.Node | None, Any]:
    """Parses YAML. Returns the node tree, which has line numbers, and the data.

    Raises UserError with file and line.
    """
    if len(text) > LONGEST_CHARACTERS:
        raise UserError(
            f"{path}: {len(text):,} characters are too many for a configuration: name another file"
        )
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _Bounds(path).check(node)
        return node, yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise UserError(f"{where}: not valid YAML: {problem}") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply for a configuration: make it flatter") from None
    except (ValueError, OverflowError, TypeError) as error:
        # A date that does not exist, a number of thousands of digits, a list as a key.
        long_number = "set_int_max_str" in str(error)
        problem = "a number of thousands of digits" if long_number else str(error)
        raise UserError(f"{path}: not valid YAML: {problem}") from None


class _Bounds:
    """Walks a node tree as it will be read, aliases and all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values = 0
        self._open: list[int] = []

    def check(self, node: yaml.Node) -> None:
        """Raises UserError for too many levels or values, and for a key that stands twice."""
        line = node.start_mark.line + 1
        if id(node) in self._open:
            raise UserError(
                f"{self._path}:{line}: an anchor that refers to itself: remove the reference"
            )
        if len(self._open) >= DEEPEST:
            raise UserError(
                f"{self._path}:{line}: nested too deeply for a configuration: make it flatter"
            )
        self._values += 1
        if self._values > MOST_VALUES:
            raise UserError(
                f"{self._path}: stands for more than {MOST_VALUES:,} values; use fewer aliases"
            )
        self._open.append(id(node))
        if isinstance(node, yaml.MappingNode):
            self._check_keys(node)
            for _key, value in node.value:
                self.check(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                self.check(value)
        self._open.pop()

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: dict[str, int] = {}
        for key, _value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(
                    f"{self._path}:{line}: a list or mapping cannot be a key: put it in quotation marks"
                )
            if key.value in seen and key.value != "<<":
                first = seen[key.value]
                raise UserError(
                    f"{self._path}:{line}: {key.value}: given twice (first in line {first})"
                )
            seen[key.value] = line
