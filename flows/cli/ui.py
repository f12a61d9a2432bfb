"""`pixtrack ui`: the web interfaces, on the loopback address, opened on the right page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixtrack.flows.plain_text import say

if TYPE_CHECKING:
    from contextlib import ExitStack
    from subprocess import Popen

UNSAFE_PORTS = frozenset({5060, 5061})
"""Browsers refuse them (they are SIP's): the page would stay blank."""


def register(app: typer.Typer) -> None:
    """Adds `ui`."""
    app.command("ui")(ui)


def ui(
    everything: Annotated[bool, typer.Option("--all", help="Prefect's interface too.")] = False,
    port: Annotated[
        int,
        typer.Option(envvar="PIXTRACK_UI_PORT", min=1, max=65535, help="MLflow's port."),
    ] = 5000,
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Prefect's port.")] = 4200,
) -> None:
    """Open MLflow on this data home's runs; Ctrl-C ends it.

    Example: `pixtrack ui --port 5001`
    """
    import contextlib
    import time

    from pixtrack.configs.addresses import openable
    from pixtrack.configs.paths import home
    from pixtrack.flows.session import quiet_terminal
    from pixtrack.tasks.servers.launcher import free_port
    from pixtrack.tasks.tracking import check_store, tracking_uri
    from pixtrack.tasks.tracking.connection import is_server
    from pixtrack.tasks.tracking.server import serve

    quiet_terminal()
    uri = tracking_uri()
    logs = home().root
    with contextlib.ExitStack() as servers:
        running: list[Popen[bytes]] = []
        check_store(uri)
        if is_server(uri):
            say(f"MLflow runs at {openable(uri)} already (MLFLOW_TRACKING_URI).")
        else:
            chosen = free_port(port if port not in UNSAFE_PORTS else 0)
            if chosen != port:
                why = "browsers refuse it" if port in UNSAFE_PORTS else "it is taken"
                say(f"pixtrack: port {port}: {why}, so {chosen}", err=True)
            os.environ["PIXTRACK_UI_PORT"] = str(chosen)
            say("pixtrack: starting MLflow (about 10 s)", err=True)
            logs.mkdir(parents=True, exist_ok=True)
            launched = servers.enter_context(serve(uri, chosen, logs / "mlflow-ui.log"))
            running.append(launched.process)
        if everything:
            running += _prefect(servers, prefect_port, logs / "prefect-ui.log")
        _print_links()
        if not running:
            return
        say("Ctrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            while all(process.poll() is None for process in running):
                time.sleep(0.5)
            say(f"pixtrack: a server ended by itself: see {logs}/*-ui.log", err=True)
            raise typer.Exit(1)


def _print_links() -> None:
    from pixtrack.tasks.tracking import experiments
    from pixtrack.tasks.tracking.links import ui_address

    found = experiments()
    if not found:
        say(f"MLflow: {ui_address()} (no runs yet: make one with `pixtrack eval`)")
        return
    first = [name for name in ("leaderboard", "comparisons") if name in found]
    width = max(map(len, found))
    say("MLflow, opened where the runs are (its own start page hides them):")
    for name in (*first, *sorted(set(found) - set(first))):
        say(f"  {name:<{width}}  {found[name]}")


def _prefect(servers: ExitStack, port: int, log: Path) -> list[Popen[bytes]]:
    """Prefect's server with its interface, on the database that `pixtrack eval` writes to."""
    from pixtrack.configs.addresses import openable
    from pixtrack.configs.paths import home
    from pixtrack.flows.deploying import how_to_log_in
    from pixtrack.tasks.servers.launcher import HOST, free_port, running
    from pixtrack.tasks.servers.prefect_choice import chosen_server
    from pixtrack.tasks.servers.prefect_server import prefect_server, read_deployed

    chosen, deployed = chosen_server(home()), read_deployed(home())
    if chosen or deployed:
        api = chosen.api if chosen else deployed.api if deployed else ""
        say(f"Prefect runs at {openable(api.removesuffix('/api'))}/runs already")
        if deployed and deployed.api == api:
            say(f"  {how_to_log_in(home())}")
        return []
    free = free_port(port)
    if free != port:
        say(f"pixtrack: port {port}: it is taken, so {free}", err=True)
    say("pixtrack: starting Prefect (about 15 s)", err=True)
    launched = servers.enter_context(running(prefect_server(home(), free, log, pages=True)))
    say(f"Prefect: http://{HOST}:{free}/runs")
    say(f"  {how_to_log_in(home())}")
    return [launched.process]
