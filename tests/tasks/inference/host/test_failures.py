"""The one line that matters, out of an engine's log. The logs are vLLM's own, shortened."""

from __future__ import annotations

import pytest

from pixtrack.tasks.inference.host.failures import explain
from pixtrack.tasks.runs.protocol import EngineSpec, Event

SPEC = EngineSpec(engine="vllm", model_dir="/models/x", format="mistral", family="pixtral")
CORE = "\x1b[0;36m(EngineCore pid=77)\x1b[0;0m ERROR 11-22 16:00:01 [core.py:1136] "
WRAPPER = (
    "RuntimeError: Engine core initialization failed. See root cause above. "
    "Failed core proc(s): {'EngineCore': 1}"
)


def log(*lines: str) -> str:
    """An engine core's traceback that ends in these lines, and the front end's after it."""
    return "\n".join(
        [
            "(Worker pid=78) INFO 11-22 16:00:00 [gpu_worker.py:1] Free memory on start: 3 GiB",
            f"{CORE}EngineCore failed to start.",
            f"{CORE}Traceback (most recent call last):",
            f'{CORE}  File "/site/vllm/v1/engine/core.py", line 1128, in run_engine_core',
            f"{CORE}    raise ValueError(",
            *(CORE + line for line in lines),
            "(EngineCore pid=77) Process EngineCore:",
            "Traceback (most recent call last):",
            '  File "/tasks/inference/worker/main.py", line 70, in _start',
            WRAPPER,
        ]
    )


FAILED = Event(event="engine_failed", message=WRAPPER, details={"error": "RuntimeError"})


@pytest.mark.parametrize(
    ("line", "reason", "remedy"),
    [
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 224.00 MiB. GPU 0 has a "
            "total capacity of 23.52 GiB of which 83.69 MiB is free.",
            "out_of_memory",
            "engine.tensor_parallel_size",
        ),
        (
            "ValueError: Free memory on device cuda:0 (3.10/79.11 GiB) on startup is less than "
            "desired GPU memory utilization (0.9, 71.2 GiB). Decrease GPU memory utilization or "
            "reduce GPU memory used by other processes.",
            "out_of_memory",
            "another process holds GPU memory",
        ),
        (
            "ValueError: To serve at least one request with the model's max seq len (128000), "
            "(19.53 GiB KV cache is needed, which is larger than the available KV cache memory "
            "(3.02 GiB). Based on the available memory, the estimated maximum model length is 19776.",
            "out_of_memory",
            "engine.max_model_len",
        ),
        (
            "ValueError: No available memory for the cache blocks. Try increasing "
            "`gpu_memory_utilization` when initializing the engine.",
            "out_of_memory",
            "engine.max_model_len",
        ),
        (
            "AssertionError: Error in memory profiling. Initial free memory 77.11 GiB, current free "
            "memory 78.38 GiB. This happens when other processes sharing the same container release "
            "GPU memory while vLLM is profiling during initialization.",
            "card_shared",
            "another process on the card",
        ),
        (
            "NotImplementedError: Head size 16 is not supported by CPU attention. Supported head "
            "sizes are: [32, 64, 80].",
            "head_size",
            "head dimension",
        ),
        ("OSError: [Errno 98] Address already in use", "port", "VLLM_PORT"),
        ("OSError: [Errno 28] No space left on device", "disk", "/dev/shm"),
        (
            "Value error, The checkpoint you are trying to load has model type `llavaonevision1_5` "
            "but Transformers does not recognize this architecture.",
            "architecture",
            "through an endpoint",
        ),
        (
            "ValueError: Model architectures ['NewForConditionalGeneration'] are not supported for "
            "now. Supported architectures: ['LlamaForCausalLM']",
            "architecture",
            "newer",
        ),
        (
            "RuntimeError: Cannot find any model weights with `/models/x`",
            "missing_file",
            "not whole",
        ),
        (
            "safetensors_rust.SafetensorError: Error while deserializing header: "
            "MetadataIncompleteBuffer",
            "damaged_file",
            "download again",
        ),
        ("RuntimeError: No CUDA GPUs are available", "no_device", "nvidia-smi"),
        (
            "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3690",
            "distributed",
            "NCCL_DEBUG",
        ),
        (
            "ValueError: Total number of attention heads (32) must be divisible by tensor parallel "
            "size (3).",
            "configuration",
            "",
        ),
    ],
)
def test_the_root_cause_is_found_below_vllms_wrapping(line: str, reason: str, remedy: str) -> None:
    failure = explain(FAILED, log(line), SPEC, "/venv/bin/python")
    assert failure.message == line
    assert failure.details["reason"] == reason
    assert remedy in failure.remedy


