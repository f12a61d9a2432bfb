"""The shipped datasets, models and prompts, from their YAML."""

from __future__ import annotations

from docs.pages.markdown import code, table, text
from pixtrack.configs.loading import load_all
from pixtrack.configs.schema import (
    DatasetConfig,
    DatasetGroup,
    ModelConfig,
    PromptConfig,
    PublishedScore,
)
from pixtrack.tasks.datasets.sources import source_kind
from pixtrack.tasks.scoring.metrics import metric_of


def datasets() -> str:
    """A table of all datasets and groups, then each one's facts."""
    found, _ = load_all(DatasetConfig)
    rows = [
        (f"[{text(one.name)}](#{one.name})", _number(one.questions), _number(one.images),
         text(metric_of(one, one.headline).title), code(one.prompt))
        for one in found
    ]  # fmt: skip
    parts = [
        "# Datasets\n\nAdding one is adding a file; see [your own data](../how-to/own-data.md).\n",
        table(("dataset", "questions", "images", "headline", "prompt"), rows),
        "## Groups\n\nA group's name goes where a dataset's does; its datasets are asked with one"
        " engine start.\n",
    ]
    for group in load_all(DatasetGroup)[0]:
        members = ", ".join(code(name) for name in group.datasets)
        parts.append(f"- {code(group.name)}, {text(group.title)}: {members}. {text(group.notes)}")
    parts.append("\n## Each dataset\n")
    for one in found:
        metrics = ", ".join(code(name) for name in one.metrics)
        facts = [
            ("source", text(source_kind(one).address(one))),
            ("also called", ", ".join(map(code, one.aliases))),
            ("licence", text(one.licence)),
            ("metrics", metrics),
            ("prompt", f"{code(one.prompt)}. {text(one.prompt_reason)}"),
            ("notes", text(one.notes)),
        ]
        parts.append(f"### {text(one.title)} {{#{one.name}}}\n")
        parts.append("\n".join(f"- **{key}**: {value}" for key, value in facts if value))
        parts.append(_published(one.published_scores, "model"))
    return "\n".join(parts)


def models() -> str:
    """A table of all models, then each one's card."""
    found, _ = load_all(ModelConfig)
    rows = [
        (f"[{text(one.name)}](#{one.name})", text(one.title), f"{one.parameters_billions:g}",
         text(one.source.kind), text(one.memory or "–"), text(one.licence))
        for one in found
    ]  # fmt: skip
    parts = [
        "# Models\n\nAdding one is adding a file; see [your own model](../how-to/own-model.md)."
        " `pixtrack check --model NAME` says whether one fits your machine.\n",
        table(("model", "title", "parameters, 10⁹", "source", "GPU memory", "licence"), rows),
    ]
    for one in found:
        parts.append(f"## {text(one.title)} {{#{one.name}}}\n")
        if not one.card.strip().endswith(".md"):
            parts.append(text(one.card) + "\n")
        options = ", ".join(code(f"{key}={value}") for key, value in one.engine.items())
        facts = [
            ("name", code(one.name)),
            ("engine options", options),
            ("images in a prompt", str(one.max_images)),
            ("notes", text(one.notes)),
        ]
        parts.append("\n".join(f"- **{key}**: {value}" for key, value in facts if value))
        parts.append(_published(one.published_scores, "dataset"))
    return "\n".join(parts)


def prompts() -> str:
    """Each prompt's words, and what differs for a dataset."""
    parts = [
        "# Prompts\n\nHow questions are put, and how a prediction is made of what comes back.\n"
    ]
    for one in load_all(PromptConfig)[0]:
        steps = ", ".join(map(code, one.postprocess)) or "none"
        parts.append(
            f"## {text(one.name)}\n\n{text(one.title)}. {text(one.source)}\n\n"
            f"- up to {one.max_new_tokens} tokens; post-processing: {steps}\n"
            f"- {text(one.notes) or 'no notes'}\n\n```text\n{one.template}\n```\n"
        )
        for name, variant in one.datasets.items():
            changed = variant.model_dump(exclude={"reason"}, exclude_none=True)
            said = "; ".join(f"{key} {code(repr(value))}" for key, value in changed.items())
            parts.append(f"- for {code(name)}: {said}. {text(variant.reason)}")
    return "\n".join(parts)


def _published(scores: tuple[PublishedScore, ...], of: str) -> str:
    """Scores that somebody else measured; said to be theirs."""
    if not scores:
        return ""
    rows = [
        (text(getattr(one, of)), f"{one.value:.1f}", text(one.metric), text(one.by), text(one.note))
        for one in scores
    ]
    heading = "\nPublished by others, not measured here:\n\n"
    return heading + table((of, "score", "metric", "measured by", "note"), rows)


def _number(value: int) -> str:
    return f"{value:,}" if value else "–"
