"""The interface of a vision encoder's arithmetic."""

from __future__ import annotations

from typing import Any, Protocol


class Vision(Protocol):
    """The operations of one family's vision encoder and projector; a multiply-add counts 2."""

    @classmethod
    def of_files(cls, sizes: dict[str, Any], dim: int) -> Vision:
        """From the model's own files: what they say of the encoder and the processor, in one dict.

        What `sizes` leaves out is taken as the family's published models have it; `dim` is the
        language model's width.
        """
        ...

    def image_flops(self, width: int, height: int) -> float:
        """One image of that size in pixels, before the processor resizes it."""
        ...