@pytest.mark.parametrize(
    ("below", "said"),
    [
        (
            (
                "  Value error, Total number of attention heads (2) must be divisible by tensor "
                "parallel size (3). [type=value_error, input_value=ArgsKwargs((), {'model_co...",
            ),
            "ValidationError: Total number of attention heads (2) must be divisible by tensor "
            "parallel size (3).",
        ),
        (
            (
                "dtype.literal['auto','half','float32']",
                "  Input should be 'auto', 'half' or 'float32' [type=literal_error, input_value=...",
            ),
            "ValidationError: dtype: Input should be 'auto', 'half' or 'float32'",
        ),
    ],
)
def test_a_refused_configuration_names_the_key_and_what_it_should_be(
    below: tuple[str, ...], said: str
) -> None:
    first = "pydantic_core._pydantic_core.ValidationError: 2 validation errors for ModelConfig"
    text = "\n".join(("Traceback (most recent call last):", first, *below, "    For further …"))
    event = Event(event="engine_failed", message=first, details={"error": "ValidationError"})
    assert explain(event, text, SPEC, "python").message == said


def test_an_out_of_memory_counts_whatever_it_ends_as() -> None:
    text = log(
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "During handling of the above exception, another exception occurred:",
        "RuntimeError: CUDA out of memory occurred when warming up sampler with 256 dummy requests.",
    )
    failure = explain(FAILED, text, SPEC, "python")
    assert failure.details["reason"] == "out_of_memory"
    assert failure.message.startswith("torch.OutOfMemoryError")


def test_a_message_in_the_log_that_is_no_error_is_not_taken() -> None:
    text = (
        "WARNING 11-22 16:00:00 [x.py:1] RuntimeError-like words: FileNotFoundError is ignored\n"
        "(EngineCore pid=7) INFO 11-22 16:00:00 [y.py:2] retrying after OSError: fine now\n"
    )
    event = Event(event="engine_failed", message="KeyError: 'vision_encoder'")
    failure = explain(event, text, SPEC, "python")
    assert failure.message == "KeyError: 'vision_encoder'"


def test_what_the_user_can_mend_is_passed_on_as_it_is() -> None:
    said = "vLLM has no engine option 'dtypo'. Did you mean 'dtype'?"
    event = Event(event="engine_failed", message=said, details={"error": "UserError"})
    failure = explain(event, log("torch.OutOfMemoryError: old"), SPEC, "python")
    assert (failure.message, failure.remedy) == (said, "")


def test_a_death_in_mid_run_is_told_as_such_with_its_cause() -> None:
    event = Event(
        event="engine_failed",
        message="vLLM's engine core died",
        details={"error": "EngineDied", "reason": "engine_died"},
    )
    found = explain(event, log("torch.OutOfMemoryError: CUDA out of memory."), SPEC, "python")
    assert found.details == {"reason": "engine_died", "cause": "out_of_memory"}
    silent = explain(event, "INFO nothing to see\n", SPEC, "python")
    assert silent.message == "vLLM's engine core died"
    assert silent.details["reason"] == "engine_died"


def test_a_child_that_was_killed_is_told_as_such() -> None:
    event = Event(event="engine_failed", details={"exit_code": 137})
    tracker = (
        "/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: "
        "There appear to be 1 leaked semaphore objects\n  warnings.warn('resource_tracker: There'\n"
    )
    failure = explain(event, f"loading weights\n{tracker}", SPEC, "python")
    assert "killed (SIGKILL): often the machine ran out of memory" in failure.message
    assert "loading weights" in failure.message


def test_an_empty_log_still_gives_a_line() -> None:
    failure = explain(Event(event="engine_failed", details={"exit_code": 3}), "", SPEC, "python")
    assert failure.message == "the inference child ended with exit code 3"


def test_a_line_without_end_is_cut() -> None:
    failure = explain(FAILED, log("ValueError: " + "x" * 1000), SPEC, "python")
    assert len(failure.message) == 300 and failure.message.endswith("…")
