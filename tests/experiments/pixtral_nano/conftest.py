"""A model small enough for unit tests, with real pages."""

import pytest
import torch

from experiments.pixtral_nano.model import Pixtral, Shape
from experiments.pixtral_nano.tokenizer import Tokenizer, load


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return load()


@pytest.fixture(scope="session")
def tiny_shape(tokenizer: Tokenizer) -> Shape:
    return Shape(
        vocab_size=tokenizer.size,
        dim=64,
        n_layers=2,
        hidden_dim=64,
        n_heads=2,
        n_kv_heads=1,
        head_dim=32,
        vision_dim=64,
        vision_layers=1,
        vision_hidden_dim=64,
        vision_heads=2,
    )


@pytest.fixture(scope="session")
def tiny_model(tiny_shape: Shape) -> Pixtral:
    torch.manual_seed(0)
    model = Pixtral(tiny_shape)
    model.eval()
    return model
