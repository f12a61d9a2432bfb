"""Tiny checkpoints with random weights, each in its architecture's real format.

Written with transformers' own classes and a tokenizer trained here, so that vLLM runs its real
code on them: what they answer is noise, what is tested is that they load, take an image, and
answer. Needs transformers and torch; no network.

    directory = write("qwen2_5_vl", tmp_path / "qwen")
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pixtrack.tasks.download.generated import write_random_pixtral
from pixtrack.tasks.inference.host.startup import torch_companions

CORPUS = [
    "What is the total amount of the invoice? The total is 1,234.50 USD.",
    "Which country has the highest value in the chart? Answer the question using a single word.",
    "Who signed the letter, and when was it written? John Smith, on 4 May 1997.",
    "user assistant system image video a an the and of to in is it you that was for on are with",
] * 20

# The chat of each family in the shape of its published template: image first, then the text.
PIXTRAL_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}[INST]"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}[IMG]"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}[/INST]"
    "{% else %}{{ message['content'] if message['content'] is string else "
    "message['content'][0]['text'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
CHATML_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

TEXT = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 8192,
}
"""The language model: heads of 64, as vLLM's attention for CPUs wants it."""


def write(kind: str, directory: Path) -> Path:
    """Writes the tiny checkpoint of that kind (a key of KINDS) into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    KINDS[kind](directory)
    return directory


def _tokenizer(special: list[str], **roles: str) -> Any:
    """A byte-level BPE tokenizer of about 600 entries with these special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=600 + len(special),
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=8192, **roles)


def _save(model: Any, processor: Any, directory: Path) -> None:
    """Weights in bfloat16 (attention made peaked, so that answers differ), and the processor."""
    import torch

    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.4 if ("q_proj" in name or "k_proj" in name) else 0.08)
    model.to(torch.bfloat16).save_pretrained(directory)
    processor.save_pretrained(directory)


def _mistral_pixtral(directory: Path) -> None:
    write_random_pixtral(directory)


def _hf_pixtral(directory: Path) -> None:
    """Pixtral in Hugging Face format: LlavaForConditionalGeneration over Mistral and Pixtral."""
    torch_companions.install()
    from transformers import (
        LlavaConfig,
        LlavaForConditionalGeneration,
        MistralConfig,
        PixtralImageProcessor,
        PixtralProcessor,
        PixtralVisionConfig,
    )

    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"]
    tokenizer = _tokenizer(special, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    config = LlavaConfig(
        text_config=MistralConfig(
            vocab_size=len(tokenizer), head_dim=64, bos_token_id=1, eos_token_id=2, **TEXT
        ),
        vision_config=PixtralVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=384,
            patch_size=16,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        image_token_id=tokenizer.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=1,
        multimodal_projector_bias=True,
        tie_word_embeddings=False,
    )
    processor = PixtralProcessor(
        image_processor=PixtralImageProcessor(
            size={"longest_edge": 384}, patch_size={"height": 16, "width": 16}
        ),
        tokenizer=tokenizer,
        patch_size=16,
        chat_template=PIXTRAL_TEMPLATE,
    )
    _save(LlavaForConditionalGeneration(config), processor, directory)


def _pixtral_w4a16(directory: Path) -> None:
    """The HF Pixtral with the language layers packed to 4 bits, as compressed-tensors stores them."""
    _hf_pixtral(directory)
    _pack_to_4_bits(directory, group=32)


def _pack_to_4_bits(directory: Path, group: int) -> None:
    """Rewrites model.safetensors: weight_packed, weight_scale and weight_shape for each linear layer."""
    import torch
    from safetensors.torch import load_file, save_file

    path = directory / "model.safetensors"
    weights, packed = load_file(path), {}
    for name, weight in weights.items():
        linear = name.endswith("_proj.weight") and "language_model" in name
        if not linear:
            packed[name] = weight
            continue
        rows, columns = weight.shape
        grouped = weight.float().reshape(rows, columns // group, group)
        scale = grouped.abs().amax(dim=-1, keepdim=True).clamp(min=1e-8) / 7
        values = (grouped / scale).round().clamp(-8, 7).reshape(rows, columns).to(torch.int32) + 8
        shifts = torch.arange(0, 32, 4, dtype=torch.int32)
        words = (values.reshape(rows, columns // 8, 8).to(torch.int64) << shifts).sum(dim=-1)
        base = name.removesuffix("weight")
        packed[base + "weight_packed"] = words.to(torch.int32)
        packed[base + "weight_scale"] = scale.squeeze(-1).to(torch.bfloat16)
        packed[base + "weight_shape"] = torch.tensor([rows, columns], dtype=torch.int64)
    save_file(packed, path, metadata={"format": "pt"})
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "ignore": ["re:.*lm_head", "re:.*multi_modal_projector.*", "re:.*vision_tower.*"],
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {
                    "num_bits": 4,
                    "type": "int",
                    "symmetric": True,
                    "strategy": "group",
                    "group_size": group,
                },
                "input_activations": None,
                "output_activations": None,
            }
        },
    }
    (directory / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def _qwen2_5_vl(directory: Path) -> None:
    torch_companions.install()
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    special = [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|vision_pad|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ]
    tokenizer = _tokenizer(special, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in special}
    config = Qwen2_5_VLConfig(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1_000_000.0,
                "mrope_section": [8, 12, 12],
            },
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "tie_word_embeddings": False,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 2,
            "out_hidden_size": TEXT["hidden_size"],
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [1],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    pixels = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 400}
    image = "<|vision_start|><|image_pad|><|vision_end|>"
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=pixels),
        video_processor=Qwen2VLVideoProcessor(),
        tokenizer=tokenizer,
        chat_template=CHATML_TEMPLATE.replace("IMAGE", image),
    )
    _save(Qwen2_5_VLForConditionalGeneration(config), processor, directory)


