"""Statistics of a schedule: counts, cache shares, and what took the event loop's time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pixtrack.tasks.inference.worker.grouping import GroupPlan
from pixtrack.tasks.records import Answer


@dataclass
class ScheduleStats:
    """Counts of one schedule. Times in seconds."""

    asked: int = 0
    """Requests with an answer of any kind, refused ones included."""
    refused: int = 0
    failed: int = 0
    """Answers of kind `error`."""
    truncated: int = 0
    image_groups: int = 0
    images_read: int = 0
    images_resent: int = 0
    """Images sent again because the engine had dropped them before their followers came."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    ideal_cached_tokens: int = 0
    """Prompt tokens that were computed for an earlier prompt: the most that can come from the
    cache."""
    output_tokens: int = 0
    peak_groups: int = 0
    peak_requests: int = 0
    seconds: float = 0.0
    loop_seconds: float = 0.0
    """Processor time of the event loop's thread, in which every other request waits."""
    leader_loop_seconds: float = 0.0
    """The part of it in requests that sent an image's pixels to the engine."""
    leaders: int = 0
    follower_loop_seconds: float = 0.0
    """The part of it in the other requests."""
    followers: int = 0
    image_seconds: float = 0.0
    """Time for reading, decoding and resizing images, summed over the worker threads."""

    def note_group(
        self, images: int, plan: GroupPlan, image_seconds: float, in_flight: int
    ) -> None:
        """Counts a group at its start.

        Args:
            images: its number of images
            plan: its plan
            image_seconds: the time that reading its images took
            in_flight: the groups in flight, this one included
        """
        self.image_groups += 1
        self.images_read += images
        self.image_seconds += image_seconds
        self.ideal_cached_tokens += plan.cached
        self.peak_groups = max(self.peak_groups, in_flight)

    def note_blocking(self, seconds: float, with_image: bool) -> None:
        """Adds the event loop time of one request."""
        if with_image:
            self.leaders += 1
            self.leader_loop_seconds += seconds
        else:
            self.followers += 1
            self.follower_loop_seconds += seconds

    def note_answer(self, answer: Answer) -> None:
        """Counts an answer."""
        self.asked += 1
        self.refused += answer.finish_reason == "refused"
        self.failed += answer.finish_reason == "error"
        self.truncated += answer.finish_reason == "length"
        self.prompt_tokens += answer.prompt_tokens
        self.cached_tokens += answer.cached_tokens
        self.output_tokens += answer.output_tokens

    @property
    def cached_share(self) -> float:
        """The share of prompt tokens that came from the prefix cache."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def ideal_cached_share(self) -> float:
        """The largest share of prompt tokens that could come from the cache with this grouping."""
        return self.ideal_cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def blocking_ms(self) -> tuple[float, float]:
        """Milliseconds of the event loop's thread for a leader and for a follower.

        Time that belongs to no single request (the engine's output, planning) is divided equally.
        """
        requests = self.leaders + self.followers
        if not requests:
            return 0.0, 0.0
        own = self.leader_loop_seconds + self.follower_loop_seconds
        shared = max(0.0, self.loop_seconds - own) / requests
        return (
            1000 * (self.leader_loop_seconds / max(1, self.leaders) + shared),
            1000 * (self.follower_loop_seconds / max(1, self.followers) + shared),
        )

    def to_json(self) -> dict[str, Any]:
        """Fields and shares, JSON-ready."""
        return {
            **asdict(self),
            "cached_share": self.cached_share,
            "ideal_cached_share": self.ideal_cached_share,
            "front_end_ms": 1000 * self.loop_seconds / self.asked if self.asked else 0.0,
            "leader_ms": self.blocking_ms[0],
            "follower_ms": self.blocking_ms[1],
            "image_ms": 1000 * self.image_seconds / self.images_read if self.images_read else 0.0,
        }
