"""The training module: packing changes nothing, and the files are what Pixtral's are."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from experiments.pixtral_nano.data import collate, pack
from experiments.pixtral_nano.export import export, read_model
from experiments.pixtral_nano.measure import module_of
from pixtrack.configs.paths import PACKAGE_ROOT
from pixtrack.tasks.datasets.sample.page import draw_page

SHIPPED = PACKAGE_ROOT / "configs/models/pixtral-nano"


@torch.no_grad()
def test_a_question_packed_with_others_is_answered_as_if_alone(tiny_model, tokenizer) -> None:
    page = draw_page(3, 3)
    segments = [(q.text, q.answers[0], q.kind) for q in page.questions[:4]]
    together = collate([pack(page.image, segments, tokenizer)])
    states, _ = tiny_model(together)
    for number, segment in enumerate(segments, 1):
        alone = collate([pack(page.image, [segment], tokenizer)])
        own, _ = tiny_model(alone)
        packed = states[together.segments == number]
        torch.testing.assert_close(packed, own[alone.segments == 1], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_padding_and_neighbours_in_the_batch_change_nothing(tiny_model, tokenizer) -> None:
    small, large = draw_page(3, 3), draw_page(3, 1)
    items = [pack(p.image, [("What is it?", "1", "sum")], tokenizer) for p in (small, large)]
    both, _ = tiny_model(collate(items))
    one, _ = tiny_model(collate(items[:1]))
    used = collate(items[:1]).segments[0] >= 0
    torch.testing.assert_close(both[0][used], one[0][used], rtol=1e-4, atol=1e-4)


def test_export_and_reading_back_keep_every_weight(tiny_model, tiny_shape, tmp_path: Path) -> None:
    tensors = {name: value.detach().bfloat16() for name, value in tiny_model.named_parameters()}
    save_file(tensors, str(tmp_path / "weights.safetensors"))
    export(tmp_path / "weights.safetensors", tmp_path / "model", tiny_shape)
    again = module_of(tmp_path / "model")
    assert again.shape == tiny_shape
    assert all(torch.equal(value, tensors[name]) for name, value in again.named_parameters())


def test_the_shipped_files_are_small_and_belong_together() -> None:
    total = sum(path.stat().st_size for path in SHIPPED.iterdir())
    assert total <= 14e6
    params = json.loads((SHIPPED / "params.json").read_text())
    tekken = json.loads((SHIPPED / "tekken.json").read_text())
    assert params["vocab_size"] == tekken["config"]["default_vocab_size"]
    assert params["vision_encoder"]["image_size"] == tekken["image"]["max_image_size"] == 512
    model = module_of(SHIPPED)
    assert set(load_file(str(SHIPPED / "consolidated.safetensors"))) == {
        name for name, _ in model.named_parameters()
    }
    assert read_model(SHIPPED / "consolidated.safetensors", model.shape) is not None
