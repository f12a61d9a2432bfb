"""The engine vLLM: its front end runs in this process, its engine core in a process of its own.

Written for vLLM 0.24 to 0.32. Imported by the inference child alone; vLLM is imported when the
engine starts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.engines.base import (
    Capabilities,
    EngineDied,
    EngineOutput,
    EnginePrompt,
    ImageNotCached,
    RequestRefused,
)
from pixtrack.tasks.inference.engines.front_ends import FrontEnd, front_end_for
from pixtrack.tasks.inference.engines.model_files import check_model_files
from pixtrack.tasks.inference.engines.vllm_setup import (
    CPU_DEFAULTS,
    GPU_DEFAULTS,
    checked_arguments,
    compute_in_engine_core,
    do_without_flashinfer,
    engine_arguments,
    inspect_models_here,
    is_small,
    kv_cache_tokens,
    widen_encoder_cache,
)
from pixtrack.tasks.runs.protocol import EngineSpec


class VllmEngine:
    """An `Engine` on vLLM's AsyncLLM, with token prompts, image uuids and prefix caching."""

    retried = 0

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self._llm: Any = None
        self._front_end: FrontEnd | None = None
        self._has_workers = True
        self._client_errors: tuple[type[Exception], ...] = (ValueError,)
        self._dead_error: type[Exception] = RuntimeError

    async def start(self) -> Capabilities:
        """Loads the model, which takes half a minute (CPU) to minutes."""
        started = time.monotonic()
        check_model_files(self.spec)
        arguments = engine_arguments(self.spec)
        do_without_flashinfer()
        try:
            import vllm
            from vllm import exceptions
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.v1.engine.async_llm import AsyncLLM
            from vllm.v1.engine.exceptions import EngineDeadError
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        # ValueError up to 0.24; a class of its own, which is no ValueError, in later versions.
        client_error = getattr(exceptions, "VLLMClientError", ValueError)
        self._client_errors = (ValueError, client_error)
        self._dead_error = EngineDeadError
        imported = time.monotonic()

        if current_platform.is_cpu():
            arguments = CPU_DEFAULTS | arguments
            inspect_models_here()
        elif current_platform.is_cuda_alike():
            arguments = GPU_DEFAULTS | arguments
        config = checked_arguments(AsyncEngineArgs, arguments).create_engine_config()
        encoder_cache_tokens = widen_encoder_cache(config, current_platform)
        if current_platform.is_cpu() and is_small(Path(self.spec.model_dir)):
            compute_in_engine_core(config, arguments)
        parallel = config.parallel_config
        self._has_workers = parallel.distributed_executor_backend != "uni"
        configured = time.monotonic()
        self._llm = AsyncLLM.from_vllm_config(config, disable_log_stats=True)
        # The engine core wrote what it found into the front end's copy of the configuration.
        cache, model = config.cache_config, config.model_config
        self._front_end, images = front_end_for(self.spec.format, self._llm.renderer, model.dtype)
        finished = time.monotonic()
        return Capabilities(
            token_prompts=True,
            kv_cache_tokens=kv_cache_tokens(cache),
            max_model_len=model.max_model_len,
            prefix_caching=bool(cache.enable_prefix_caching),
            max_concurrency=config.scheduler_config.max_num_seqs,
            name="vllm",
            version=str(vllm.__version__),
            platform=str(current_platform.device_type),
            details={
                "dtype": str(model.dtype).removeprefix("torch."),
                "block_size": cache.block_size,
                "encoder_cache_tokens": encoder_cache_tokens,
                "images": images,
                "arguments": {key: value for key, value in arguments.items() if key != "model"},
                "import_seconds": round(imported - started, 2),
                "config_seconds": round(configured - imported, 2),
                "load_seconds": round(finished - configured, 2),
                "start_seconds": round(finished - started, 2),
            },
        )

    async def generate(
        self,
        prompt: EnginePrompt,
        sampling: Sampling,
        on_first_token: Callable[[], None] | None = None,
    ) -> EngineOutput:
        """Answers one prompt. See `Engine.generate`."""
        if self._llm is None:
            raise EngineDied("the engine is not running")
        llm = self._llm
        submitted = time.monotonic()
        first_token_seconds = 0.0
        text: list[str] = []
        token_ids: list[int] = []
        last: Any = None
        try:
            if self._front_end is not None and prompt.images:
                rendered = self._front_end.engine_input(prompt)
            else:
                rendered = await self._rendered(prompt)
            async for last in llm.generate(rendered, _sampling(sampling), prompt.request_id):
                output = last.outputs[0]
                if output.token_ids and not token_ids:
                    first_token_seconds = time.monotonic() - submitted
                    if on_first_token is not None:
                        on_first_token()
                text.append(output.text)
                token_ids.extend(output.token_ids)
        except ImageNotCached:
            raise
        except self._dead_error as error:
            raise EngineDied("vLLM's engine core died") from error
        except self._client_errors as error:
            if self._front_end is not None:
                self._front_end.forget(prompt)
            if "Cache miss" in str(error):
                raise ImageNotCached(str(error)) from error
            raise RequestRefused(f"vLLM refuses it: {_one_line(error)}") from error
        except Exception as error:
            if llm.errored:
                raise EngineDied("vLLM's engine core died") from error
            raise
        if last is None:
            raise RuntimeError("vLLM ended the request without an answer")
        reason = last.outputs[0].finish_reason
        if reason not in ("stop", "length"):
            raise RuntimeError(f"vLLM ended the request with {reason!r}")
        return EngineOutput(
            text="".join(text),
            finish_reason=reason,
            token_ids=tuple(token_ids),
            prompt_tokens=len(last.prompt_token_ids or ()),
            cached_tokens=last.num_cached_tokens or 0,
            first_token_seconds=first_token_seconds,
            seconds=time.monotonic() - submitted,
        )

    async def _rendered(self, prompt: EnginePrompt) -> Any:
        """The engine input as vLLM renders it, with images processed outside of the event loop."""
        from vllm.renderers.inputs.preprocess import parse_model_prompt

        parsed = parse_model_prompt(self._llm.model_config, _prompt(prompt))
        (rendered,) = await self._llm.renderer.render_cmpl_async([parsed])
        return rendered

    def prepare_image(self, image: Any) -> Any:
        """What the front end makes of it; without one the image itself, for vLLM's processor."""
        if self._front_end is None:
            return image
        try:
            return self._front_end.prepare(image)
        except self._client_errors as error:
            # vLLM's own words only name the call; what the processor said is their cause.
            reason = _one_line(error.__cause__ or error)
            raise RequestRefused(f"the model's processor refuses the image: {reason}") from error

    async def reset_caches(self) -> None:
        """Empties the caches of images and prompts, for measurements; nothing may be in flight."""
        await self._llm.reset_mm_cache()
        await self._llm.reset_encoder_cache()
        await self._llm.reset_prefix_cache()

    async def close(self) -> None:
        """Ends the engine core and its workers."""
        llm, self._llm = self._llm, None
        if llm is not None:
            # Workers get time to release what they share. An engine core without workers has
            # nothing to release, takes seconds to end by itself, and is killed.
            grace_seconds = 5.0 if self._has_workers else 0.0
            await asyncio.to_thread(llm.shutdown, grace_seconds)


def _missing(error: ModuleNotFoundError) -> UserError:
    import sys

    if error.name == "vllm":
        return UserError(
            f"{sys.executable} has no vLLM: `make setup` installs it, or name the interpreter that "
            "has it in PIXTRACK_VLLM_PYTHON"
        )
    return UserError(
        f"vLLM of {sys.executable} cannot be imported: it lacks the module {error.name!r}: "
        "install it there"
    )


def _prompt(prompt: EnginePrompt) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if prompt.token_ids is not None:
        made["prompt_token_ids"] = list(prompt.token_ids)
    elif prompt.text is not None:
        made["prompt"] = prompt.text
    else:
        raise TypeError("vLLM's engine takes token ids or a text, not chat messages")
    if prompt.images:
        made["multi_modal_data"] = {"image": list(prompt.images)}
        if prompt.image_uuids:
            made["multi_modal_uuids"] = {"image": list(prompt.image_uuids)}
    return made


def _sampling(sampling: Sampling) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        # A seed makes a generator a request: needed only where something is drawn.
        seed=sampling.seed if sampling.temperature > 0 else None,
        stop=list(sampling.stop) or None,
        output_kind=RequestOutputKind.DELTA,
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
