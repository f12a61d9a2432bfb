"""`pixtrack deploy` and `worker`: a Prefect server that stays, the work pool, the deployments."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path

from filelock import FileLock

from pixtrack.configs.addresses import host_of, is_loopback, without_passwords
from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import PACKAGE_ROOT, Home
from pixtrack.flows.plain_text import say
from pixtrack.tasks.processes import end_session
from pixtrack.tasks.servers.launcher import Launched, answers
from pixtrack.tasks.servers.login import login_file
from pixtrack.tasks.servers.prefect_choice import ChosenServer, check, chosen_server
from pixtrack.tasks.servers.prefect_server import (
    QUIET,
    api_address,
    deployed_file,
    login_for,
    note_deployed,
    prefect_home,
    prefect_server,
    read_deployed,
)

POOL = "pixtrack"
DEFAULT_PORT = 4200

DEPLOYMENTS = PACKAGE_ROOT / "prefect.yaml"
"""Every deployment that `deploy` makes."""

_IMPATIENT = {"PREFECT_API_REQUEST_TIMEOUT": "10", "PREFECT_CLIENT_MAX_RETRIES": "1"}
"""For the processes of flow runs: by default the engine waits for minutes, as a flow ends, for
a server that has gone away."""

_WORKER_QUERY_SECONDS = "2"
"""Prefect's worker looks for work every 10 s; here it is the only one, and a person waits."""


def server_for_deployments(home: Home, port: int = DEFAULT_PORT) -> ChosenServer:
    """The server that the user has named, else the one of this data home at that port."""
    chosen = chosen_server(home)
    if chosen is not None:
        return chosen
    running = read_deployed(home)
    api = running.api if running else api_address(port)
    return ChosenServer(api, "the server of `pixtrack deploy`", login_for(home, api))


def deploy(home: Home, port: int = DEFAULT_PORT) -> ChosenServer:
    """The server (started if none answers on this machine), the work pool, and all deployments.

    Raises UserError where the server is on another machine and away, does not start, or wants
    another login, and where Prefect refuses the deployments.
    """
    server = server_for_deployments(home, port)
    home.prefect.mkdir(parents=True, exist_ok=True)
    with FileLock(home.prefect / ".deploy.lock"):
        if not answers_here(server.api):
            server = _start(home, server.api)
    check(server)
    set_up_client(home, server, os.environ)
    asyncio.run(_make_pool())
    done = run_prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(DEPLOYMENTS))
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no reason given"]
        raise UserError(f"Prefect did not take {DEPLOYMENTS}: {without_passwords(said[-1])}")
    return server


def answers_here(api: str) -> bool:
    """Whether a server answers at the address; True also for one on another machine."""
    return not is_loopback(host_of(api)) or answers(f"{api}/health")


def _start(home: Home, api: str) -> ChosenServer:
    """Starts the server for good: it goes on running when this command ends."""
    port = int(api.rpartition(":")[2].partition("/")[0])
    server = prefect_server(home, port, home.prefect / "server.log", pages=True)
    say(f"deploy: starting a Prefect server at {api} (log: {server.log})", err=True)
    launched = Launched(server, outlives_this_process=True)
    try:
        launched.wait_until_healthy()
    except BaseException:
        launched.stop()
        raise
    note_deployed(home, api, launched.process.pid)
    return ChosenServer(api, "the server of `pixtrack deploy`", login_for(home, api))


def stop_deployed(home: Home) -> bool:
    """Ends the server that `deploy` started in this data home. Returns whether there was one."""
    running = read_deployed(home)
    if running is None:
        return False
    end_session(running.pid)
    deployed_file(home).unlink(missing_ok=True)
    return True


def set_up_client(
    home: Home, server: ChosenServer, environment: MutableMapping[str, str]
) -> MutableMapping[str, str]:
    """Points Prefect's clients in that environment at the server, with its login."""
    for name, value in QUIET.items():
        environment.setdefault(name, value)
    environment["PREFECT_HOME"] = str(prefect_home(home))
    environment.pop("PREFECT_PROFILE", None)
    server.set_in(environment)
    return environment


def run_prefect(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of Prefect's own, in this folder, its output kept."""
    return subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        env={**os.environ, "PWD": str(Path.cwd())},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def become_prefect(home: Home, arguments: Sequence[str], port: int = DEFAULT_PORT) -> None:
    """Prefect's own command line in this process's place, with address and login set."""
    server = server_for_deployments(home, port)
    environment = set_up_client(home, server, dict(os.environ))
    os.execve(sys.executable, [sys.executable, "-m", "prefect", *arguments], dict(environment))


def become_worker(home: Home, port: int = DEFAULT_PORT) -> None:
    """A worker for the deployments in this process's place, until a signal ends it.

    Raises UserError where the server does not answer.
    """
    server = server_for_deployments(home, port)
    check(server)
    set_up_client(home, server, os.environ)
    _end_the_dead(home)
    os.environ.setdefault("PREFECT_WORKER_QUERY_SECONDS", _WORKER_QUERY_SECONDS)
    become_prefect(home, ("worker", "start", "--pool", POOL, "--type", "process"), port)


def _end_the_dead(home: Home) -> None:
    """Ends flow runs whose process on this machine has died: one keeps the pool's only place."""
    import httpx

    from pixtrack.tasks.prefecting.api import PrefectApi
    from pixtrack.tasks.prefecting.reaping import reap

    try:
        ended = reap(home, PrefectApi().call)
    except httpx.HTTPError as error:
        say(f"worker: flow runs of dead processes stay as they are ({error})", err=True)
        return
    if ended:
        say(f"worker: {ended} flow runs of dead processes are ended", err=True)


def how_to_log_in(home: Home) -> str:
    """What to type where Prefect's pages ask for a login, without showing it."""
    return f"the pages ask for a password once: paste what this prints: cat {login_file(home)}"


async def _make_pool() -> None:
    """The work pool of this machine: processes, one flow at a time: one engine fills a GPU."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    template["variables"]["properties"]["env"]["default"] = _IMPATIENT
    async with get_client() as client:
        await client.create_work_pool(
            WorkPoolCreate(
                name=POOL,
                type=ProcessWorker.type,
                base_job_template=template,
                concurrency_limit=1,
            ),
            overwrite=True,
        )
