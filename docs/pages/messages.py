"""Every error message that a user can meet, read from the source: each names its own remedy."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs.pages.markdown import code, ours, table
from pixtrack.configs.paths import PACKAGE_ROOT
from pixtrack.tasks.inference.host import failures

FOLDERS = ("flows", "tasks", "configs")

_FEWEST_CHARACTERS = 16
"""Of its own words: what passes another message on is no message."""


def page() -> str:
    """The messages, by the part of pixtrack that says them."""
    parts = [
        "# Error messages\n\nEvery message that pixtrack gives where something is for you to mend."
        " What stands in braces is filled in; the remedy is in the message. Search this page for"
        " the words of yours. [Troubleshooting](../troubleshooting.md) has the longer stories.\n"
    ]
    for place, found in _by_place().items():
        parts.append(f"## {place}\n")
        parts.append(table(("message",), [(code(message),) for message in sorted(found)]))
    parts.append(
        "## What the engine says\n\nThe engine's log is searched for the line that says why it"
        " stopped. These are looked for, in this order.\n"
    )
    rows = [(code(one.pattern), ours(one.remedy)) for one in failures.PATTERNS if one.remedy]
    parts.append(table(("a line like this (a regular expression)", "what to do"), rows))
    return "\n".join(parts)


def messages() -> Iterator[tuple[Path, str]]:
    """Every (file, message) of the source."""
    trees = {
        file: ast.parse(file.read_text(encoding="utf-8"))
        for folder in FOLDERS
        for file in sorted((PACKAGE_ROOT / folder).rglob("*.py"))
    }
    errors = _user_errors(trees.values())
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Name):
                said = _template(node.args[0])
                if node.func.id in errors and len(_OWN.sub("", said)) >= _FEWEST_CHARACTERS:
                    yield file, said
                elif node.func.id == "unknown_name" and said:
                    yield file, f"unknown {said} '…'. Did you mean '…'? Known: …"


_OWN = re.compile(r"\{[^}]*\}")


def _by_place() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for file, message in messages():
        parts = file.relative_to(PACKAGE_ROOT).with_suffix("").parts
        place = parts[0] if parts[0] != "tasks" else parts[1]
        found.setdefault(place, set()).add(message)
    return found


def _user_errors(trees: object) -> set[str]:
    """UserError and the classes that are made of it."""
    bases: dict[str, set[str]] = {}
    for tree in trees:  # type: ignore[attr-defined]
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}
    found = {"UserError"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


def _template(node: ast.expr) -> str:
    """The text of a string in the source, with {…} for what is filled in; "" for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else _filled(part)
            for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _template(node.left) + (_template(node.right) or "…")
    return ""


def _filled(part: ast.expr) -> str:
    value = part.value if isinstance(part, ast.FormattedValue) else part
    return f"{{{value.id}}}" if isinstance(value, ast.Name) else "{…}"
