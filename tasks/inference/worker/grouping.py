"""Plans an image group: what its prompts share, which one leads, and how much cache the group
needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pixtrack.tasks.inference.engines.base import Capabilities
from pixtrack.tasks.inference.prompts.base import Draft
from pixtrack.tasks.runs.image_groups import ImageStep, image_key, image_path

KV_CACHE_SHARE = 0.9
"""Share of the KV cache that groups in flight may hold; the rest is for rounding in the engine."""

ENCODER_CACHE_SHARE = 0.7
"""Share of the engine's cache of image embeddings that groups in flight may fill.

Followers need the embeddings of their image's last tokens. Where these have made way for other
images, the vision encoder computes the image once more: on an H100 Qwen2.5-VL-7B answered 12.6
questions/s with one and a half times what the cache holds in flight, and 16.2 with this share
(bench/measured/h100-every-model.txt)."""

LEAST_GROUPS = 8
"""This many groups are in flight however small the cache of image embeddings: computing embeddings
again is better than an idle GPU."""

ENDPOINT_GROUPS = 64
"""Groups in flight where neither the KV cache nor a concurrency limit is known."""


@dataclass(frozen=True)
class Branch:
    """Prompts that begin in the same way: the leader's is computed first, the others follow."""

    leader: Draft
    """The prompt with the most images."""
    followers: tuple[Draft, ...]
    """Prompts whose images are among those that the leader's prompt begins with."""
    branches: tuple[Branch, ...]
    """Prompts that begin like the leader's and continue with other images, each set with a leader
    of its own."""


def plant(drafts: Sequence[Draft]) -> Branch:
    """Arranges the drafts of an image group, which must not be empty, by what their prompts share.

    Questions on a document that show the same pages are one leader and its followers; those that
    show other pages after common ones form branches.
    """
    paths = {id(draft): image_path(draft.request) for draft in drafts}
    return _plant(drafts, paths, 0)


def _plant(drafts: Sequence[Draft], paths: dict[int, tuple[ImageStep, ...]], depth: int) -> Branch:
    leader = max(drafts, key=lambda draft: len(paths[id(draft)]))
    path = paths[id(leader)]
    followers: list[Draft] = []
    others: dict[tuple[int, ImageStep], list[Draft]] = {}
    for draft in drafts:
        if draft is leader:
            continue
        own = paths[id(draft)]
        shared = depth
        while shared < len(own) and own[shared] == path[shared]:
            shared += 1
        if shared == len(own):
            followers.append(draft)
        else:
            others.setdefault((shared, own[shared]), []).append(draft)
    branches = [_plant(group, paths, shared + 1) for (shared, _), group in others.items()]
    return Branch(leader, tuple(followers), tuple(branches))


def common_tokens(one: Draft, other: Draft) -> int:
    """The number of tokens with which both prompts begin.

    The last token of a prompt never counts, because it is always computed again.
    """
    if one.token_ids is None or other.token_ids is None:
        return min(one.image_tokens, other.image_tokens)
    images = zip(one.request.images, other.request.images, strict=False)
    places = dict(one.places)
    alike = 0
    for place, (token, its) in enumerate(zip(one.token_ids, other.token_ids, strict=False)):
        if token != its:
            break
        if place in places:  # one id stands for the whole image
            pair = next(images, None)
            if pair is None or image_key(pair[0]) != image_key(pair[1]):
                break
        alike += places.get(place, 1)
    shortest = min(one.prompt_tokens or 0, other.prompt_tokens or 0)
    return max(0, min(alike, shortest - 1))


@dataclass(frozen=True)
class GroupPlan:
    """What a group needs of the engine's caches while it is in flight."""

    cached: int
    """Prompt tokens of the group that were computed for an earlier prompt, in whole blocks of the
    KV cache, since only these are shared."""
    reserved: int
    """KV cache tokens; 0 where unknown."""
    image_tokens: int
    """Tokens of all its images, each counted once; 0 where unknown."""
    width: int
    """Requests of the group in flight together."""


