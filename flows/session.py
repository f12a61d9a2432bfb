"""What a command does to its own process: quiet logs, and a clean end on SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.logging import RichHandler

from pixtrack.flows.bars import console
from pixtrack.flows.plain_text import VisibleFormatter, say


def quiet_terminal() -> None:
    """Our own messages on stderr; Prefect's and MLflow's only where something is wrong.

    Must run before prefect and mlflow are imported: they read these settings then.
    """
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "pixtrack")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("ALEMBIC_LOG_LEVEL", "WARNING")
    logger = logging.getLogger("pixtrack")
    logger.setLevel(logging.INFO)
    for handler in [*logger.handlers]:
        if type(handler) is logging.StreamHandler:  # a short command's: see show_warnings
            logger.removeHandler(handler)
    if not logger.handlers:
        logger.addHandler(_handler())
        logger.propagate = False
    signal.signal(signal.SIGTERM, _end)


def _handler() -> logging.Handler:
    """Beside a progress bar on a terminal; whole lines everywhere else."""
    if console.is_terminal:
        return RichHandler(console=console, show_path=False, show_time=False, show_level=False)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter())
    return handler


def flow_outcome(state: Any) -> dict[str, Any]:
    """What a flow returned, completed or failed; raises what it died of where it returned nothing."""
    if isinstance(state.data, dict):
        return state.data
    result = state.result(raise_on_failure=False)
    if isinstance(result, BaseException):
        raise result
    if isinstance(result, dict):
        return result
    raise RuntimeError(f"the flow ended as {state.name}: {state.message}")


@contextmanager
def told_when_cancelled() -> Iterator[None]:
    """Says, on Ctrl-C and SIGTERM, that nothing is lost."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        said = "cancelled: what is answered is kept, and the same command goes on from there"
        say(f"pixtrack: {said}", err=True)
        raise


def _end(signum: int, _frame: FrameType | None) -> None:
    """SIGTERM unwinds the stack, so that `finally` blocks close the engine and the records."""
    sys.exit(128 + signum)
