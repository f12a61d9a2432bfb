"""Image groups: which requests share their images, and in what order the groups go."""

from __future__ import annotations

from collections.abc import Iterable

from pixtrack.tasks.records import Request

ImageGroup = list[Request]
"""The requests that show the same images, by content hash, in the order in which they came."""

TAIL_GROUPS = 64
"""The last groups go biggest first; more than are in flight on one GPU."""


def group_by_image(requests: Iterable[Request]) -> list[ImageGroup]:
    """The image groups in order of their first request; the last ones sorted biggest first.

    Followers go last in a group, so a big group that starts last would run alone at the end.
    """
    groups: dict[tuple[object, ...], ImageGroup] = {}
    for request in requests:
        key: tuple[object, ...] = tuple(image.sha256 for image in request.images)
        groups.setdefault(key or (request.index,), []).append(request)
    ordered = list(groups.values())
    tail = sorted(ordered[-TAIL_GROUPS:], key=len, reverse=True)
    return ordered[:-TAIL_GROUPS] + tail
