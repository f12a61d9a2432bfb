"""An endpoint's address in a canonical form, with its secret parts kept apart for requests."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pixtrack.configs.errors import UserError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_VERSION = re.compile(r"v\d+\w*")
"""A part of a path that names the protocol's version: v1, v1beta, v4."""


@dataclass(frozen=True)
class EndpointAddress:
    """The address of an OpenAI-compatible endpoint, with its secret parts apart."""

    url: str
    """Canonical: lower-case host, no default port, no slash at the end, `/v1` where no version is
    given; without user, password and query. What records, logs and fingerprints show."""
    version_given: bool = True
    """Whether the version was part of the address, or `/v1` was added."""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent along with every request: some gateways take the key there."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret parts, which must not be shown."""
        return tuple(filter(None, (self.password, self.user, *(value for _, value in self.query))))


def parse_address(url: str) -> EndpointAddress:
    """Parses an address. Raises UserError, which contains no secrets, for an invalid one."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise UserError(f"{shown_address(url)!r} is no address of an endpoint: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise UserError(
            f"{shown_address(url)!r} is no address of an endpoint: it starts with http:// or "
            "https://, then the host (http://host:port/v1)"
        )
    path = _path(parts)
    given = any(_VERSION.fullmatch(part) for part in path.split("/"))
    return EndpointAddress(
        url=f"{parts.scheme}://{_host(parts, port)}{path}{'' if given else '/v1'}",
        version_given=given,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
    )


def endpoint_url(base_url: str, base_url_env: str) -> str:
    """The configured address: `base_url`, or the value of the environment variable; else ""."""
    return (base_url or os.environ.get(base_url_env, "")).strip()


def shown_address(url: str) -> str:
    """The address without secrets; works for a text that is no address, too."""
    try:
        return parse_address(url).url if url.strip() else ""
    except (UserError, RecursionError):
        return _bare(url)


def _path(parts: SplitResult) -> str:
    return "".join(f"/{part}" for part in parts.path.split("/") if part)


def _host(parts: SplitResult, port: int | None) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"


def _bare(url: str) -> str:
    """The text without what precedes an @ or follows a question mark or a hash."""
    scheme, separator, rest = url.strip().rpartition("://")
    rest = re.split(r"[?#]", rest.rpartition("@")[2])[0]
    return f"{scheme}{separator}{rest}" if scheme.isalpha() else rest
