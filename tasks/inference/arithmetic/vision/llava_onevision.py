"""LLaVA-OneVision: the image once as a whole and in tiles, each through the encoder by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PUBLISHED_GRIDS = tuple(
    (384 * rows, 384 * columns) for rows in range(1, 7) for columns in range(1, 7)
)
"""Heights and widths that an image may be cut into tiles at, as the published models have them."""


@dataclass(frozen=True)
class LlavaOnevisionVision:
    """See `Vision`."""

    hidden: int
    inner: int
    layers: int
    dim: int
    side: int = 384
    patch: int = 14
    grids: tuple[tuple[int, int], ...] = PUBLISHED_GRIDS

    @classmethod
    def of_files(cls, sizes: dict[str, Any], dim: int) -> LlavaOnevisionVision:
        """From config.json and its vision_config."""
        grids = sizes.get("image_grid_pinpoints")
        return cls(
            hidden=sizes["hidden_size"],
            inner=sizes["intermediate_size"],
            layers=sizes["num_hidden_layers"],
            dim=dim,
            side=sizes.get("image_size", cls.side),
            patch=sizes.get("patch_size", cls.patch),
            grids=tuple((h, w) for h, w in grids) if grids else PUBLISHED_GRIDS,
        )

    def tiles(self, width: int, height: int) -> int:
        """The whole image, and the tiles of the grid that keeps most of it and wastes least."""

        def fit(grid: tuple[int, int]) -> tuple[int, int]:
            rows, columns = grid
            scale = min(columns / width, rows / height)
            kept = min(int(width * scale) * int(height * scale), width * height)
            return kept, kept - rows * columns

        rows, columns = max(self.grids, key=fit)
        return 1 + (rows // self.side) * (columns // self.side)

    def image_flops(self, width: int, height: int) -> float:
        """See `Vision.image_flops`."""
        hidden, each = self.hidden, (self.side // self.patch) ** 2
        weights = self.layers * (4 * hidden * hidden + 2 * hidden * self.inner)
        weights += 3 * self.patch**2 * hidden + hidden * self.dim + self.dim * self.dim
        attention = 4.0 * each * each * hidden * self.layers
        return self.tiles(width, height) * (2.0 * each * weights + attention)
