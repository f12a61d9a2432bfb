"""A directory for PYTHONPATH: what every Python process of the inference child does as it starts.

vLLM spawns interpreters of its own (the engine core, its workers, the inspection of the model
class), which run none of our code; they do import `sitecustomize`, and find the one in here.
"""

from __future__ import annotations

from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent
