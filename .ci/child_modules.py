"""Prints the files that the inference child imports, after a look at what they import themselves.

They run under the interpreter that has vLLM: a vendor's may be Python 3.10, and has nothing but
vLLM and what vLLM brings. `make lint` checks their syntax with vermin. Whatever is not allowed here
is one line and exit code 1: allowing it is a decision, not an accident.
"""

import importlib.util
import sys

import grimp

ENTRY_POINTS = ("worker", "prompts", "engines")
"""Packages of pixtrack.tasks.inference whose modules are all the child's."""

OWN = (
    "pixtrack.configs.addresses",
    "pixtrack.configs.endpoint_address",
    "pixtrack.configs.engine_defaults",
    "pixtrack.configs.errors",
    "pixtrack.configs.references",
    "pixtrack.configs.schema",
    "pixtrack.tasks.images",
    "pixtrack.tasks.locks",
    "pixtrack.tasks.processes",
    "pixtrack.tasks.records",
    "pixtrack.tasks.retrying",
    "pixtrack.tasks.runs.image_groups",
    "pixtrack.tasks.runs.journal",
    "pixtrack.tasks.runs.protocol",
    "pixtrack.tasks.runs.requests",
    *(f"pixtrack.tasks.inference.{name}" for name in ENTRY_POINTS),
)
"""The modules, and packages, of pixtrack that the child may import; packages above them are empty."""

FROM_VLLM = (
    *("cv2", "mistral_common", "numpy", "PIL", "pydantic"),
    *("torch", "transformers", "typing_extensions", "vllm"),
)
"""What every vLLM brings."""

ENDPOINTS = ("pixtrack.tasks.inference.engines.openai", "pixtrack.tasks.retrying")
FOR_ENDPOINTS = ("httpx", "httpx_sse", "tenacity")
"""Only for the engine that asks an endpoint, which runs under pixtrack's own interpreter."""


def main() -> int:
    """The exit code."""
    graph = grimp.build_graph("pixtrack", include_external_packages=True, cache_dir=None)
    ours = {module for module in graph.modules if module.startswith("pixtrack")}
    roots = [f"pixtrack.tasks.inference.{name}" for name in ENTRY_POINTS]
    modules = {module for module in ours if _within(module, roots)}
    for module in list(modules):
        modules |= graph.find_upstream_modules(module) & ours
    faults = [
        f"{module}: is not a module for the inference child"
        for module in modules
        if not _within(module, OWN) and graph.find_modules_directly_imported_by(module)
    ]
    for module in modules:
        allowed = {*FROM_VLLM, *sys.stdlib_module_names}
        allowed |= set(FOR_ENDPOINTS) if module.startswith(ENDPOINTS) else set()
        others = graph.find_modules_directly_imported_by(module) - ours - allowed
        faults += [f"{module}: imports {other}" for other in others]
    for fault in sorted(faults):
        print(fault, file=sys.stderr)
    for module in sorted({*modules, "pixtrack.tasks.inference.host.guard"}):
        spec = importlib.util.find_spec(module)
        assert spec is not None
        print(spec.origin)
    return 1 if faults else 0


def _within(module: str, packages: tuple[str, ...] | list[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


sys.exit(main())
