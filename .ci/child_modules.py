"""Prints the files that the inference child imports: they must run under Python 3.10.

A vendor's vLLM may come with an older Python than pixtrack needs.
"""

import importlib.util

import grimp

ROOTS = ("worker", "prompts", "engines")


def main() -> None:
    """One path a line."""
    graph = grimp.build_graph("pixtrack")
    modules = {
        module
        for module in graph.modules
        if module.startswith(tuple(f"pixtrack.tasks.inference.{root}" for root in ROOTS))
    }
    for module in list(modules):
        modules |= graph.find_upstream_modules(module)
    modules.add("pixtrack.tasks.inference.host.guard")
    for module in sorted(modules):
        spec = importlib.util.find_spec(module)
        assert spec is not None
        print(spec.origin)


main()
