"""Addresses of servers and databases: hides passwords in them, and recognises this machine's own.

Every address that is printed, logged or stored, or that is part of an error, goes through this
module, so that a password in it is used for requests only.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urlsplit, urlunsplit

_SERVERS = {"http", "https", "ws", "wss"}

_SECRET_PARAMETER = re.compile(
    r"([?&](?:\w*(?:pass|pwd|token|secret)\w*|(?:\w+[_-])?key|apikey|odbc_connect)=)[^&#\s]*",
    re.IGNORECASE,
)
"""Database drivers and gateways take a password among the address's parameters too."""

_DATABASE_LOGIN = re.compile(r"^([^:/@?]*):[^@?]*@")
"""SQLAlchemy takes a password that holds slashes."""

_LOGIN_IN_TEXT = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@'\"]*):[^\s@'\"]*@", re.IGNORECASE)


def shown(address: str) -> str:
    """The address with `***` in place of a password, wherever it is in the address."""
    address = _SECRET_PARAMETER.sub(r"\1***", address)
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    if scheme.lower() not in _SERVERS:
        rest = _DATABASE_LOGIN.sub(r"\1:***@", rest)
    authority, slash, path = rest.partition("/")
    login, at, host = authority.rpartition("@")
    if not at:
        return f"{scheme}{separator}{rest}"
    user, colon, _ = login.partition(":")
    if colon:
        user = f"{user}:***"
    elif scheme.lower() in _SERVERS:
        user = "***"  # a token in the user's place
    return f"{scheme}{separator}{user}@{host}{slash}{path}"


def openable(address: str) -> str:
    """The address for a link in a browser: without user, password and final slash."""
    scheme, separator, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}".rstrip("/")


def without_passwords(text: str) -> str:
    """A text from elsewhere, with `***` in place of every password in an address in it."""
    return _SECRET_PARAMETER.sub(r"\1***", _LOGIN_IN_TEXT.sub(r"\1:***@", text))


def split_login(address: str) -> tuple[str, str]:
    """A server's address without its login, and the login as `user:password` ("" without one).

    Raises ValueError for a text that is no address.
    """
    parts = urlsplit(address)
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return address, ""
    user, _, password = login.partition(":")
    return urlunsplit(parts._replace(netloc=host)), f"{unquote(user)}:{unquote(password)}"


def host_of(address: str) -> str:
    """The host that an address names, in lower case and without brackets; "" where it has none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether that host name or IP address is this machine's own, reached without a network."""
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback)
