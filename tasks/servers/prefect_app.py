"""`python -m pixtrack.tasks.servers.prefect_app PORT`: Prefect's server, behind the guard.

The same application that `prefect server start` serves, but: requests from other origins and under
other host names are refused, two servers that start at the same time do not both migrate the
database, and there are no questions about profiles. Settings come from the environment.
"""

from __future__ import annotations

import sys

from filelock import FileLock

from pixtrack.tasks.servers.launcher import HOST
from pixtrack.tasks.servers.origin_guard import Guard, allowed_hosts


def main(port: int) -> None:
    """Serves until a signal ends it."""
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    migrating = FileLock(settings.home / ".database.lock")
    uvicorn.run(
        app=Guard(create_app(final=True), allowed_hosts(), migrating),
        host=HOST,
        port=port,
        timeout_keep_alive=settings.server.api.keepalive_timeout,
        # Do not wait at the end for pages that still listen for events.
        timeout_graceful_shutdown=3,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
