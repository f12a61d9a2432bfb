"""The models of the published figures, as files: real sizes, no weights (`--weights dummy`).

Of the Hugging Face models config.json and the processor's settings are the published ones; the
tokenizer is a small one made here, so the text of a prompt is some tokens longer or shorter.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixtrack.tasks.inference.host.startup import torch_companions

ROOT = Path(__file__).resolve().parent.parent

PIXTRAL_12B = {
    "dim": 5120,
    "n_layers": 40,
    "head_dim": 128,
    "hidden_dim": 14336,
    "n_heads": 32,
    "n_kv_heads": 8,
    "norm_eps": 1e-05,
    "vocab_size": 131072,
    "rope_theta": 1000000000.0,
    "max_position_embeddings": 128000,
    "vision_encoder": {
        "hidden_size": 1024,
        "num_channels": 3,
        "image_size": 1024,
        "max_image_size": 1024,
        "patch_size": 16,
        "rope_theta": 10000.0,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "adapter_bias": True,
        "image_token_id": 10,
        "image_break_token_id": 12,
        "image_end_token_id": 13,
    },
}
"""params.json of mistralai/Pixtral-12B-2409."""

PIXTRAL_12B_TEXT = {
    "hidden_size": 5120,
    "intermediate_size": 14336,
    "num_hidden_layers": 40,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 128000,
    "rms_norm_eps": 1e-05,
    "vocab_size": 131072,
}
QWEN2_7B_TEXT = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-06,
    "vocab_size": 152064,
}
ROPE = {"rope_type": "default", "rope_theta": 1000000.0}

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Architecture:
    """A model to measure."""

    format: str
    family: str
    max_model_len: int
    files: Callable[[Path], Path]
    """Writes the files into a folder and returns it, or where they are already."""


def _nano(_folder: Path) -> Path:
    return ROOT / "configs" / "models" / "pixtral-nano"


def _pixtral_12b(folder: Path) -> Path:
    import mistral_common

    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(PIXTRAL_12B), encoding="utf-8")
    tokenizer = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    shutil.copyfile(tokenizer, folder / "tekken.json")
    return folder


def _pixtral_12b_hf(folder: Path) -> Path:
    torch_companions.install()
    from transformers import (
        LlavaConfig,
        MistralConfig,
        PixtralImageProcessor,
        PixtralProcessor,
        PixtralVisionConfig,
    )

    tokenizer = _tokenizer(["<unk>", "[IMG]", "[IMG_BREAK]", "[IMG_END]"])
    image = tokenizer.convert_tokens_to_ids("[IMG]")
    config = LlavaConfig(
        text_config=MistralConfig(**PIXTRAL_12B_TEXT, rope_parameters=ROPE),
        vision_config=PixtralVisionConfig(image_size=1024, patch_size=16),
        image_token_index=image,
        image_token_id=image,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=1,
        multimodal_projector_bias=True,
        tie_word_embeddings=False,
    )
    processor = PixtralProcessor(
        image_processor=PixtralImageProcessor(
            size={"longest_edge": 1024}, patch_size={"height": 16, "width": 16}
        ),
        tokenizer=tokenizer,
        patch_size=16,
        chat_template=TEMPLATE.replace("IMAGE", "[IMG]"),
    )
    return _save(folder, "LlavaForConditionalGeneration", config, processor)


def _qwen2_5_vl_7b(folder: Path) -> Path:
    torch_companions.install()
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    names = ("vision_start", "vision_end", "image_pad", "video_pad")
    tokenizer = _tokenizer([f"<|{name}|>" for name in names])
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in names}
    config = Qwen2_5_VLConfig(
        text_config={
            **QWEN2_7B_TEXT,
            "max_position_embeddings": 128000,
            "rope_parameters": {**ROPE, "mrope_section": [16, 24, 24]},
        },
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 3584,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "tokens_per_second": 2,
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=False,
    )
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(
            size={"shortest_edge": 3136, "longest_edge": 12845056}
        ),
        video_processor=Qwen2VLVideoProcessor(),
        tokenizer=tokenizer,
        chat_template=TEMPLATE.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return _save(folder, "Qwen2_5_VLForConditionalGeneration", config, processor)


def _llava_onevision_7b(folder: Path) -> Path:
    torch_companions.install()
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
        Qwen2Config,
        SiglipVisionConfig,
    )

    tokenizer = _tokenizer(["<image>", "<video>"])
    image, video = (tokenizer.convert_tokens_to_ids(name) for name in ("<image>", "<video>"))
    grids = [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)]
    config = LlavaOnevisionConfig(
        text_config=Qwen2Config(**QWEN2_7B_TEXT, rope_parameters=ROPE),
        vision_config=SiglipVisionConfig(
            hidden_size=1152,
            intermediate_size=4304,
            num_hidden_layers=26,
            num_attention_heads=16,
            image_size=384,
            patch_size=14,
            vision_use_head=False,
        ),
        image_token_index=image,
        image_token_id=image,
        video_token_index=video,
        video_token_id=video,
        image_grid_pinpoints=grids,
        vision_aspect_ratio="anyres_max_9",
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )
    size = {"height": 384, "width": 384}
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=grids),
        video_processor=LlavaOnevisionVideoProcessor(size=size),
        tokenizer=tokenizer,
        num_image_tokens=729,
        vision_aspect_ratio="anyres_max_9",
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    )
    return _save(folder, "LlavaOnevisionForConditionalGeneration", config, processor)


def _tokenizer(special: list[str]) -> Any:
    """A byte-level tokenizer with these special tokens; ids that it lacks are never decoded."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    roles = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[*roles, *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(
        ["What is the total amount in line 3 of this document? Answer briefly."], trainer
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )


def _save(folder: Path, architecture: str, config: Any, processor: Any) -> Path:
    config.architectures = [architecture]
    config.dtype = "bfloat16"
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


ARCHITECTURES = {
    "nano": Architecture("mistral", "pixtral", 2048, _nano),
    "pixtral-12b": Architecture("mistral", "pixtral", 8192, _pixtral_12b),
    "pixtral-12b-hf": Architecture("hf", "pixtral", 8192, _pixtral_12b_hf),
    "qwen2.5-vl-7b": Architecture("hf", "qwen2_5_vl", 16384, _qwen2_5_vl_7b),
    "llava-onevision-7b": Architecture("hf", "llava_onevision", 16384, _llava_onevision_7b),
}
"""By the name that --architecture takes."""
