"""What the shell offers for a name that is being typed: models, datasets, prompts and runs."""

from __future__ import annotations


def model_names(incomplete: str) -> list[str]:
    """The configured models that begin so."""
    from pixtrack.configs.loading import names
    from pixtrack.configs.schema import ModelConfig

    return [name for name in names(ModelConfig) if name.startswith(incomplete)]


def dataset_names(incomplete: str) -> list[str]:
    """The configured datasets and groups that begin so."""
    from pixtrack.configs.loading import names
    from pixtrack.configs.schema import DatasetConfig, DatasetGroup

    known = sorted({*names(DatasetConfig), *names(DatasetGroup)})
    return [name for name in known if name.startswith(incomplete)]


def prompt_names(incomplete: str) -> list[str]:
    """The configured prompts that begin so."""
    from pixtrack.configs.loading import names
    from pixtrack.configs.schema import PromptConfig

    return [name for name in names(PromptConfig) if name.startswith(incomplete)]


def run_names(incomplete: str) -> list[str]:
    """The runs of the data home whose names begin so, and `latest`."""
    from pixtrack.configs.paths import home

    known = ["latest", *sorted(path.parent.name for path in home().runs.glob("*/*/run.json"))]
    return [name for name in known if name.startswith(incomplete)]
