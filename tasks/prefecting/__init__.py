"""Makes Prefect tasks of steps: without result caching, and with retries for network failures
only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal

F = TypeVar("F", bound=Callable[..., Any])


def step(name: str, *, network_retries: int = 0) -> Callable[[F], F]:
    """A decorator: within a flow run the function is a Prefect task, elsewhere a plain function.

    Prefect caches no results: a step finds out by digests whether its work is done. A UserError is
    never tried again, because the user has to act first.

    Args:
        name: the task's name
        network_retries: how often a network failure is tried again
    """
    decorate: Callable[[F], F] = task(
        name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=network_retries,
        retry_delay_seconds=[2, 10, 30][:network_retries] or None,
        retry_condition_fn=_network_failed if network_retries else None,
    )

    def decorated(function: F) -> F:
        as_task = decorate(function)

        @wraps(function)
        def called(*arguments: Any, **named: Any) -> Any:
            # Without a flow run there is no server: Prefect would start one for the task.
            if FlowRunContext.get() is None:
                return function(*arguments, **named)
            try:
                return as_task(*arguments, **named)
            except Exception as error:
                signalled = what_ended(error)
                if signalled is not None:
                    raise signalled from None
                raise

        return cast(F, called)

    return decorated


def what_ended(error: BaseException | None) -> BaseException | None:
    """The signal because of which the error was raised; None where none came.

    Prefect's engine answers one that comes as it makes a task run with a ValueError of its own.
    """
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, KeyboardInterrupt | SystemExit | TerminationSignal):
            return error
        seen.append(error)
        error = error.__cause__ or error.__context__
    return None


def _network_failed(_task: Any, _run: Any, state: Any) -> bool:
    try:
        state.result()
    except (ConnectionError, TimeoutError):
        return True
    except Exception as error:
        return type(error).__module__.split(".")[0] in {"httpx", "requests", "urllib3"}
    return False
