"""Defaults of vLLM's options on a GPU, which memory plans use as well."""

from __future__ import annotations

USUAL_BATCHED_TOKENS = 5120
"""Our default for max_num_batched_tokens on a GPU: one image of Pixtral's largest size (4,160
tokens) and the questions to it in one step; vLLM's own for AsyncLLM (2,048) cuts every
page in two."""
ENCODER_CACHE_SHARE = 0.0125
"""Share of a card's memory for image embeddings that wait for their questions. The engine fills it
while it works, outside of what vLLM counts for gpu_memory_utilization, so it must stay free."""
USUAL_REQUESTS_AT_ONCE = 256
"""Our default for max_num_seqs on a GPU."""
