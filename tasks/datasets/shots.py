"""The worked examples of a few-shot prompt: from another split or a file, never what is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import AnnotationDataset, DatasetConfig, PromptConfig, Shots
from pixtrack.tasks.datasets.preparation import ProgressCallback, load_prepared, prepare
from pixtrack.tasks.datasets.rows import BytesCallback
from pixtrack.tasks.records import PreparedDataset, Sample


def shots_of(
    prompt: PromptConfig,
    asked: PreparedDataset,
    home: Home,
    progress: ProgressCallback | None = None,
    on_bytes: BytesCallback | None = None,
) -> tuple[Sample, ...]:
    """The examples that the prompt shows before each question of `asked`; () where it has none.

    The dataset that they come from is prepared first, if need be. The same prompt has the same
    examples in every run on a dataset, whatever its limit.

    Args:
        prompt: already `for_dataset`
        asked: the dataset whose questions are asked
        home: where prepared datasets lie
        progress: called with the rows prepared and expected
        on_bytes: called with the bytes downloaded and expected

    Raises:
        UserError: there are too few examples, one of a file has no answer, or shows what is asked
    """
    if prompt.shots is None:
        return ()
    source = prepare(_source(prompt, prompt.shots), home, progress, on_bytes)
    return choose(prompt, prompt.shots, asked, source)


def known_shots(
    prompt: PromptConfig, asked: PreparedDataset, home: Home
) -> tuple[Sample, ...] | None:
    """`shots_of` where nothing has to be prepared for it; else None."""
    if prompt.shots is None:
        return ()
    source = load_prepared(_source(prompt, prompt.shots), home)
    return None if source is None else choose(prompt, prompt.shots, asked, source)


def _source(prompt: PromptConfig, shots: Shots) -> DatasetConfig:
    """The dataset that the examples come from."""
    if shots.dataset:
        return load_dataset(shots.dataset)
    return DatasetConfig(
        name=f"shots-{prompt.name}",
        title=f"Examples of the prompt {prompt.name}",
        source=AnnotationDataset(qa_file=shots.qa_file, img_folder=shots.img_folder or "."),
        metrics=("exact_match",),
        headline="exact_match",
        prompt=prompt.name,
        licence="the prompt's",
    )


def choose(
    prompt: PromptConfig, shots: Shots, asked: PreparedDataset, source: PreparedDataset
) -> tuple[Sample, ...]:
    """The examples among the source's samples; which ones, the seed decides, at any time alike.

    Of a dataset, samples that show an image of the asked one, or ask the same without an image, are
    passed over; of a file every row counts, so there they are an error.
    """
    images, texts = _shown(asked.samples)
    usable = []
    for sample in source.samples:
        problem = _problem(sample, images, texts)
        if not problem:
            usable.append(sample)
        elif not shots.dataset:
            raise UserError(
                f"{shots.qa_file}: row {sample.index + 1}: {problem}: an example of prompt "
                f"{prompt.name} for {asked.name} must not be so: mend or remove the row"
            )
    count = len(usable) if shots.count is None else shots.count
    if count > len(usable) or not usable:
        raise UserError(
            f"prompt {prompt.name}: shots: {len(usable)} usable examples in "
            f"{shots.dataset or shots.qa_file} for {asked.name}, {count} are asked for: lower "
            "shots.count, or name another source"
        )
    if not shots.dataset and shots.count is None:
        return tuple(usable)  # a file's order is its author's
    return tuple(sorted(usable, key=lambda one: _lot(shots.seed, one))[:count])


def _problem(sample: Sample, images: frozenset[str], texts: frozenset[str]) -> str:
    if sample.error:
        return sample.error
    if not sample.answers:
        return "has no answer"
    if any(image.sha256 in images for image in sample.images):
        return "shows an image that is asked about"
    if not sample.images and sample.question in texts:
        return "is a question that is asked"
    return ""


def _shown(samples: Sequence[Sample]) -> tuple[frozenset[str], frozenset[str]]:
    """The images of the samples, and the questions on none."""
    images = frozenset(image.sha256 for sample in samples for image in sample.images)
    return images, frozenset(sample.question for sample in samples if not sample.images)


def _lot(seed: int, sample: Sample) -> bytes:
    """A number to sort by: the same on every machine, unlike that of `random`."""
    return hashlib.sha256(f"{seed} {sample.index} {sample.question}".encode()).digest()
