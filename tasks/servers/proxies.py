"""Makes requests to this machine bypass every proxy, in all clients and children.

The client libraries read the same variables in different ways: httpx (Prefect, the hub, the
endpoint), requests (MLflow), urllib and websockets. So the variables are corrected once in the
environment at the start of the process; children inherit it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping

from pixtrack.configs.addresses import host_of, is_loopback, shown, without_passwords

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_EXCEPTIONS = "NO_PROXY"

_LOOPBACK = ("localhost", ".localhost", "127.0.0.1", "::1")

_ADDRESSES = (
    "PREFECT_API_URL",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_S3_ENDPOINT_URL",
    "OPENAI_BASE_URL",
    "HF_ENDPOINT",
    "MODELSCOPE_DOMAIN",
)
"""Variables that may name a server on this machine by another of its addresses (127.0.0.2)."""


def keep_loopback_direct(environment: MutableMapping[str, str] = os.environ) -> list[str]:
    """Adds this machine's own addresses to NO_PROXY, and removes entries that clients cannot read.

    Returns a line for each removed entry. Does nothing where no proxy is set.
    """
    if not any(_set(environment, _PROXIES)):
        return []
    dropped = list(_drop_proxies(environment))
    kept, lines = _readable_exceptions(environment)
    dropped += lines
    if "*" not in kept:
        kept = list(dict.fromkeys([*kept, *_LOOPBACK, *_loopback_addresses(environment)]))
    for name in (_EXCEPTIONS, _EXCEPTIONS.lower()):
        environment[name] = ",".join(kept)
    return dropped


def _set(environment: Mapping[str, str], names: tuple[str, ...]) -> Iterator[str]:
    """The variables of these names that are set, in lower case too, as clients read them."""
    for name in names:
        for spelling in (name, name.lower()):
            if environment.get(spelling, "").strip():
                yield spelling


def _drop_proxies(environment: MutableMapping[str, str]) -> Iterator[str]:
    for name in [*_set(environment, _PROXIES)]:
        problem = _httpx_problem({name: environment[name]})
        if problem:
            yield f"{name}={shown(environment[name])} is not used: {problem}"
            del environment[name]


def _readable_exceptions(environment: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The entries of NO_PROXY that every client can read, and a line for each of the others."""
    kept, lines = [], []
    for name in _set(environment, (_EXCEPTIONS,)):
        for entry in (part.strip() for part in environment[name].split(",")):
            if not entry or entry in kept:
                continue
            problem = _httpx_problem({"HTTP_PROXY": "http://127.0.0.1:9", _EXCEPTIONS: entry})
            if problem:
                lines.append(f"{name}: {entry!r} is not used: {problem}")
            else:
                kept.append(entry)
    return kept, list(dict.fromkeys(lines))


def _httpx_problem(variables: Mapping[str, str]) -> str:
    """Why httpx does not accept these variables, in a few words; "" if it does.

    httpx itself raises only when a client is made, somewhere in another library.
    """
    import httpx

    names = (*_PROXIES, _EXCEPTIONS)
    saved = {name: os.environ.pop(name) for name in [*_set(os.environ, names)]}
    os.environ.update(variables)
    try:
        httpx.Client(verify=False).close()
    except ImportError:
        return "it is a SOCKS proxy, which needs a package (pip install 'httpx[socks]')"
    except Exception as error:  # ValueError, InvalidURL, UnicodeError: it depends on the version
        return f"it cannot be read ({without_passwords(str(error) or type(error).__name__)})"
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(saved)
    return ""


def _loopback_addresses(environment: Mapping[str, str]) -> Iterator[str]:
    for name in _set(environment, _ADDRESSES):
        host = host_of(environment[name]) or host_of(f"//{environment[name]}")
        if is_loopback(host):
            yield host
