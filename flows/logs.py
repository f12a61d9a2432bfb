"""The log lines of the steps join those of the flow run, wherever the flow runs."""

from __future__ import annotations

import logging

from pixtrack.flows.plain_text import show_warnings


def report_logs() -> None:
    """Sends what pixtrack logs to Prefect too, as lines of the flow run that is running.

    A command has that from `quiet_terminal`, which tells Prefect of our logger before Prefect is
    imported; a worker runs a flow in a process that we have not set up. Called again, it adds
    nothing.
    """
    from prefect.logging.handlers import APILogHandler

    show_warnings()
    logger = logging.getLogger("pixtrack")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, APILogHandler) for handler in logger.handlers):
        logger.addHandler(APILogHandler())
