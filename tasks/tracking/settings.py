"""What is logged beside parameters and metrics: configs/tracking.yaml, typed."""

from __future__ import annotations

from pydantic import Field

from pixtrack.configs.loading import read_yaml
from pixtrack.configs.paths import config_file
from pixtrack.configs.schema import Config


class TraceSettings(Config):
    """Which questions of a run become MLflow traces."""

    failures: int = Field(40, ge=0, description="at most so many of the lowest-scoring questions")
    random: int = Field(20, ge=0, description="and so many drawn at random from the rest")
    seed: int = 0
    image_max_pixels: int = Field(
        1_000_000, ge=10_000, description="larger images are attached reduced to this area"
    )


class SystemMetricsSettings(Config):
    """How often the machine is sampled while the engine works."""

    every_seconds: float = Field(5, gt=0)


class TrackingSettings(Config):
    """configs/tracking.yaml; every key has a default, so the file may be absent."""

    traces: TraceSettings = TraceSettings()
    system_metrics: SystemMetricsSettings = SystemMetricsSettings()


def settings() -> TrackingSettings:
    """The settings of this configuration folder."""
    path = config_file("tracking.yaml")
    return read_yaml(path, TrackingSettings) if path.is_file() else TrackingSettings()
