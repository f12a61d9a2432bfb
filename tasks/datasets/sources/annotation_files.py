"""The source kind `annotations`: an annotation file and a folder of images on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets.annotations import AnnotationSource, local, stamp
from pixtrack.tasks.datasets.rows import BytesCallback, Source
from pixtrack.tasks.datasets.sources.base import nothing_to_keep


class AnnotationKind:
    """The user's own files, whose changes are noticed. See `SourceKind`."""

    def open(
        self,
        config: DatasetConfig,
        home: Home,
        on_bytes: BytesCallback | None = None,  # noqa: ARG002
    ) -> Source:
        """The file and the folder. Raises UserError where one is missing."""
        assert config.source.kind == "annotations"
        return AnnotationSource(config, config.source, home.pages)

    def stamp(self, config: DatasetConfig, described: dict[str, Any]) -> str | None:
        """A stamp over sizes and times of the file and its images."""
        assert config.source.kind == "annotations"
        return stamp(config.source, described)

    def settings(self, config: DatasetConfig) -> dict[str, Any]:
        """The whole source, with absolute paths."""
        source = config.source
        assert source.kind == "annotations"
        described = source.model_dump(mode="json")
        if described["dpi"] == 144 and described["most_pages"] == 1000:
            del described["dpi"], described["most_pages"]  # without PDFs nothing changes
        return {
            **described,
            "qa_file": str(local(source.qa_file)),
            "img_folder": str(local(source.img_folder)),
        }

    def address(self, config: DatasetConfig) -> str:
        """The path of the annotation file."""
        assert config.source.kind == "annotations"
        return f"annotations: {config.source.qa_file}"

    def pinned_annotations(self, config: DatasetConfig) -> str:
        """The sha256 configured for its own file; "" where none is."""
        assert config.source.kind == "annotations"
        return config.source.sha256

    def keep_annotations(self, config: DatasetConfig, home: Home, file: Path) -> None:  # noqa: ARG002
        """Always raises UserError: none is fetched."""
        raise nothing_to_keep(config)

    def annotation_columns(self, config: DatasetConfig) -> dict[str, str]:
        """The configured columns."""
        assert config.source.kind == "annotations"
        return config.source.columns
