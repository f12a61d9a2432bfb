"""Makes CUDA builds of torchvision, torchaudio and torchcodec importable beside a CPU torch.

Their compiled libraries cannot be loaded there. vLLM and transformers import these packages
without needing the libraries: no model here uses a compiled operator of theirs. But

- torchvision registers shape functions for two operators, nms and qnms, which then do not exist:
  "operator torchvision::nms does not exist". So their schemas are defined just before, where they
  are missing;
- torchaudio raises the error of loading its library, although it works without the library where
  the file is missing. So it is made to find no file;
- torchcodec's import fails with OSError, while vLLM, which works without it, expects ImportError.
  So the error is converted.

Packages that work are left unchanged, and packages that are not imported are not loaded.
"""

import sys
from importlib.machinery import PathFinder

_SCHEMAS = {
    name: f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for name in ("nms", "qnms")
}

_libraries = []  # type: ignore[var-annotated]
"""Keeps the Library objects: an operator disappears with the one that defined it."""


def _define_missing_operators(module) -> None:  # type: ignore[no-untyped-def] # noqa: ARG001
    import torch

    missing = [name for name in _SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    if missing:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            library.define(_SCHEMAS[name])
        _libraries.append(library)


def _tolerate_unloadable_library(module) -> None:  # type: ignore[no-untyped-def]
    load = getattr(module, "_load_lib", None)
    if load is None:
        return

    def load_if_possible(lib: str) -> bool:
        try:
            return bool(load(lib))
        except OSError:
            return False

    module._load_lib = load_if_possible


def _fail_as_missing(module) -> None:  # type: ignore[no-untyped-def]
    load = getattr(module, "load_image_library", None)
    if load is None:
        return

    def load_or_be_missing() -> None:
        try:
            load()
        except OSError as error:
            raise ImportError(f"torchcodec does not fit this torch: {error}") from error

    module.load_image_library = load_or_be_missing


_BEFORE = {"torchvision._meta_registrations": _define_missing_operators}
"""Functions to run before a module is imported. torchvision imports this one right after it tried
to load its library."""
_AFTER = {
    "torchaudio._extension.utils": _tolerate_unloadable_library,
    "torchcodec._internally_replaced_utils": _fail_as_missing,
}
"""Functions to run after a module is imported: these modules define the functions that load the
libraries, which are called next."""


class _Loader:  # not a Loader by name: importlib.abc would cost every start 5 ms
    """Loads a module with its own loader, and runs the functions for before and after it."""

    def __init__(self, loader) -> None:  # type: ignore[no-untyped-def]
        self.loader = loader

    def create_module(self, spec):  # type: ignore[no-untyped-def]
        return self.loader.create_module(spec)

    def exec_module(self, module) -> None:  # type: ignore[no-untyped-def]
        name = module.__name__
        _BEFORE.get(name, _nothing)(module)
        self.loader.exec_module(module)
        _AFTER.get(name, _nothing)(module)

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return getattr(self.loader, name)


def _nothing(module) -> None:  # type: ignore[no-untyped-def]
    pass


class _Finder:
    def find_spec(self, fullname, path=None, target=None):  # type: ignore[no-untyped-def] # noqa: ARG002
        if fullname not in _BEFORE and fullname not in _AFTER:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


def install() -> None:
    """Applies this to imports of the three packages in this process. May be called repeatedly."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
