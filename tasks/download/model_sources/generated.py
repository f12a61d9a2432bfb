"""A tiny checkpoint with random weights, written when it is first used."""

from __future__ import annotations

import json
from pathlib import Path

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import GeneratedModel, ModelConfig
from pixtrack.tasks.download.completeness import problems
from pixtrack.tasks.download.locking import model_lock
from pixtrack.tasks.download.model_sources.base import Availability, Fetching, writing
from pixtrack.tasks.download.model_sources.on_disk import FilesOnDisk


class GeneratedFiles(FilesOnDisk):
    """Files that this program writes itself, always the same for a seed."""

    needs_network = False
    made_when_used = True
    absent = "made when used"
    repair = "remove the folder: it is written again when it is used"

    def __init__(self, config: ModelConfig, source: GeneratedModel) -> None:
        super().__init__(config)
        self._seed = source.seed
        self.address = f"written locally, seed {source.seed}"

    def directory(self, home: Home) -> Path:
        """The model's folder in the data home."""
        return home.models / self._config.name

    def here(self, home: Home) -> Path | None:
        """The folder if this version wrote it for the configured seed; else None."""
        directory = self.directory(home)
        whole = not problems(directory, self._config.format)
        return directory if whole and self._up_to_date(directory) else None

    def fetch(self, home: Home, how: Fetching) -> Path:  # noqa: ARG002
        """The folder, written first where needed."""
        from pixtrack.tasks.download.generated import write_random_pixtral

        directory = self.directory(home)
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            with model_lock(home, self._config.name):
                if not self._up_to_date(directory) or problems(directory, "mistral"):
                    write_random_pixtral(directory, self._seed)
        return directory

    def availability(self, home: Home) -> Availability:
        """Present, or to be written at first use."""
        if problems(self.directory(home), self._config.format):
            return Availability("ok", f"{self._config.title}: written when it is first used")
        where = self.directory(home)
        return Availability("ok", f"{self._config.title}: files complete in {where}")

    def _up_to_date(self, directory: Path) -> bool:
        """Whether this version wrote the directory for the configured seed."""
        from pixtrack.tasks.download.generated import GENERATOR_VERSION, MARKER

        try:
            made = json.loads((directory / MARKER).read_text(encoding="utf-8"))
            return bool(
                made["generator_version"] == GENERATOR_VERSION and made["seed"] == self._seed
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False
