"""Qwen2.5-VL: patches at the image's own size, most layers see a window; four become a token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Qwen25Vision:
    """See `Vision`."""

    hidden: int
    inner: int
    layers: int
    dim: int
    patch: int = 14
    merge: int = 2
    frames: int = 2
    """An image goes in twice, as a film of so many frames."""
    window: int = 112
    """Side of a window in pixels."""
    full_layers: int = 4
    """Layers in which every patch attends to every other."""
    least_pixels: int = 56 * 56
    most_pixels: int = 28 * 28 * 16384

    @classmethod
    def of_files(cls, sizes: dict[str, Any], dim: int) -> Qwen25Vision:
        """From config.json's vision_config and the processor's own file."""
        area = sizes.get("size") or {}
        return cls(
            hidden=sizes["hidden_size"],
            inner=sizes["intermediate_size"],
            layers=sizes.get("depth") or sizes["num_hidden_layers"],
            dim=dim,
            patch=sizes.get("patch_size", cls.patch),
            merge=sizes.get("spatial_merge_size", cls.merge),
            frames=sizes.get("temporal_patch_size", cls.frames),
            window=sizes.get("window_size", cls.window),
            full_layers=len(sizes.get("fullatt_block_indexes", range(cls.full_layers))),
            least_pixels=sizes.get("min_pixels") or area.get("shortest_edge") or cls.least_pixels,
            most_pixels=sizes.get("max_pixels") or area.get("longest_edge") or cls.most_pixels,
        )

    def patches(self, width: int, height: int) -> int:
        """Of an image of that size: both sides become multiples of a merged patch."""
        unit = self.patch * self.merge
        area = width * height
        sides = [max(unit, round(side / unit) * unit) for side in (width, height)]
        if sides[0] * sides[1] > self.most_pixels:
            ratio = math.sqrt(area / self.most_pixels)
            sides = [max(unit, int(side / ratio // unit) * unit) for side in (width, height)]
        elif sides[0] * sides[1] < self.least_pixels:
            ratio = math.sqrt(self.least_pixels / area)
            sides = [math.ceil(side * ratio / unit) * unit for side in (width, height)]
        return (sides[0] // self.patch) * (sides[1] // self.patch)

    def image_flops(self, width: int, height: int) -> float:
        """See `Vision.image_flops`."""
        patches, hidden = self.patches(width, height), self.hidden
        weights = self.layers * (4 * hidden * hidden + 3 * hidden * self.inner)
        weights += 3 * self.frames * self.patch**2 * hidden
        seen = self.full_layers * patches
        seen += (self.layers - self.full_layers) * min(patches, (self.window // self.patch) ** 2)
        merged = hidden * self.merge**2
        projector = merged * merged + merged * self.dim
        attention = 4.0 * patches * seen * hidden
        return 2.0 * patches * weights + 2.0 * patches / self.merge**2 * projector + attention
