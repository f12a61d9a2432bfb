"""Sends the log lines of the steps to Prefect, wherever the flow runs."""

from __future__ import annotations

import logging

from pixtrack.flows.plain_text import show_warnings


def report_logs() -> None:
    """Makes pixtrack's log lines lines of the running flow run as well.

    In a command `quiet_terminal` does that, by a setting that Prefect reads when it is imported;
    this is for the process in which a worker runs a flow. Calling it again has no effect.
    """
    from prefect.logging.handlers import APILogHandler

    show_warnings()
    logger = logging.getLogger("pixtrack")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, APILogHandler) for handler in logger.handlers):
        logger.addHandler(APILogHandler())
