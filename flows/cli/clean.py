"""`pixtrack clean`: what takes the room in the data home, and what of it can go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pixtrack.flows.cli.run_options import JSON_HELP
from pixtrack.flows.plain_text import json_text, say

if TYPE_CHECKING:
    from pixtrack.tasks.room import Taken


def register(app: typer.Typer) -> None:
    """Adds `clean`."""

    @app.command("clean")
    def clean_command(
        kinds: Annotated[
            list[str] | None,
            typer.Argument(
                help="What to remove: models, datasets, images, pages, compiled, partials, logs."
            ),
        ] = None,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
    ) -> None:
        """Show what takes the room, and what can go; remove what is named, after asking.

        Answers and scores never go this way: `pixtrack runs delete` removes a run.

        Example: `pixtrack clean images partials`
        """
        from pixtrack.configs.errors import unknown_name
        from pixtrack.configs.paths import home
        from pixtrack.flows.cli.asking import confirm
        from pixtrack.tasks.room import KINDS, remove, taken
        from pixtrack.tasks.transfer import human

        for kind in kinds or ():
            if kind not in KINDS:
                raise unknown_name("kind of thing to clean", kind, KINDS)
        found = taken(home())
        if not kinds:
            if as_json:
                rows = [{"kind": one.kind, "bytes": one.bytes, "back": one.back} for one in found]
                print(json_text(rows))
            else:
                _show(found)
            return
        chosen = [one for one in found if one.kind in kinds and one.back]
        if not chosen:
            say(f"pixtrack: nothing of {', '.join(kinds)} under {home().root}", err=True)
            return
        for one in chosen:
            say(f"{one.what}: {human(one.bytes)} ({one.back})")
        if not confirm(f"remove this from {home().root}?", yes):
            say("nothing removed")
            return
        say(f"removed {human(remove(home(), [one.kind for one in chosen]))}")


def _show(found: list[Taken]) -> None:
    from rich.table import Table
    from rich.text import Text

    from pixtrack.configs.paths import home
    from pixtrack.flows.terminal import DataConsole
    from pixtrack.tasks.transfer import human

    table = Table(title=f"{home().root}", title_justify="left", box=None)
    table.add_column("remove", style="bold", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("what", overflow="fold")
    for one in found:
        what = f"{one.what}; {one.back}" if one.back else one.what
        table.add_row(one.kind if one.back else "-", human(one.bytes), Text(what))
    DataConsole().print(table)
    say("pixtrack clean KIND … removes those kinds, after asking.")
