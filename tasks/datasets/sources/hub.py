"""The source kind `hub`: parquet files on the Hugging Face hub, or a mirror."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets.rows import BytesCallback, Source


class HubKind:
    """Files at a pinned revision, and for some datasets a pinned annotation file. See
    `SourceKind`.
    """

    def open(
        self, config: DatasetConfig, home: Home, on_bytes: BytesCallback | None = None
    ) -> Source:
        """Pins the repository to its commit and opens its files."""
        # Imported here, because the hub's client takes half a second to import.
        from pixtrack.tasks.datasets.hub_source import HubSource

        assert config.source.kind == "hub"
        return HubSource(config, config.source, home, on_bytes)

    def stamp(self, config: DatasetConfig, described: dict[str, Any]) -> str | None:  # noqa: ARG002
        """None: the files of a revision do not change."""
        return None

    def settings(self, config: DatasetConfig) -> dict[str, Any]:
        """The whole source."""
        described = config.source.model_dump(mode="json")
        # Keys that have their default are left out, so that older datasets keep their settings.
        for added in ("image_columns", "option_columns", "optional_images", "documents"):
            if not described[added]:
                del described[added]
        return described

    def address(self, config: DatasetConfig) -> str:
        """Repository and revision."""
        assert config.source.kind == "hub"
        return f"hub: {config.source.repo} @ {config.source.revision[:12]}"

    def pinned_annotations(self, config: DatasetConfig) -> str:
        """The sha256 of the annotation file that decides order and golds; "" where none is
        pinned.
        """
        assert config.source.kind == "hub"
        return config.source.annotations_sha256

    def keep_annotations(self, config: DatasetConfig, home: Home, file: Path) -> None:
        """Checks the copy against the pinned sha256 and keeps it in the data home."""
        from pixtrack.tasks.datasets.pinned import keep

        assert config.source.kind == "hub"
        keep(config, config.source, home, file)

    def annotation_columns(self, config: DatasetConfig) -> dict[str, str]:
        """The columns of the parquet files; {} where an annotation file is pinned.

        A published annotation file has the default keys; the hub's parquet files often have others.
        """
        assert config.source.kind == "hub"
        if config.source.annotations_file:
            return {}
        return {**config.source.columns, "image": "image", "question": "question"}
