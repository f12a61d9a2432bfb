"""What an image group holds of the engine's caches, and how many groups are in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from pixtrack.tasks.inference.engines.base import Capabilities
from pixtrack.tasks.inference.prompts.base import Draft

KV_CACHE_SHARE = 0.9
"""Of the KV cache, what the groups in flight may hold: the rest is for the engine's own rounding."""

ENCODER_CACHE_SHARE = 1.5
"""Of the engine's cache of image embeddings, what the groups in flight may fill. The followers need
their image's embeddings, if at all, before about half of the groups in flight have passed."""

LEAST_GROUPS = 16
"""Groups in flight that no cache of image embeddings is too small for: what it does not hold is
computed again, which is better than an idle GPU."""

ENDPOINT_GROUPS = 64
"""Groups in flight where neither the KV cache nor a concurrency limit is known."""


@dataclass(frozen=True)
class GroupPlan:
    """What a group holds of the KV cache while it is in flight."""

    shared: int
    """Prompt tokens that all its prompts begin with, in whole blocks of the KV cache (only whole
    blocks are shared): computed once, for the leader."""
    reserved: int
    """KV cache tokens; 0 where unknown."""
    width: int
    """Requests of the group in flight together."""


def plan_group(drafts: Sequence[Draft], max_tokens: int, capabilities: Capabilities) -> GroupPlan:
    """The KV cache tokens of the whole group, or of as many followers at a time as fit a quarter."""
    lengths = [draft.prompt_tokens for draft in drafts if draft.prompt_tokens is not None]
    block = int(capabilities.details.get("block_size") or 1)
    shared = shared_prefix(drafts) // block * block if capabilities.prefix_caching else 0
    if capabilities.kv_cache_tokens is None:
        return GroupPlan(shared, 0, len(drafts))
    longest = capabilities.max_model_len or max(lengths, default=0) + max_tokens
    # A prompt of unknown length may be as long as the model allows.
    lengths = lengths or [longest] * len(drafts)
    own = [_blocks(min(length + max_tokens, longest) - shared, block) for length in lengths]
    whole = _blocks(shared, block) + sum(own)
    quarter = capabilities.kv_cache_tokens // 4
    whole_cache = int(capabilities.kv_cache_tokens * KV_CACHE_SHARE)
    if whole <= quarter:
        return GroupPlan(shared, whole, len(drafts))
    # A document of many pages may take more than a quarter by itself: then it goes with few others.
    room = quarter - shared if shared + max(own) <= quarter else whole_cache - shared
    width = max(1, min(len(own), room // max(own)))
    return GroupPlan(shared, shared + width * max(own), width)


def shared_prefix(drafts: Sequence[Draft]) -> int:
    """The prompt tokens with which all of a group's prompts begin; 0 where it has only one."""
    if len(drafts) < 2:
        return 0
    ids = [draft.token_ids for draft in drafts if draft.token_ids is not None]
    if len(ids) < len(drafts):
        return min(draft.image_tokens for draft in drafts)
    alike = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*ids, strict=False)))
    # One id stands for each image; those within what is alike are the same images in the same order.
    images = [tokens for place, tokens in drafts[0].places if place < alike]
    # The last prompt token is always computed anew.
    shortest = min(draft.prompt_tokens or 0 for draft in drafts)
    return max(0, min(alike - len(images) + sum(images), shortest - 1))


def _blocks(tokens: int, block: int) -> int:
    return -(-tokens // block) * block


class TokenBudget:
    """What the groups in flight hold of the engine's caches; a group larger than all goes alone."""

    def __init__(self, capabilities: Capabilities, max_groups: int | None) -> None:
        cache = capabilities.kv_cache_tokens
        self.total = None if cache is None else int(cache * KV_CACHE_SHARE)
        unknown = (capabilities.max_concurrency or ENDPOINT_GROUPS) if cache is None else None
        limits = [limit for limit in (max_groups, unknown) if limit is not None]
        self.max_groups = min(limits) if limits else None
        encoder = capabilities.details.get("encoder_cache_tokens")
        self.image_total = None if encoder is None else int(encoder * ENCODER_CACHE_SHARE)
        self.taken = 0
        self.image_taken = 0
        self.groups = 0

    def take(self, tokens: int, image_tokens: int = 0) -> bool:
        """Whether there is room for a group; takes it if so."""
        if self.groups:
            if self.max_groups is not None and self.groups >= self.max_groups:
                return False
            if self.total is not None and self.taken + tokens > self.total:
                return False
            crowded = self.groups >= LEAST_GROUPS and self.image_total is not None
            if crowded and self.image_taken + image_tokens > (self.image_total or 0):
                return False
        self.taken += tokens
        self.image_taken += image_tokens
        self.groups += 1
        return True

    def give_back(self, tokens: int, image_tokens: int = 0) -> None:
        """Returns what `take` took."""
        self.taken -= tokens
        self.image_taken -= image_tokens
        self.groups -= 1
