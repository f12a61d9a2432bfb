"""Finds in the log why an engine did not start, or died, and says it in one line with a remedy.

vLLM reports most failed starts as "Engine core initialization failed. See root cause above", while
the root cause is in the log of another process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pixtrack.tasks.inference.engines import ENGINES
from pixtrack.tasks.runs.protocol import EngineSpec, Event


@dataclass(frozen=True)
class Failure:
    """A failure in one line with its remedy, and what decides about a retry."""

    message: str
    remedy: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Pattern:
    """A known failure: a pattern for its line in the log, and the remedy."""

    reason: str
    pattern: str
    remedy: str


PATTERNS = (
    _Pattern(
        "out_of_memory",
        r"(?:torch\.)?(?:cuda\.)?OutOfMemoryError.*|.*CUDA out of memory.*|.*CUDA error: out of memory.*",
        "lower engine.gpu_memory_utilization or engine.max_model_len, use more GPUs "
        "(engine.tensor_parallel_size) or a quantized model",
    ),
    _Pattern(
        "out_of_memory",
        r".*Free memory on device .* is less than .*",
        "another process holds GPU memory: end it (pixtrack check names strays), or lower "
        "engine.gpu_memory_utilization",
    ),
    _Pattern(
        "out_of_memory",
        r".*(?:No available memory for the cache blocks|KV cache is needed, which is larger than).*",
        "lower engine.max_model_len, or give the KV cache more (engine.gpu_memory_utilization; "
        "on a CPU engine.kv_cache_memory_bytes)",
    ),
    _Pattern(
        "out_of_memory",
        r".*(?:DefaultCPUAllocator: can't allocate memory|Cannot allocate memory|MemoryError"
        r"|is less than requested memory for kv).*",
        "the machine has too little memory for this model: a smaller one, or lower "
        "engine.max_model_len and engine.kv_cache_memory_bytes",
    ),
    _Pattern(
        "card_shared",
        r".*Error in memory profiling\. Initial free memory.*",
        "another process on the card gave memory back while vLLM measured: run it again once the "
        "others have settled, or give vLLM a card of its own (CUDA_VISIBLE_DEVICES)",
    ),
    _Pattern(
        "head_size",
        r".*[Hh]ead[_ ]size.*(?:not supported|unsupported|must be).*|.*not supported.*[Hh]ead[_ ]size.*"
        r"|.*Unsupported [Hh]ead (?:size|dimension).*",
        "this platform's attention kernels cannot run this model's head dimension: use another "
        "model or platform",
    ),
    _Pattern(
        "port",
        r".*(?:[Aa]ddress already in use|EADDRINUSE).*",
        "another process uses the port: wait for it or end it, or set VLLM_PORT to a free one",
    ),
    _Pattern(
        "disk",
        r".*No space left on device.*",
        "free space on the disk (also /dev/shm, which vLLM uses between its processes)",
    ),
    _Pattern(
        "architecture",
        r".*model type `[^`]+` but Transformers does not recognize this architecture.*"
        r"|.*Model architectures .* are not supported.*|.*has no vLLM implementation.*",
        "the installed vLLM and transformers do not know this model's architecture: use newer ones "
        "(PIXTRACK_VLLM_PYTHON names another interpreter), or serve the model elsewhere and ask it "
        "through an endpoint",
    ),
    _Pattern(
        "missing_file",
        r".*(?:FileNotFoundError|No such file or directory|Cannot find any model weights"
        r"|cannot find the requested files|LocalEntryNotFoundError).*",
        "the model's directory is not whole: `pixtrack models verify` checks it, a new download "
        "completes it",
    ),
    _Pattern(
        "damaged_file",
        r".*(?:SafetensorError|HeaderTooLarge|InvalidHeader|MetadataIncompleteBuffer).*",
        "a weight file is damaged: `pixtrack models verify` names it; remove it and download again",
    ),
    _Pattern(
        "no_device",
        r".*(?:No CUDA GPUs are available|Found no NVIDIA driver|Failed to infer device type"
        r"|NVIDIA driver on your system is too old|CUDA driver version is insufficient).*",
        "no usable GPU: check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES, or install the "
        "CPU build",
    ),
    _Pattern(
        "distributed",
        r".*(?:DistBackendError|NCCL error|ncclUnhandledCudaError|ncclSystemError).*",
        "the GPUs cannot talk to each other: see NCCL's lines in the log (NCCL_DEBUG=INFO), or use "
        "engine.tensor_parallel_size: 1",
    ),
    _Pattern(
        "configuration",
        r".*(?:ValidationError|VLLMValidationError|AssertionError|NotImplementedError|ValueError|KeyError"
        r"|TypeError|RuntimeError|ImportError|AttributeError|OSError).*",
        "",
    ),
)
"""The first pattern that is found counts: an out-of-memory error explains more than the
RuntimeError that follows it."""

_PREFIX = re.compile(
    r"^\s*(?:\([^)]*pid=\d+\)\s*)?(?:(?:ERROR|CRITICAL)\s+\S+\s+\S+\s+\[[^\]]*\]\s*)?"
)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_WRAPPERS = re.compile(
    r"Engine core initialization failed|EngineDeadError|EngineCore encountered an issue"
    r"|WorkerProc initialization failed|See root cause above|Engine core proc .* died"
    r"|See stack trace|Executor failed|concurrent\.futures|cancelled"
)
"""Lines that only say that something else failed."""

_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception)\b")


def explain(event: Event, log: str, spec: EngineSpec, python: str) -> Failure:
    """Explains an `engine_failed` event by the engine's log.

    Args:
        event: the event; a message of its own that needs no log is kept
        log: the text of the log
        spec: the engine
        python: the child's interpreter, for messages
    """
    lines = [_PREFIX.sub("", _ANSI.sub("", line)).strip() for line in log.splitlines()]
    if event.details.get("error") == "UserError":
        return Failure(event.message, event.remedy)
    # Messages of the cleaning up after a killed process do not say why it was killed.
    lines = _with_reasons([line for line in lines if "resource_tracker" not in line])
    missing = _missing_module(lines, python) if not event.message else None
    if missing is not None:
        return missing
    if not ENGINES[spec.engine].runs_here:
        return Failure(
            _unknown(event, lines), "", {"reason": event.details.get("reason", "unknown")}
        )
    died = event.details.get("reason") == "engine_died"
    for known in PATTERNS:
        regex = re.compile(known.pattern)
        for line in lines:
            if len(line) < 2000 and regex.fullmatch(line) and _is_cause(line, known):
                return Failure(
                    _shorten(line),
                    known.remedy,
                    {"reason": "engine_died" if died else known.reason, "cause": known.reason},
                )
    return Failure(_unknown(event, lines), "", {"reason": "engine_died" if died else "unknown"})


def _with_reasons(lines: list[str]) -> list[str]:
    """The lines, with the reasons that pydantic prints below its exception joined to its line."""
    joined: list[str] = []
    for number, line in enumerate(lines):
        if re.search(r"ValidationError: \d+ validation errors? for", line):
            below = lines[number + 1 : number + 4]
            said = next((text for text in below if " [type=" in text), "")
            said = said.partition(" [type=")[0].removeprefix("Value error, ")
            place = below[0] if below and " [type=" not in below[0] else ""
            key = re.match(r"\w+", place)
            line = "ValidationError: " + (f"{key[0]}: {said}" if key else said)
        joined.append(line)
    return joined


def _is_cause(line: str, known: _Pattern) -> bool:
    if _WRAPPERS.search(line) or re.match(r"(?:INFO|WARNING|DEBUG)\b", line):
        return False
    # The general pattern matches the last line of a traceback, not any line with such a word.
    return known.reason not in ("configuration", "missing_file") or bool(_EXCEPTION.match(line))


def _missing_module(lines: list[str], python: str) -> Failure | None:
    for line in reversed(lines):
        found = re.search(r"No module named '?([\w.]+)'?", line)
        if found:
            module = found[1].partition(".")[0]
            return Failure(
                f"{python} has no module {module!r}, which the inference child needs",
                "set PIXTRACK_VLLM_PYTHON to an interpreter that has vLLM, or install it there",
                {"reason": "interpreter"},
            )
    return None


def _unknown(event: Event, lines: list[str]) -> str:
    if event.message and not _WRAPPERS.search(event.message):
        return event.message
    code = event.details.get("exit_code")
    said = _last_exception(lines) or next((line for line in reversed(lines) if line), "")
    if code in (137, -9):
        why = "the inference child was killed (SIGKILL): often the machine ran out of memory"
        return f"{why}; its last line: {_shorten(said)}" if said else why
    ended = (
        f"the inference child ended with exit code {code}" if code is not None else event.message
    )
    return f"{ended}: {_shorten(said)}" if said else ended


def _last_exception(lines: list[str]) -> str:
    for line in reversed(lines):
        if _EXCEPTION.match(line) and not _WRAPPERS.search(line):
            return _shorten(line)
    return ""


def _shorten(line: str, limit: int = 300) -> str:
    return line if len(line) <= limit else line[: limit - 1] + "…"
