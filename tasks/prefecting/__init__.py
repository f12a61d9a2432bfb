"""How every step becomes a Prefect task: no result caching, retries only where they can help."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

F = TypeVar("F", bound=Callable[..., Any])


def step(name: str, *, network_retries: int = 0) -> Callable[[F], F]:
    """A task of that name within a flow run, the plain function elsewhere.

    `network_retries`: how often a network failure is tried again. Nothing is cached by Prefect: a
    step that can be skipped knows it itself, from digests; and what the user has to mend
    (UserError) is never tried again, since it cannot succeed.
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
            chosen = function if FlowRunContext.get() is None else as_task
            return chosen(*arguments, **named)

        return cast(F, called)

    return decorated


def _network_failed(_task: Any, _run: Any, state: Any) -> bool:
    try:
        state.result()
    except (ConnectionError, TimeoutError):
        return True
    except Exception as error:
        return type(error).__module__.split(".")[0] in {"httpx", "requests", "urllib3"}
    return False
