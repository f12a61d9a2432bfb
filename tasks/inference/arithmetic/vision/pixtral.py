"""Pixtral: an image scaled down to the largest side, in patches that all attend to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PixtralVision:
    """See `Vision`."""

    hidden: int
    inner: int
    layers: int
    dim: int
    patch: int = 16
    largest_side: int = 1024

    @classmethod
    def of_files(cls, sizes: dict[str, Any], dim: int) -> PixtralVision:
        """From params.json's vision_encoder, or config.json's vision_config."""
        patch, side = sizes.get("patch_size", 16), sizes.get("image_size", 1024)
        return cls(
            hidden=sizes["hidden_size"],
            inner=sizes["intermediate_size"],
            layers=sizes["num_hidden_layers"],
            dim=dim,
            patch=patch if isinstance(patch, int) else patch["height"],
            largest_side=sizes.get("max_image_size", side),
        )

    def patches(self, width: int, height: int) -> int:
        """Of an image of that size."""
        ratio = max(width / self.largest_side, height / self.largest_side, 1.0)
        columns, rows = (
            (round(side / ratio) - 1) // self.patch + 1 if side else 0 for side in (width, height)
        )
        return columns * rows

    def image_flops(self, width: int, height: int) -> float:
        """See `Vision.image_flops`."""
        patches, hidden = self.patches(width, height), self.hidden
        weights = self.layers * (4 * hidden * hidden + 3 * hidden * self.inner)
        weights += 3 * self.patch**2 * hidden + hidden * self.dim + self.dim * self.dim
        attention = 4.0 * patches * patches * hidden * self.layers
        return 2.0 * patches * weights + attention
