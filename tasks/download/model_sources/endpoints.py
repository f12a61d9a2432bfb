"""A model behind an endpoint: its files are its server's business."""

from __future__ import annotations

from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import EndpointModel, ModelConfig
from pixtrack.tasks.download.model_sources.base import Availability, Fetching


class NoFiles:
    """There are no files here and none to fetch."""

    needs_network = True
    repair = ""

    def __init__(self, config: ModelConfig, source: EndpointModel) -> None:  # noqa: ARG002
        self._name = config.name

    def directory(self, home: Home) -> Path:
        """Where the files would be: there is nothing in it."""
        return home.models / self._name

    def here(self, home: Home) -> Path | None:  # noqa: ARG002
        """None: they never are."""
        return None

    def fetch(self, home: Home, how: Fetching) -> Path:  # noqa: ARG002
        """Raises UserError."""
        raise UserError(
            f"{self._name} runs behind an endpoint: there are no files to download; "
            "its server has them"
        )

    def availability(self, home: Home) -> Availability:  # noqa: ARG002
        """Nothing is missing."""
        return Availability("ok", "behind an endpoint")
