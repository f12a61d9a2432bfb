"""`pixtrack runs note`, `tag`, `archive` and `delete`: what people do with runs that are made."""

from __future__ import annotations

from typing import Annotated

import typer

from pixtrack.flows.cli.completion import run_names
from pixtrack.flows.cli.run_options import RUN_HELP
from pixtrack.flows.plain_text import say

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]
RunArgument = Annotated[str, typer.Argument(help=RUN_HELP, autocompletion=run_names)]
RunsArgument = Annotated[
    list[str],
    typer.Argument(help=f"{RUN_HELP} Several may be named.", autocompletion=run_names),
]


def register(runs: typer.Typer) -> None:
    """Adds the commands to `pixtrack runs`."""
    runs.command("note")(note_run)
    runs.command("tag")(tag_run)
    runs.command("archive")(archive_run)
    runs.command("delete")(delete_runs)


def note_run(
    run: RunArgument,
    note: Annotated[
        str | None, typer.Argument(help='What there is to say of it; "" removes the note.')
    ] = None,
) -> None:
    """Write a note on a run, or show the one it has.

    Example: `pixtrack runs note latest "with the new scanner"`
    """
    from pixtrack.configs.paths import home
    from pixtrack.tasks.comparison import resolve_run
    from pixtrack.tasks.runs.keeping import set_note

    found = resolve_run(run, home())
    if note is None:
        say(found.record.note or f"{found.record.name} has no note")
        return
    set_note(found.directory, note)
    say(f"{found.record.name}: {'noted' if note.strip() else 'the note is removed'}")


def tag_run(
    run: RunArgument,
    tags: Annotated[list[str] | None, typer.Argument(help="Tags to add.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="A tag to take away; repeatable.")
    ] = None,
) -> None:
    """Add tags to a run, or take some away; `pixtrack runs --tag TAG` lists the runs that have one.

    Example: `pixtrack runs tag latest paper baseline`
    """
    from pixtrack.configs.paths import home
    from pixtrack.tasks.comparison import resolve_run
    from pixtrack.tasks.runs.keeping import set_tags

    found = resolve_run(run, home())
    record = set_tags(found.directory, tags or (), remove or ())
    say(f"{record.name}: {', '.join(record.tags) or 'no tags'}")


def archive_run(
    runs: RunsArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Bring them back into sight.")] = False,
) -> None:
    """Put runs out of sight: no list or comparison takes them unless they are named.

    Nothing is deleted: the same `pixtrack eval`, or --undo, brings a run back.

    Example: `pixtrack runs archive pixtral-12b@docvqa_val`
    """
    from pixtrack.configs.paths import home
    from pixtrack.tasks.comparison import resolve_run
    from pixtrack.tasks.runs.keeping import set_archived

    for found in [resolve_run(one, home()) for one in runs]:
        set_archived(found.directory, not undo)
        say(f"{found.record.name}: {'back in sight' if undo else 'archived'}")


def delete_runs(
    runs: RunsArgument,
    yes: YesOption = False,
) -> None:
    """Delete runs with their answers, after asking; nothing brings them back.

    Their entries in MLflow stay. `pixtrack runs archive` only puts runs out of sight.

    Example: `pixtrack runs delete pixtral-nano--plain--first3--153725896cbb`
    """
    from pixtrack.configs.paths import home
    from pixtrack.flows.cli.asking import confirm
    from pixtrack.tasks.comparison import resolve_run
    from pixtrack.tasks.runs.keeping import delete, loss_of

    for found in [resolve_run(one, home()) for one in runs]:
        lost = loss_of(found.directory).in_words
        what = f"{found.record.name} on {found.record.dataset}"
        if not confirm(f"delete {what} ({lost}) for good?", yes):
            say(f"{what}: kept")
            continue
        delete(found.directory, home())
        say(f"{what}: deleted ({lost})")
