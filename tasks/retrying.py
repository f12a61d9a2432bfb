"""Retries over a network, by tenacity: with growing pauses, or those that the server asks for.

Not imported by a child that runs vLLM.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
)

FIRST_SECONDS = 1.0
"""The longest pause before the second attempt; it is doubled before each further one. The actual
pause is drawn at random between half of that and all of it, so that requests that failed together
are not repeated together."""
LONGEST_SECONDS = 30.0
LONGEST_ASKED_SECONDS = 120.0
"""Longest pause, also where a server asks for a longer one (Retry-After)."""


class TryAgain(Exception):
    """A failure after which a later attempt may succeed.

    `after_seconds` is the pause that the server asks for; None where it asks for none.
    """

    def __init__(self, reason: str, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


def retrying_async(attempts: int, sleep: Callable[[float], Awaitable[None]]) -> AsyncRetrying:
    """Makes a caller that repeats a coroutine function while it raises TryAgain.

    The last attempt's exception is raised.

    Args:
        attempts: most attempts
        sleep: waits for the given seconds
    """
    return AsyncRetrying(
        retry=retry_if_exception_type(TryAgain),
        stop=stop_after_attempt(attempts),
        wait=_pause_seconds,
        sleep=sleep,
        reraise=True,
    )


def retrying(attempts: int) -> Retrying:
    """Like `retrying_async`, for a plain function; waits in the calling thread."""
    return Retrying(
        retry=retry_if_exception_type(TryAgain),
        stop=stop_after_attempt(attempts),
        wait=_pause_seconds,
        reraise=True,
    )


def _pause_seconds(state: RetryCallState) -> float:
    """The pause after a failed attempt."""
    failure = state.outcome.exception() if state.outcome else None
    asked = failure.after_seconds if isinstance(failure, TryAgain) else None
    if asked is not None:
        return min(asked, LONGEST_ASKED_SECONDS) + random.uniform(0, FIRST_SECONDS)
    longest = min(FIRST_SECONDS * 2 ** (state.attempt_number - 1), LONGEST_SECONDS)
    return random.uniform(longest / 2, longest)


def retry_after_seconds(header: str | None) -> float | None:
    """The seconds of a Retry-After header, which has seconds or a date (RFC 9110, 10.2.3).

    A date without a zone is taken as UTC. None without a header, and for an invalid one.
    """
    if not header:
        return None
    try:
        seconds = float(header)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())
