"""What a schedule did: counts, cache shares and where the front end's time went."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pixtrack.tasks.inference.worker.grouping import GroupPlan
from pixtrack.tasks.records import Answer


@dataclass
class ScheduleStats:
    """Counts of one schedule. Times in seconds."""

    asked: int = 0
    """Requests that got an answer of any kind, refused ones included."""
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
    """Prompt tokens that are computed for an earlier prompt already: all that could be cached."""
    output_tokens: int = 0
    peak_groups: int = 0
    peak_requests: int = 0
    seconds: float = 0.0
    loop_seconds: float = 0.0
    """Processor time of the event loop's thread: what blocks the front end."""
    leader_loop_seconds: float = 0.0
    """Of these, in the requests that brought an image's pixels to the engine."""
    leaders: int = 0
    follower_loop_seconds: float = 0.0
    """Of these, in the other requests."""
    followers: int = 0
    image_seconds: float = 0.0
    """Summed over the worker threads: reading, decoding, resizing images."""

    def note_group(
        self, images: int, plan: GroupPlan, image_seconds: float, in_flight: int
    ) -> None:
        """Counts a group, whose `images` were read in so many seconds, as it starts."""
        self.image_groups += 1
        self.images_read += images
        self.image_seconds += image_seconds
        self.ideal_cached_tokens += plan.cached
        self.peak_groups = max(self.peak_groups, in_flight)

    def note_blocking(self, seconds: float, with_image: bool) -> None:
        """Counts what one request took of the event loop's thread."""
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
        """Prompt tokens served from the prefix cache, of all."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def ideal_cached_share(self) -> float:
        """What the grouping allows at best, of all prompt tokens."""
        return self.ideal_cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def blocking_ms(self) -> tuple[float, float]:
        """Milliseconds of the event loop's thread for a leader and for a follower.

        What no single request can be charged with (the engine's output, planning) is shared out
        evenly.
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