def plan_group(
    branch: Branch, max_tokens: int, capabilities: Capabilities, above: Draft | None = None
) -> GroupPlan:
    """Plans a group: all of its requests at once, or as many as fit in a quarter of the KV
    cache.

    `above` is a prompt of another group that begins with the same worked examples: their tokens are
    computed and kept for it already.
    """
    block = int(capabilities.details.get("block_size") or 1)
    drafts = list(_cached(branch, block if capabilities.prefix_caching else 0, above))
    cached = sum(tokens for _, tokens in drafts)
    images = _image_tokens([draft for draft, _ in drafts])
    if capabilities.kv_cache_tokens is None:
        return GroupPlan(cached, 0, images, len(drafts))
    lengths = [draft.prompt_tokens for draft, _ in drafts if draft.prompt_tokens is not None]
    longest = capabilities.max_model_len or max(lengths, default=0) + max_tokens

    def held(draft: Draft, shared: int) -> int:
        # A prompt of unknown length is counted as the longest that the model allows.
        length = longest if draft.prompt_tokens is None else draft.prompt_tokens + max_tokens
        return _blocks(min(length, longest) - shared, block)

    whole = sum(held(draft, tokens) for draft, tokens in drafts)
    quarter = capabilities.kv_cache_tokens // 4
    whole_cache = int(capabilities.kv_cache_tokens * KV_CACHE_SHARE)
    if whole <= quarter:
        return GroupPlan(cached, whole, images, len(drafts))
    shared = min((tokens for _, tokens in drafts[1:]), default=0)
    own = max(held(draft, shared) for draft, _ in drafts)
    # A document of many pages may need more than a quarter by itself; then few others run beside
    # it.
    room = quarter - shared if shared + own <= quarter else whole_cache - shared
    width = max(1, min(len(drafts), room // own))
    return GroupPlan(cached, shared + width * own, images, width)


def _cached(branch: Branch, block: int, above: Draft | None = None) -> Iterator[tuple[Draft, int]]:
    """Each draft with the number of its tokens that were computed before it, leaders first.

    Args:
        branch: the group, or a branch of it
        block: tokens of a block of the KV cache; 0 where nothing is shared
        above: the leader that the branch starts from
    """

    def shared(draft: Draft, earlier: Draft | None) -> int:
        return common_tokens(draft, earlier) // block * block if block and earlier else 0

    yield branch.leader, shared(branch.leader, above)
    for follower in branch.followers:
        yield follower, shared(follower, branch.leader)
    for further in branch.branches:
        yield from _cached(further, block, branch.leader)


def _image_tokens(drafts: Sequence[Draft]) -> int:
    tokens: dict[str, int] = {}
    for draft in drafts:
        for image, (_, count) in zip(draft.request.images, draft.places, strict=False):
            tokens[image_key(image)] = count
    return sum(tokens.values()) or max(draft.image_tokens for draft in drafts)


def _blocks(tokens: int, block: int) -> int:
    return -(-tokens // block) * block


class TokenBudget:
    """Keeps account of the engine's caches; a group that needs more than all of them runs alone."""

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

    def take(self, plan: GroupPlan) -> bool:
        """Reserves the room for a group if there is enough; returns whether there was."""
        if self.groups:
            if self.max_groups is not None and self.groups >= self.max_groups:
                return False
            if self.total is not None and self.taken + plan.reserved > self.total:
                return False
            crowded = self.groups >= LEAST_GROUPS and self.image_total is not None
            if crowded and self.image_taken + plan.image_tokens > (self.image_total or 0):
                return False
        self.taken += plan.reserved
        self.image_taken += plan.image_tokens
        self.groups += 1
        return True

    def give_back(self, plan: GroupPlan) -> None:
        """Frees the room that `take` reserved."""
        self.taken -= plan.reserved
        self.image_taken -= plan.image_tokens
        self.groups -= 1
