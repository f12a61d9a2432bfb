"""Sets up a command's process: quiet logs, and a clean end on SIGTERM and SIGHUP."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rich.logging import RichHandler

from pixtrack.flows.bars import console
from pixtrack.flows.page_log import hold_lines
from pixtrack.flows.plain_text import VisibleFormatter, say
from pixtrack.tasks.servers.deadline import something_still_waits

_AGAIN_AFTER_SECONDS = 0.05


def quiet_terminal() -> None:
    """Shows pixtrack's messages on stderr, and of Prefect's and MLflow's only warnings and errors.

    Must be called before prefect and mlflow are imported, because they read these settings then.
    """
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    # What Prefect itself logs outside of a flow run has no page.
    os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")
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
    hold_lines()
    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: goes on without a terminal
        signal.signal(signal.SIGHUP, _end)


def _handler() -> logging.Handler:
    """A log handler that writes beside a progress bar on a terminal, and whole lines elsewhere."""
    if console.is_terminal:
        return RichHandler(console=console, show_path=False, show_time=False, show_level=False)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter())
    return handler


def never_ignore_a_signal() -> None:
    """Ends the process also where a signal came at a moment at which Python drops exceptions.

    A signal raises KeyboardInterrupt or SystemExit wherever the main thread is. In a callback of
    the garbage collector, which runs often while modules are imported, Python prints it as ignored
    and goes on (seen: Ctrl-C without any effect). The signal is sent again a moment later then.
    """
    print_it = sys.unraisablehook

    def hook(ignored: sys.UnraisableHookArgs) -> None:
        number = _signal_behind(ignored.exc_value)
        if number is None:
            print_it(ignored)
            return
        again = threading.Timer(_AGAIN_AFTER_SECONDS, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()

    sys.unraisablehook = hook


def _signal_behind(error: BaseException | None) -> int | None:
    """The signal that raised the error; None where none did."""
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128:
        return error.code - 128
    of_prefects = getattr(error, "signal", None)  # a TerminationSignal, while a flow runs
    return of_prefects if isinstance(of_prefects, int) else None


@contextmanager
def reassures_when_cancelled() -> Iterator[None]:
    """Says, on Ctrl-C, SIGTERM and SIGHUP, that nothing is lost."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        said = "cancelled: what is answered is kept, and the same command goes on from there"
        say(f"pixtrack: {said}", err=True)
        raise


def leave_at_once(code: str | int | None) -> None:
    """Ends the process with that exit code, if a server is away; returns otherwise.

    Prefect's and MLflow's threads would go on trying to reach it, and Python waits for them.
    Everything of ours is closed and printed by then.
    """
    module = sys.modules.get("pixtrack.tasks.prefecting.reports")
    if not something_still_waits() and (module is None or not module.server_is_away()):
        return
    if isinstance(code, str):
        say(code, err=True)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _end(signum: int, _frame: FrameType | None) -> None:
    """Handles a signal by SystemExit, so that `finally` blocks close the engine and the records."""
    sys.exit(128 + signum)
