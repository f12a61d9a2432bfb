"""Prompts of OpenAI-compatible endpoints: chat messages with the images in their places."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixtrack.tasks.images import BadImage, load_image
from pixtrack.tasks.inference.engines.base import EnginePrompt, RequestRefused
from pixtrack.tasks.inference.prompts.base import Draft
from pixtrack.tasks.records import ImageRef, Request

_MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_ORIENTATION = 0x0112


class ChatPrompts:
    """The builder for engines that take chat messages, whose token counts are not known here.

    `options["image_transport"]` is `data` (the image travels in the request) or `file` (its path
    does: for a server on this machine that allows it, `vllm serve --allowed-local-media-path`).
    """

    def __init__(self, options: Mapping[str, Any], max_images: int = 1) -> None:
        self.max_images = max_images
        self.transport = options.get("image_transport", "data")

    def target_size(self, width: int, height: int) -> None:  # noqa: ARG002
        """None: the endpoint resizes images itself."""
        return

    def draft(self, request: Request) -> Draft:
        """A draft without token counts. Raises RequestRefused for too many images."""
        if len(request.images) > self.max_images:
            raise RequestRefused(
                f"{len(request.images)} images, but the model is set up for {self.max_images}: "
                "raise max_images in the model's file"
            )
        return Draft(request=request, prompt_tokens=None, image_tokens=0)

    def prompt(self, draft: Draft, images: Sequence[Any]) -> EnginePrompt:  # noqa: ARG002
        """The messages with the contents of the image files, which it reads: it may block."""
        request = draft.request
        return EnginePrompt(
            request_id=str(request.index),
            messages=tuple(chat_messages(request, self._image_part)),
            image_uuids=tuple(image.sha256 for image in request.images),
        )

    def _image_part(self, image: ImageRef) -> dict[str, Any]:
        try:
            return {"type": "image_url", "image_url": {"url": image_url(image, self.transport)}}
        except BadImage as error:
            raise RequestRefused(f"image {image.path}: {error}") from error


def chat_messages(request: Request, image_part: Any) -> list[dict[str, Any]]:
    """OpenAI chat messages; `image_part(image)` makes the content part of an image."""
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": request.system})
    images = iter(request.images)
    for number, parts in enumerate(request.layout):
        role = "assistant" if number % 2 else "user"
        content: Any = request.turns[number]
        if None in parts:
            content = [
                image_part(next(images)) if part is None else {"type": "text", "text": part}
                for part in parts
            ]
        messages.append({"role": role, "content": content})
    return messages


def image_url(image: ImageRef, transport: str = "data") -> str:
    """The image as a file:// or data: URL.

    Servers treat rotation, transparency, CMYK and 16-bit files differently. So an image that is not
    plain RGB or grey is sent as a PNG of the pixels that `load_image` gives every other engine.
    """
    from PIL import Image

    path = Path(image.path)
    mime = ""
    try:
        with Image.open(path) as opened:
            if (
                opened.mode in ("RGB", "L")
                and "transparency" not in opened.info
                and getattr(opened, "n_frames", 1) == 1
                and opened.getexif().get(_ORIENTATION, 1) == 1
            ):
                mime = _MIME.get(opened.format or "", "")
    except Exception:  # Pillow's parsers raise nearly anything; load_image names the defect
        mime = ""
    if mime and transport == "file":
        return path.resolve().as_uri()
    if mime:
        data = path.read_bytes()
    else:
        buffer = io.BytesIO()
        load_image(path).save(buffer, format="PNG", compress_level=1)
        data, mime = buffer.getvalue(), "image/png"
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