def _llava_onevision(directory: Path) -> None:
    torch_companions.install()
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
        Qwen2Config,
        SiglipVisionConfig,
    )

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
    tokenizer = _tokenizer(special, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    side = 112
    pinpoints = [[side * h, side * w] for h in range(1, 4) for w in range(1, 4)]
    config = LlavaOnevisionConfig(
        text_config=Qwen2Config(
            **TEXT,
            vocab_size=len(tokenizer),
            bos_token_id=0,
            eos_token_id=2,
            tie_word_embeddings=False,
        ),
        vision_config=SiglipVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=side,
            patch_size=14,
            vision_use_head=False,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )
    size = {"height": side, "width": side}
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=pinpoints),
        video_processor=LlavaOnevisionVideoProcessor(size=size),
        tokenizer=tokenizer,
        num_image_tokens=(side // 14) ** 2,
        vision_feature_select_strategy="full",
        chat_template=CHATML_TEMPLATE.replace("IMAGE", "<image>"),
    )
    _save(LlavaOnevisionForConditionalGeneration(config), processor, directory)
    # transformers 5 saves SigLIP without this part of the name, which the published files have.
    _rename(directory, "vision_tower.", "vision_tower.vision_model.")


def _rename(directory: Path, old: str, new: str) -> None:
    """Gives the weights whose names start with `old` the prefix `new`."""
    from safetensors.torch import load_file, save_file

    path = directory / "model.safetensors"
    weights = {
        new + name.removeprefix(old) if name.startswith(old) else name: weight
        for name, weight in load_file(path).items()
    }
    save_file(weights, path, metadata={"format": "pt"})


KINDS: dict[str, Callable[[Path], None]] = {
    "mistral_pixtral": _mistral_pixtral,
    "hf_pixtral": _hf_pixtral,
    "pixtral_w4a16": _pixtral_w4a16,
    "qwen2_5_vl": _qwen2_5_vl,
    "llava_onevision": _llava_onevision,
}
"""What there is: the architectures of configs/models, each as its repository stores it."""

FAMILIES = {
    "mistral_pixtral": ("mistral", "pixtral"),
    "hf_pixtral": ("hf", "pixtral"),
    "pixtral_w4a16": ("hf", "pixtral"),
    "qwen2_5_vl": ("hf", "qwen2_5_vl"),
    "llava_onevision": ("hf", "llava_onevision"),
}
"""Format and family of each, as a model's file says them."""
