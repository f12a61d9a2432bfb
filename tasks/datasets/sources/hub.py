"""Parquet files on the Hugging Face hub, or a mirror."""

from __future__ import annotations

from typing import Any

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets.rows import BytesCallback, Source


class HubKind:
    """Pinned to a revision; some datasets pin an annotation file besides."""

    def open(
        self, config: DatasetConfig, home: Home, on_bytes: BytesCallback | None = None
    ) -> Source:
        """The repository at its revision, and its files."""
        # Imported on use: the hub's client takes half a second that the others need not wait.
        from pixtrack.tasks.datasets.hub_source import HubSource

        assert config.source.kind == "hub"
        return HubSource(config, config.source, home, on_bytes)

    def stamp(self, config: DatasetConfig, described: dict[str, Any]) -> str | None:  # noqa: ARG002
        """None: a revision does not change."""
        return None

    def settings(self, config: DatasetConfig) -> dict[str, Any]:
        """The whole source."""
        described = config.source.model_dump(mode="json")
        # Not to prepare again what is unchanged.
        for added in ("image_columns", "option_columns", "optional_images", "documents"):
            if not described[added]:
                del described[added]
        return described

    def address(self, config: DatasetConfig) -> str:
        """Repository and revision."""
        assert config.source.kind == "hub"
        return f"hub: {config.source.repo} @ {config.source.revision[:12]}"

    def pinned_annotations(self, config: DatasetConfig) -> str:
        """Of the file whose order and golds the samples follow."""
        assert config.source.kind == "hub"
        return config.source.annotations_sha256

    def annotation_columns(self, config: DatasetConfig) -> dict[str, str]:
        """Those of the parquet files, unless an annotation file is pinned, which has its own.

        Published files call question and image so; the hub's parquet files often do not.
        """
        assert config.source.kind == "hub"
        if config.source.annotations_file:
            return {}
        return {**config.source.columns, "image": "image", "question": "question"}
