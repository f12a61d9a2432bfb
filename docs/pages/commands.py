"""The command line, from typer's own tree: every verb with its options and example."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from docs.pages.markdown import code, ours, table
from pixtrack.flows.cli.main import app

EXIT_CODES = (
    (code("0"), "done as asked"),
    (code("1"), "done, and something is not as it should be: too many questions failed, a run is "
     "not logged to MLflow, a check of the machine failed, a file is damaged"),
    (code("2"), "not done, and you can mend it: a wrong option, name, file or address; one line "
     "says which and what to do"),
    (code("130"), "ended by Ctrl-C; what is answered is kept"),
    (code("143"), "ended by SIGTERM (129: SIGHUP), in the same way"),
)  # fmt: skip


def tree() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups before what is in them."""

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield name, command
        for verb, sub in getattr(command, "commands", {}).items():
            if not sub.hidden:
                yield from below(f"{name} {verb}", sub)

    yield from below("pixtrack", typer.main.get_command(app))


def page() -> str:
    """Every command, its words and its options."""
    parts = [
        "# Command line\n\nThe same as `pixtrack COMMAND --help`, on one page. `pixtrack"
        " --install-completion` has the shell complete verbs, options and names.\n",
        f"## Exit codes\n\n{table(('code', 'what it means'), EXIT_CODES)}",
    ]
    for name, command in tree():
        words = inspect.cleandoc(command.help or "").replace("\f", "")
        parts.append(f"{'##' if name.count(' ') < 2 else '###'} {name}\n\n{words}\n")
        rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            parts.append(table(("option", "what it does", "default"), rows))
    return "\n".join(parts)


def _row(parameter: Any) -> tuple[str, str, str]:
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [parameter.metavar or parameter.name.upper()]
    default = parameter.default
    shown = "" if callable(default) or default in (None, False, (), [], "") else code(default)
    help_text = getattr(parameter, "help", None) or ""
    variable = getattr(parameter, "envvar", None)
    more = f" (variable {code(variable)})" if variable else ""
    required = " **Required.**" if parameter.required else ""
    return ", ".join(code(name) for name in names), ours(help_text) + more + required, shown
