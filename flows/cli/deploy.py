"""`pixtrack deploy`, `worker` and `prefect`: flows run by a Prefect server that stays."""

from __future__ import annotations

from typing import Annotated

import typer

PortOption = Annotated[
    int,
    typer.Option(
        envvar="PREFECT_PORT",
        min=1,
        max=65535,
        help="Where the server listens on this machine, if PREFECT_API_URL names no other.",
    ),
]


def register(app: typer.Typer) -> None:
    """Adds `deploy`, `worker` and `prefect`."""
    app.command("deploy")(deploy_command)
    app.command("worker")(worker_command)
    app.command(
        "prefect",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
    )(prefect_command)


def deploy_command(
    port: PortOption = 4200,
    stop: Annotated[bool, typer.Option(help="End the server that deploy started.")] = False,
) -> None:
    """Start a Prefect server if none answers, and make the work pool and all deployments on it.

    Example: `pixtrack deploy`
    """
    from pixtrack.configs.addresses import shown
    from pixtrack.configs.paths import home
    from pixtrack.flows.deploying import deploy, how_to_log_in, stop_deployed
    from pixtrack.flows.plain_text import say
    from pixtrack.flows.session import quiet_terminal

    if stop:
        say("deploy: the server is ended" if stop_deployed(home()) else "deploy: no server runs")
        return
    quiet_terminal()
    server = deploy(home(), port)
    say(f"deploy: done, on {shown(server.api)}. In another terminal: pixtrack worker")
    say("deploy: then: pixtrack prefect deployment run evaluate/sample -p limit=20 --watch")
    say(f"deploy: pages at {shown(server.api.removesuffix('/api'))}")
    say(f"deploy: {how_to_log_in(home())}")
    say("deploy: the server goes on running until: pixtrack deploy --stop")


def worker_command(port: PortOption = 4200) -> None:
    """Run the deployments' flows on this machine, one after the other, until Ctrl-C.

    Example: `pixtrack worker`
    """
    from pixtrack.configs.paths import home
    from pixtrack.flows.deploying import become_worker

    become_worker(home(), port)


def prefect_command(context: typer.Context) -> None:
    """Prefect's own command, with the address and the login of this data home's server.

    Example: `pixtrack prefect deployment run evaluate/docvqa_val -p limit=200 --watch`
    """
    from pixtrack.configs.paths import home
    from pixtrack.flows.deploying import become_prefect

    become_prefect(home(), context.args)
