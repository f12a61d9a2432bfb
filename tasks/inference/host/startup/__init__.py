"""A directory for PYTHONPATH with code for the start of every Python process of the child.

vLLM starts interpreters of its own (the engine core, its workers, the inspection of the model
class), which run none of pixtrack's code, but import `sitecustomize`: the one in this directory.
"""

from __future__ import annotations

from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent
