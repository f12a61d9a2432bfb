"""The random checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from pixtrack.tasks.download.generated import MARKER, VOCAB_SIZE, is_random, write_random_pixtral


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_random_pixtral(tmp_path / name, seed)
    first, again, other = (contents(tmp_path / name) for name in "abc")
    assert first == again
    assert first["consolidated.safetensors"] != other["consolidated.safetensors"]


def test_it_is_small_and_marked_as_random(tmp_path: Path) -> None:
    assert not is_random(tmp_path)
    write_random_pixtral(tmp_path)
    assert is_random(tmp_path)
    assert sum(map(len, contents(tmp_path).values())) < 10_000_000
    assert json.loads((tmp_path / MARKER).read_text())["weights"] == "random"
    assert not list(tmp_path.glob(".*partial"))


def test_the_tokenizer_is_pixtrals_own_with_fewer_entries(tmp_path: Path) -> None:
    write_random_pixtral(tmp_path)
    tokenizer = Tekkenizer.from_file(tmp_path / "tekken.json")
    text = "Wie hoch ist die Rechnung? 1,234.50 €  総額"
    ids = tokenizer.encode(text, bos=False, eos=False)
    assert tokenizer.n_words == VOCAB_SIZE and max(ids) < VOCAB_SIZE
    assert tokenizer.decode(ids) == text
    assert [tokenizer.get_special_token(t) for t in ("[IMG]", "[IMG_BREAK]", "[IMG_END]")] == [
        10,
        12,
        13,
    ]


def test_the_weights_are_readable_bfloat16_under_pixtrals_names(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file as load_torch

    write_random_pixtral(tmp_path)
    weights = load_torch(tmp_path / "consolidated.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    assert {
        "tok_embeddings.weight",
        "layers.1.attention.wq.weight",
        "vision_encoder.transformer.layers.1.feed_forward.w3.weight",
        "vision_language_adapter.w_out.bias",
        "output.weight",
    } <= set(weights)
    assert weights["vision_encoder.patch_conv.weight"].shape[1:] == (3, 16, 16)
    spread = weights["layers.0.feed_forward.w1.weight"].float().std().item()
    assert abs(spread - 1 / 8) < 0.01  # 1/sqrt(dim)
