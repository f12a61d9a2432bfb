"""The card of a dataset: its configuration and source and, once prepared, what it contains."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pixtrack.configs.loading import load_all
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig, PromptConfig
from pixtrack.tasks.datasets.manifest import folder, read_manifest
from pixtrack.tasks.datasets.preparation import load_prepared
from pixtrack.tasks.datasets.sources import source_kind
from pixtrack.tasks.records import Sample


def card(config: DatasetConfig, home: Home) -> dict[str, Any]:
    """The card as JSON-ready data; `prepared` is None before the dataset is prepared."""
    prompts, broken = load_all(PromptConfig)
    return {
        "name": config.name,
        "aliases": list(config.aliases),
        "title": config.title,
        "source": config.source.model_dump(mode="json", exclude_defaults=True)
        | {"kind": config.source.kind},
        "licence": config.licence,
        "row_format": config.row_format,
        "version": config.version,
        "questions": config.questions or None,
        "images": config.images or None,
        "metrics": list(config.metrics),
        "headline": config.headline,
        "max_failed_fraction": config.max_failed_fraction,
        "prompt": config.prompt,
        "prompt_reason": config.prompt_reason,
        "prompts": [_prompt(prompt, config) for prompt in prompts],
        "broken_prompts": [str(error) for error in broken],
        "published_scores": [score.model_dump() for score in config.published_scores],
        "notes": config.notes,
        "prepared": _prepared(config, home),
    }


def address(config: DatasetConfig) -> str:
    """Where the dataset comes from, in a few words for a list."""
    return source_kind(config).address(config)


def _prompt(prompt: PromptConfig, config: DatasetConfig) -> dict[str, Any]:
    here = prompt.for_dataset(config.name)
    variant = prompt.datasets.get(config.name)
    return {
        "name": prompt.name,
        "title": prompt.title,
        "default": prompt.name == config.prompt,
        "source": prompt.source,
        "system": here.system,
        "template": here.template,
        "max_new_tokens": here.max_new_tokens,
        "postprocess": list(here.postprocess),
        "reason": variant.reason if variant else "",
    }


def _prepared(config: DatasetConfig, home: Home) -> dict[str, Any] | None:
    ready = load_prepared(config, home)
    manifest = read_manifest(folder(home, config.name))
    if ready is None or manifest is None:
        return None
    samples = ready.samples
    asked = [sample for sample in samples if not sample.error]
    groups = Counter(
        image for sample in asked for image in {image.sha256 for image in sample.images}
    )
    shown = {i.sha256: (i.width, i.height) for sample in asked for i in sample.images}
    sizes = sorted(shown.values(), key=lambda wh: wh[0] * wh[1])
    return {
        "digest": ready.digest,
        "gold_digest": manifest.gold_digest,
        "prepared_at": manifest.prepared_at,
        "seconds": manifest.seconds,
        "directory": str(ready.directory),
        "source": manifest.source,
        "notes": manifest.notes,
        "samples": len(samples),
        "failed": len(samples) - len(asked),
        "failures": [sample.error for sample in samples if sample.error][:10],
        "images": len(groups),
        "image_bytes": manifest.image_bytes,
        "questions_an_image": _spread(sorted(groups.values())) if groups else None,
        "questions_on_a_shared_image": sum(n for n in groups.values() if n > 1),
        "smallest_image": list(sizes[0]) if sizes else None,
        "median_image": list(sizes[len(sizes) // 2]) if sizes else None,
        "largest_image": list(sizes[-1]) if sizes else None,
        "images_a_question": _spread(sorted(len(sample.images) for sample in asked)),
        "cluster": config.cluster,
        "clusters": len({sample.cluster_key for sample in asked}),
        "with_options": sum(bool(sample.options) for sample in samples),
        "without_gold": sum(not sample.answers for sample in asked),
        "with_history": sum(bool(sample.history) for sample in samples),
        "with_context": sum(bool(sample.context) for sample in samples),
        "golds_a_question": _spread(sorted(len(sample.answers) for sample in asked)),
        "question_types": _kinds(samples, "question_type"),
        "answer_types": _kinds(samples, "answer_type"),
    }


def _spread(values: Sequence[int]) -> dict[str, float]:
    return {
        "least": values[0],
        "median": statistics.median(values),
        "mean": round(statistics.fmean(values), 2),
        "most": values[-1],
    }


def _kinds(samples: Sequence[Sample], field: str) -> dict[str, int]:
    """The number of samples by the field's values; one with several values counts for each."""
    counts: Counter[str] = Counter()
    for sample in samples:
        counts.update(kind for kind in getattr(sample, field).split(", ") if kind)
    return dict(counts.most_common())
