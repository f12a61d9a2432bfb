"""A client of Prefect's API for reports, in which every request has a deadline."""

from __future__ import annotations

import ssl
import time
from typing import Any

import certifi
import httpx

from pixtrack.tasks.servers.reporting import DEADLINE_SECONDS, Reports

_BUSY = {429, 502, 503}
"""Statuses of a server that may accept the request a moment later (while SQLite is locked, say)."""

_AGAIN_AFTER_SECONDS = 0.3
_UNAUTHORISED = {401, 403}


class PrefectApi:
    """An HTTP client of the server in Prefect's settings, with the login in these settings."""

    def __init__(self) -> None:
        from prefect.client.orchestration import get_client
        from prefect.settings import get_current_settings

        settings = get_current_settings().api
        # Without an address Prefect's client starts a server for the process and has its address.
        address = settings.url or str(get_client(sync_client=True).api_url)
        self.address = address.rstrip("/")
        headers = {}
        login: httpx.BasicAuth | None = None
        if settings.auth_string:
            user, _, password = settings.auth_string.get_secret_value().partition(":")
            login = httpx.BasicAuth(user, password)
        elif settings.key:
            headers["Authorization"] = f"Bearer {settings.key.get_secret_value()}"
        context = ssl.create_default_context(cafile=settings.ssl_cert_file or certifi.where())
        if settings.tls_insecure_skip_verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._client = httpx.Client(
            headers=headers,
            auth=login,
            verify=context,
            timeout=DEADLINE_SECONDS,
            follow_redirects=True,
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Sends a request and returns the JSON data of the reply. Raises httpx.HTTPError."""
        request = self._client.build_request(method, f"{self.address}{path}", json=body)
        answer = self.send(request)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def send(self, request: httpx.Request) -> httpx.Response:
        """Sends a request and returns the whole reply; asks a busy server again."""
        deadline = time.monotonic() + DEADLINE_SECONDS - 1
        while True:
            answer = self._client.send(request)
            if answer.status_code not in _BUSY or time.monotonic() > deadline:
                return answer
            time.sleep(_AGAIN_AFTER_SECONDS)


def is_away(error: BaseException) -> bool:
    """Whether the error of a request means that the server is away, so that no other can
    succeed.
    """
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return status >= 500 or status in _UNAUTHORISED
    return isinstance(error, httpx.TransportError)


class ReportedTransport(httpx.BaseTransport):
    """An httpx transport that sends the requests of Prefect's client as reports.

    They keep their place among the other reports, and have the same deadline.
    """

    def __init__(self, api: PrefectApi, reports: Reports) -> None:
        self._api, self._reports = api, reports

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request and returns the reply. Raises httpx.ConnectError where the server is
        away.
        """
        request.read()
        try:
            answer = self._reports.ask(lambda: self._sent(request))
        except ConnectionError as error:
            raise httpx.ConnectError(str(error), request=request) from None
        # The content is already decoded.
        headers = [
            (name, value)
            for name, value in answer.headers.multi_items()
            if name not in ("content-encoding", "content-length", "transfer-encoding")
        ]
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    def _sent(self, request: httpx.Request) -> httpx.Response:
        answer = self._api.send(request)
        if answer.status_code >= 500 or answer.status_code in _UNAUTHORISED:
            answer.raise_for_status()
        return answer
