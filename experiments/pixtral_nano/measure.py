"""Measures a checkpoint through vLLM: accuracy by kind, two controls, agreement with the module.

    python -m experiments.pixtral_nano.measure configs/models/pixtral-nano --images 400

asks the held-out pages' questions as `pixtrack eval` does, then again with each page replaced by a
blank one of its size, and by another page of its layout: what is still right then was guessed.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from experiments.pixtral_nano.data import collate, pack
from experiments.pixtral_nano.export import read_model
from experiments.pixtral_nano.model import Pixtral, Shape
from experiments.pixtral_nano.tokenizer import load
from experiments.pixtral_nano.train import answers_right
from pixtrack.configs.loading import load_dataset, load_model, load_prompt
from pixtrack.configs.schema import ModelConfig, Sampling
from pixtrack.tasks.datasets.rows import RawRow
from pixtrack.tasks.inference.engines import engine_kind
from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.records import Answer, Sample, SampleImage, to_json
from pixtrack.tasks.runs.directory import Interval
from pixtrack.tasks.runs.journal import read_answers
from pixtrack.tasks.runs.protocol import EngineSpec, Job
from pixtrack.tasks.runs.requests import build_requests
from pixtrack.tasks.scoring.scored import ScoredRun, score_samples

Control = Literal["page", "blank", "other"]
CONTROLS: tuple[Control, ...] = ("page", "blank", "other")
EVALUATION_SEED = 2024


def samples_of(rows: Iterable[RawRow], folder: Path, control: Control = "page") -> list[Sample]:
    """The rows as samples, their images in `folder`: as they are, blank, or another page's.

    `other` shows the next page of the same layout in the dataset (the last page the first's).
    """
    every = list(rows)
    files = {row.image_names[0]: row.images[0] for row in every}
    shown = dict(files)
    if control == "blank":
        shown = {name: _blank(png) for name, png in files.items()}
    elif control == "other":
        by_layout: dict[str, list[str]] = {}
        for name in files:
            by_layout.setdefault(name.rsplit("_", 1)[0], []).append(name)
        for names in by_layout.values():
            for name, following in zip(names, [*names[1:], names[0]], strict=True):
                shown[name] = files[following]
    samples = []
    for row in every:
        png = shown[row.image_names[0]]
        digest = hashlib.sha256(png).hexdigest()
        path = folder / f"{digest}.png"
        if not path.exists():
            path.write_bytes(png)
        width, height = Image.open(io.BytesIO(png)).size
        samples.append(
            Sample(
                index=row.index,
                question_id=row.question_id,
                question=row.question,
                answers=row.answers,
                # Scores are clustered by the page that the question is about.
                cluster=hashlib.sha256(files[row.image_names[0]]).hexdigest(),
                images=(SampleImage(digest, path.name, width, height),),
                question_type=row.question_type,
                answer_type=row.answer_type,
            )
        )
    return samples


def _blank(png: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", Image.open(io.BytesIO(png)).size, "white").save(buffer, "PNG")
    return buffer.getvalue()


class Asking:
    """vLLM's engine on one checkpoint, asked several times. A context manager."""

    def __init__(self, model: ModelConfig, directory: Path, folder: Path) -> None:
        spec: EngineSpec = engine_kind(model).spec(model, directory)
        self.folder = folder
        self.process = EngineProcess(spec, folder / "engine.log")
        self._jobs = 0

    def __enter__(self) -> Asking:
        self.process.start()
        self._events = self.process.events()
        return self

    def __exit__(self, *error: object) -> None:
        self.process.close()

    def ask(self, samples: Sequence[Sample], prompt: str = "plain") -> dict[int, Answer]:
        """The answers by the samples' index."""
        self._jobs += 1
        folder = self.folder / str(self._jobs)
        folder.mkdir()
        config = load_prompt(prompt).for_dataset("sample")
        requests = build_requests(samples, config, self.folder)
        lines = [json.dumps(to_json(request)) + "\n" for request in requests]
        (folder / "requests.jsonl").write_text("".join(lines), encoding="utf-8")
        job = Job(
            job_id=str(self._jobs),
            requests_path=str(folder / "requests.jsonl"),
            journal_path=str(folder / "answers.jsonl"),
            fingerprint=str(self._jobs),
            sampling=Sampling(max_tokens=config.max_new_tokens),
        )
        self.process.submit(job)
        for event in self._events:
            if event.event == "job_done" and event.job_id == job.job_id:
                return read_answers(Path(job.journal_path))
            if event.event in ("job_failed", "engine_failed"):
                raise RuntimeError(f"{event.event}: {event.message}")
        raise RuntimeError("the engine ended without answers")


def score(
    samples: Sequence[Sample], answers: Mapping[int, Answer], prompt: str = "plain"
) -> ScoredRun:
    """Scores as `pixtrack eval` computes them."""
    return score_samples(samples, answers, load_dataset("sample"), load_prompt(prompt))


def module_of(directory: Path) -> Pixtral:
    """The PyTorch module with the exported weights, its shape from params.json."""
    params = json.loads((directory / "params.json").read_text(encoding="utf-8"))
    vision = params["vision_encoder"]
    names = (
        "dim",
        "n_layers",
        "hidden_dim",
        "n_heads",
        "n_kv_heads",
        "head_dim",
        "rope_theta",
        "vocab_size",
    )
    shape = Shape(
        **{name: params[name] for name in names},
        vision_dim=vision["hidden_size"],
        vision_layers=vision["num_hidden_layers"],
        vision_hidden_dim=vision["intermediate_size"],
        vision_heads=vision["num_attention_heads"],
        vision_rope_theta=vision["rope_theta"],
        image_size=vision["image_size"],
    )
    return read_model(directory / "consolidated.safetensors", shape)


@torch.no_grad()
def greedy_agreement(
    model: Pixtral, samples: Sequence[Sample], answers: Mapping[int, Answer], folder: Path
) -> list[bool]:
    """For each sample, whether the module would have given vLLM's answer greedily.

    Every token of the answer, and its end, must be the module's most probable next one, given
    those before it: then greedy decoding gives the same answer.
    """
    tokenizer = load()
    same: list[bool] = []
    for path, group in groupby(samples, key=lambda sample: sample.image_path):
        members = list(group)
        with Image.open(folder / path) as image:
            segments = [(s.question, answers[s.index].text, "extractive") for s in members]
            batch = collate([pack(image.convert("RGB"), segments, tokenizer)])
        states, _ = model(batch)
        targets = batch.targets[:, batch.prefix :]
        correct = (model.output(states[:, batch.prefix :]).argmax(-1) == targets) | (targets < 0)
        right = answers_right(batch, correct)[0]
        same += [bool(right[number]) for number in range(len(members))]
    return same


def show(interval: Interval) -> str:
    """`93.1 (90.2 to 95.9, n = 268)`."""
    low, high = interval.ci95 or (float("nan"), float("nan"))
    return f"{interval.value:.1f} ({low:.1f} to {high:.1f}, n = {interval.n})"


def main() -> None:
    """The command."""
    from pixtrack.tasks.datasets.sample import rows

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path, help="folder with params.json and the weights")
    parser.add_argument("--images", type=int, default=72)
    parser.add_argument(
        "--agreement-images", type=int, default=72, help="pages for the module's check"
    )
    parser.add_argument("--prompts", nargs="*", default=[], help="also with these prompts")
    arguments = parser.parse_args()
    directory = arguments.directory.resolve()
    every = list(rows(arguments.images, EVALUATION_SEED))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with Asking(load_model(directory.name), directory, folder) as engine:
            for control in CONTROLS:
                samples = samples_of(every, folder, control)
                answers = engine.ask(samples)
                report(control, score(samples, answers))
                if control == "page":
                    pages, kept = samples, answers
            for prompt in arguments.prompts:
                report(prompt, score(pages, engine.ask(pages, prompt), prompt))
        if arguments.agreement_images:
            last = f"-{arguments.agreement_images}-"
            asked = pages[: next((s.index for s in pages if last in s.question_id), len(pages))]
            same = greedy_agreement(module_of(directory), asked, kept, folder)
            print(f"module and vLLM agree on {sum(same)} of {len(same)} greedy answers")


def report(name: str, scored: ScoredRun) -> None:
    """Prints the headline metric: all, by kind, by answer type."""
    metric = load_dataset("sample").headline
    print(f"{name}: {metric} {show(scored.metrics[metric])}")
    for breakdown in ("question_type", "answer_type"):
        for group, metrics in scored.by.get(breakdown, {}).items():
            print(f"    {group}: {show(metrics[metric])}")


if __name__ == "__main__":
    main()
