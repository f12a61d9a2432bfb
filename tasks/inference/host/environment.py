"""The inference child's interpreter and environment variables."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import IMPORT_ROOT, home
from pixtrack.tasks.inference.host import startup
from pixtrack.tasks.secrets import without_secrets

PYTHON_VARIABLE = "PIXTRACK_VLLM_PYTHON"
"""The environment variable with the path of the interpreter that has vLLM; default: this one."""

CHILD_ENVIRONMENT = {
    # The model's files are all there; a look at the hub costs seconds, or minutes without network.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # The worker has threads (journal, events) when vLLM starts its processes.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}
"""Variables that are set for the child unless the user has set them."""


COMPILATION_CACHES = {
    "VLLM_CACHE_ROOT": "vllm",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
}
"""What vLLM, torch and Triton compiled is kept in folders of the data home: the second start of a
model on a card spares half a minute and more. Set where the user has not set them."""


def find_python(chosen: str | None = None) -> str:
    """The interpreter for the inference child: `chosen`, PIXTRACK_VLLM_PYTHON, or this one.

    Raises UserError where it cannot be run.
    """
    name = chosen or os.environ.get(PYTHON_VARIABLE) or sys.executable
    found = shutil.which(Path(name).expanduser())
    if found is None:
        raise UserError(
            f"{PYTHON_VARIABLE}={name}: no such interpreter: set it to the Python that has vLLM, "
            "or unset it to use pixtrack's own"
        )
    # Not resolved: a virtual environment's python is a link, and knows its packages by its path.
    return str(Path(found).absolute())


def child_environment(
    environment: Mapping[str, str],
    scratch: str,
    cards: Sequence[str] = (),
    needed: Sequence[str] = (),
) -> dict[str, str]:
    """The inference child's environment, in which pixtrack and the start-up hooks are importable.

    Secrets are left out, since the engine may load a model's code.

    Args:
        environment: this process's environment
        scratch: the engine's own folder for sockets and temporary files, which the guard deletes
            at the end; compiled files are kept in the data home
        cards: the cards that the child may see; (): those that this process sees
        needed: names of the secrets that the engine needs
    """
    path = [str(startup.DIRECTORY), environment.get("PYTHONPATH", "")]
    compiled = home().compiled
    return {
        **CHILD_ENVIRONMENT,
        **{name: str(compiled / folder) for name, folder in COMPILATION_CACHES.items()},
        **without_secrets(environment, needed),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONSAFEPATH": "1",  # whatever lies in the current directory is not imported
        "PYTHONUNBUFFERED": "1",  # the log is whole when a process is killed
        "PIXTRACK_ROOT": str(IMPORT_ROOT),
        "PIXTRACK_SCRATCH": scratch,
        "VLLM_RPC_BASE_PATH": scratch,
        "TMPDIR": scratch,
        **_visible(environment, cards),
    }


def _visible(environment: Mapping[str, str], cards: Sequence[str]) -> dict[str, str]:
    """The variables that make only these cards visible, numbered as the vendors' tools do.

    CUDA's own numbering differs by default.
    """
    if not cards:
        return {}
    names = ["CUDA_VISIBLE_DEVICES"]
    names += ["IX_VISIBLE_DEVICES"] if environment.get("IX_VISIBLE_DEVICES") else []
    return {**dict.fromkeys(names, ",".join(cards)), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
