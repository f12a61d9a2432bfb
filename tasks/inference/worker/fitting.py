"""Fits prompts to the model's context: the dataset's rule for many pages, applied to token counts.

The limit on the number of images is applied before the engine starts (`tasks.runs.requests`). Their
tokens can be counted only here, with the model's own tokenizer.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

from pixtrack.tasks.inference.engines.base import RequestRefused
from pixtrack.tasks.inference.prompts.base import Draft, PromptBuilder
from pixtrack.tasks.records import Request
from pixtrack.tasks.runs.requests import chosen_pages

TEXT_STEP = 256
"""The tokens of the text are rounded up to a multiple of this, so that all questions on a document
show the same pages, which are then computed once."""


def fitting_draft(
    request: Request, builder: PromptBuilder, longest: int | None, answer_tokens: int
) -> Draft:
    """Drafts a prompt, with fewer pages where it is too long and the dataset has a rule for that.

    The chosen pages depend on the arguments alone.

    Args:
        request: the request
        builder: makes the prompt
        longest: the model's max_model_len; None: unknown, nothing is checked
        answer_tokens: tokens that are kept free for the answer when pages are chosen

    Raises:
        RequestRefused: the prompt does not fit
    """
    draft = builder.draft(request)
    if longest is None or draft.prompt_tokens is None:
        return draft
    if request.pages and draft.prompt_tokens + answer_tokens > longest:
        fewer = _fewer_pages(draft, longest - answer_tokens)
        draft = builder.draft(fewer) if fewer is not request else draft
    # vLLM refuses a prompt that leaves no room for a single token of output.
    if (draft.prompt_tokens or 0) >= longest:
        count = len(draft.request.images)
        images = "image" if count == 1 else f"{count} images"
        raise RequestRefused(
            f"prompt of {draft.prompt_tokens:,} tokens ({draft.image_tokens:,} of them for the "
            f"{images}) does not fit max_model_len {longest:,}"
        )
    return draft


def _fewer_pages(draft: Draft, room: int) -> Request:
    """The request with as many pages as fit in `room` tokens, but at least one.

    Pages are the images before the first text, worked examples apart; an image within the text is
    kept in its place, and so are those of the examples.
    """
    request = draft.request
    before = request.shot_images
    examples, (first, *turns) = request.layout[: request.shots], request.layout[request.shots :]
    pages = sum(1 for _ in takewhile(lambda part: part is None, first))
    counts = [tokens for _, tokens in draft.places[before : before + pages]]
    if len(counts) < pages or not pages:
        return request
    text = (draft.prompt_tokens or 0) - sum(counts)
    room -= -(-text // TEXT_STEP) * TEXT_STEP
    for most in range(pages, 0, -1):
        kept = chosen_pages(request.pages, pages, most)
        if sum(counts[page] for page in kept) <= room or most == 1:
            break
    return replace(
        request,
        images=(
            *request.images[:before],
            *(request.images[before + page] for page in kept),
            *request.images[before + pages :],
        ),
        parts=(*examples, (*(None for _ in kept), *first[pages:]), *turns) if request.parts else (),
        left_out=request.left_out + pages - len(kept),
    )
