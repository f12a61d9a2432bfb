"""Image groups: which prompts begin with the same image, and in what order the groups go.

An engine with a prefix cache computes once what several prompts begin with. Two prompts share
their first n images where the images are the same, by content hash, and so is every text before
the n-th: `image_path` says so image by image.
"""

from __future__ import annotations

from collections.abc import Iterable

from pixtrack.tasks.records import ImageRef, Request

ImageGroup = list[Request]
"""The requests whose prompts begin with the same image, in the order in which they came."""

ImageStep = tuple[tuple[str | None, ...], str]
"""The texts since the image before (None stands between two turns), and the image's key."""

TAIL_GROUPS = 64
"""The number of last groups that are asked in order of size, biggest first. It is larger than the
number of groups in flight on one GPU."""


def group_by_image(requests: Iterable[Request]) -> list[ImageGroup]:
    """The image groups in order of their first request; the last ones sorted biggest first.

    The questions on a document are one group, also where some of them show fewer pages. A request
    without an image is a group of its own. Followers go last in a group, so a big group that
    starts last would run alone at the end.
    """
    groups: dict[tuple[object, ...], ImageGroup] = {}
    for request in requests:
        # Every prompt of a run begins with the same worked examples, if with any.
        shots = request.shot_images
        key: tuple[object, ...] = image_path(request)[shots : shots + 1] or (request.index,)
        groups.setdefault(key, []).append(request)
    ordered = list(groups.values())
    tail = sorted(ordered[-TAIL_GROUPS:], key=len, reverse=True)
    return ordered[:-TAIL_GROUPS] + tail


def image_path(request: Request) -> tuple[ImageStep, ...]:
    """A step for each image of the prompt, in order.

    Prompts with the same first n steps are the same up to and with their n-th image.
    """
    steps: list[ImageStep] = []
    texts: list[str | None] = [request.system]
    images = iter(request.images)
    for turn in request.layout:
        for part in turn:
            if part is None:
                steps.append((tuple(texts), image_key(next(images))))
                texts = []
            else:
                texts.append(part)
        texts.append(None)
    return tuple(steps)


def image_key(image: ImageRef) -> str:
    """What identifies an image: its content hash, or the path of an image without one."""
    return image.sha256 or image.path


def distinct_images(requests: Iterable[Request]) -> list[ImageRef]:
    """The images that the requests show, each once, in order of their first appearance."""
    return list({image_key(one): one for request in requests for one in request.images}.values())
