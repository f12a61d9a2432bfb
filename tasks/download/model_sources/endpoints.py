"""A model behind an endpoint, which has no files on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from pixtrack.configs.endpoint_address import endpoint_url, parse_address, shown_address
from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import EndpointModel, ModelConfig
from pixtrack.tasks.download.model_sources.base import Availability, Fetching
from pixtrack.tasks.transfer import Progress


class NoFiles:
    """Answers for a model that has no files here and none to fetch. See `ModelFiles`."""

    needs_network = True
    made_when_used = False
    repair = ""
    absent = "on the server"

    def __init__(self, config: ModelConfig, source: EndpointModel) -> None:
        self._name = config.name
        self._source = source
        self.address = shown_address(source.base_url) or f"${source.base_url_env}"

    def directory(self, home: Home) -> Path:
        """The model's folder in the data home, which stays empty."""
        return home.models / self._name

    def here(self, home: Home) -> Path | None:  # noqa: ARG002
        """Always None."""
        return None

    def fetch(self, home: Home, how: Fetching) -> Path:  # noqa: ARG002
        """Always raises UserError: there are no files."""
        raise UserError(
            f"{self._name} runs behind an endpoint: there are no files to download; "
            "its server has them"
        )

    def availability(self, home: Home) -> Availability:  # noqa: ARG002
        """Whether an address is configured, and a key where one is needed; the endpoint is not
        asked.
        """
        variable = self._source.base_url_env
        url = endpoint_url(self._source.base_url, variable)
        if not url:
            remedy = f"export {variable}=http://HOST:PORT/v1"
            return Availability("failed", f"{variable} is not set", remedy)
        try:
            address = parse_address(url)
        except UserError as error:
            return Availability("failed", str(error), f"correct source.base_url or {variable}")
        key = "set" if os.environ.get(self._source.api_key_env) else "not set"
        detail = f"endpoint {address.url}, {self._source.api_key_env} {key}"
        return Availability("ok", detail)

    def identity(self, home: Home, progress: Progress | None = None) -> dict[str, str]:  # noqa: ARG002
        """The endpoint's address without its secret parts, and the name of the served model."""
        url = shown_address(endpoint_url(self._source.base_url, self._source.base_url_env))
        return {"endpoint": url, "served_model": self._source.served_model}

    def verify(
        self,
        home: Home,  # noqa: ARG002
        progress: Progress | None = None,  # noqa: ARG002
    ) -> tuple[list[str], int]:
        """Always raises UserError: there are no files."""
        raise UserError(
            f"{self._name} runs behind an endpoint: there are no files to verify; its server has them"
        )
