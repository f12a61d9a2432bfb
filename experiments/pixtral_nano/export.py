"""Writes trained weights as the three files of Mistral's format, ready for vLLM.

python -m experiments.pixtral_nano.export data/pixtral-nano/weights.safetensors configs/models/pixtral-nano
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file

from experiments.pixtral_nano.model import Pixtral, Shape
from experiments.pixtral_nano.tokenizer import IMG, load
from pixtrack.configs.errors import UserError


def read_model(weights: Path, shape: Shape) -> Pixtral:
    """The model with those weights, in bfloat16 as vLLM runs it."""
    model = Pixtral(shape).to(torch.bfloat16)
    state = load_file(str(weights))
    missing, unexpected = model.load_state_dict(state, strict=False)
    if missing or unexpected:
        raise UserError(
            f"{weights}: not a checkpoint of this shape (missing {missing[:3]}, unknown {unexpected[:3]})"
        )
    return model.eval()


def export(weights: Path, directory: Path, shape: Shape) -> None:
    """Writes params.json, consolidated.safetensors and tekken.json into `directory`."""
    model = read_model(weights, shape)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().contiguous() for name, value in model.named_parameters()}
    save_file(tensors, str(directory / "consolidated.safetensors"), {"format": "pt"})
    _write_json(directory / "params.json", shape.params(IMG))
    _write_json(directory / "tekken.json", load().tekken(shape.image_size))


def read_shape(config: Path) -> Shape:
    """The shape that a training configuration (config.yaml) gives."""
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    return Shape(vocab_size=load().size, **settings["shape"])


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, help="weights.safetensors or early.safetensors")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.yaml"))
    arguments = parser.parse_args()
    export(arguments.weights, arguments.directory, read_shape(arguments.config))
    total = sum(path.stat().st_size for path in arguments.directory.iterdir())
    print(f"{arguments.directory}: {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
