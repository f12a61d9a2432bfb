"""What an image group's prompts share, who computes it first, and what the group holds of the caches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pixtrack.tasks.inference.engines.base import Capabilities
from pixtrack.tasks.inference.prompts.base import Draft
from pixtrack.tasks.runs.image_groups import ImageStep, image_key, image_path

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
class Branch:
    """Prompts that begin alike: one leads, and the others follow once its prompt is computed."""

    leader: Draft
    """Shows the most images."""
    followers: tuple[Draft, ...]
    """Show only images that the leader's prompt begins with."""
    branches: tuple[Branch, ...]
    """Begin as the leader's prompt does and go on with images of their own; led by one of theirs."""


def plant(drafts: Sequence[Draft]) -> Branch:
    """The drafts of an image group by what their prompts share. `drafts` is not empty.

    All questions on a document that show the same pages are one leader and its followers; those
    that show a page more branch off there.
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
    """Prompt tokens with which both prompts begin; the last of either is always computed anew."""
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
    """What a group holds of the engine's caches while it is in flight."""

    cached: int
    """Prompt tokens, over all its prompts, that are computed for an earlier one already; in whole
    blocks of the KV cache, as only these are shared."""
    reserved: int
    """KV cache tokens; 0 where unknown."""
    image_tokens: int
    """Of all its images, each counted once; 0 where unknown."""
    width: int
    """Requests of the group in flight together."""


def plan_group(branch: Branch, max_tokens: int, capabilities: Capabilities) -> GroupPlan:
    """The KV cache tokens of the whole group, or of as many requests at a time as fit a quarter."""
    block = int(capabilities.details.get("block_size") or 1)
    drafts = list(_cached(branch, block if capabilities.prefix_caching else 0))
    cached = sum(tokens for _, tokens in drafts)
    images = _image_tokens([draft for draft, _ in drafts])
    if capabilities.kv_cache_tokens is None:
        return GroupPlan(cached, 0, images, len(drafts))
    lengths = [draft.prompt_tokens for draft, _ in drafts if draft.prompt_tokens is not None]
    longest = capabilities.max_model_len or max(lengths, default=0) + max_tokens

    def held(draft: Draft, shared: int) -> int:
        # A prompt of unknown length may be as long as the model allows.
        length = longest if draft.prompt_tokens is None else draft.prompt_tokens + max_tokens
        return _blocks(min(length, longest) - shared, block)

    whole = sum(held(draft, tokens) for draft, tokens in drafts)
    quarter = capabilities.kv_cache_tokens // 4
    whole_cache = int(capabilities.kv_cache_tokens * KV_CACHE_SHARE)
    if whole <= quarter:
        return GroupPlan(cached, whole, images, len(drafts))
    shared = min((tokens for _, tokens in drafts[1:]), default=0)
    own = max(held(draft, shared) for draft, _ in drafts)
    # A document of many pages may take more than a quarter by itself: then it goes with few others.
    room = quarter - shared if shared + own <= quarter else whole_cache - shared
    width = max(1, min(len(drafts), room // own))
    return GroupPlan(cached, shared + width * own, images, width)


def _cached(branch: Branch, block: int, above: Draft | None = None) -> Iterator[tuple[Draft, int]]:
    """Each draft with its prompt tokens that are computed before it, leaders first.

    `block`: tokens of a block of the KV cache; 0 where nothing is shared.
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

    def take(self, plan: GroupPlan) -> bool:
        """Whether there is room for a group; takes it if so."""
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
        """Returns what `take` took."""
        self.taken -= plan.reserved
        self.image_taken -= plan.image_tokens
        self.groups -= 1
