"""`pixtrack`: registers the commands, and turns a UserError into one line and an exit code."""

from __future__ import annotations

import errno
import gc
import sys
import traceback
from typing import Annotated

import typer

from pixtrack.configs.addresses import without_passwords
from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import have_a_home
from pixtrack.flows.cli import clean, compare, datasets, deploy, models, runs, score, study, tokens
from pixtrack.flows.cli import eval as evaluate
from pixtrack.flows.plain_text import accept_any_text, say, show_warnings
from pixtrack.flows.session import leave_at_once, never_ignore_a_signal
from pixtrack.tasks.servers.proxies import keep_loopback_direct

app = typer.Typer(
    name="pixtrack",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _say_version(asked: bool) -> None:
    if asked:
        from pixtrack.configs.checkout import version_line

        say(version_line())
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_say_version,
            help="Print pixtrack's version and nothing else.",
        ),
    ] = False,
) -> None:
    """Evaluate, track and compare vision-language models on documents, charts and infographics."""


for _area in (evaluate, study, compare, runs, datasets, score, models, tokens, deploy, clean):
    _area.register(app)


_FOR_THE_USER = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
}
"""Errors of the file system that a user can mend (full disk, missing rights), wherever they
occur."""

_COLLECT_EVERY = 50_000
"""New objects between two garbage collections, where Python's default is 700.

Importing Prefect, MLflow and pandas creates some hundred thousand lasting objects: frequent garbage
collections take a tenth of a short command's time.
"""


def main() -> None:
    """The console command's entry point."""
    never_ignore_a_signal()
    gc.set_threshold(_COLLECT_EVERY)
    accept_any_text()
    show_warnings()
    have_a_home()
    for line in keep_loopback_direct():
        say(f"pixtrack: {line}", err=True)
    try:
        _run()
    except SystemExit as ended:
        leave_at_once(ended.code)
        raise
    except Exception:
        traceback.print_exc()
        leave_at_once(1)
        sys.exit(1)
    finally:
        # Python's own exit would take a second for a last garbage collection.
        gc.freeze()


def _run() -> None:
    try:
        app(prog_name="pixtrack")
    except UserError as error:
        say(f"pixtrack: {without_passwords(str(error))}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _FOR_THE_USER:
            raise
        remedy = (
            "name another place, or set PIXTRACK_HOME to a folder with room that can be written"
        )
        say(f"pixtrack: {error.filename or _somewhere()}: {error.strerror}: {remedy}", err=True)
        sys.exit(UserError.exit_code)


def _somewhere() -> str:
    """Words for the place where writing failed; only an error of opening names the file."""
    import os

    return os.environ.get("PIXTRACK_HOME") or "data"


if __name__ == "__main__":
    main()
