"""Lets torchvision, torchaudio and torchcodec be CUDA builds beside a CPU torch.

Their compiled libraries do not load there. vLLM and transformers import these packages and need
none of the libraries: no model here calls one of their compiled operators. But

- torchvision registers shape functions for two operators, nms and qnms, which then do not exist:
  "operator torchvision::nms does not exist". Their schemas are defined just before that moment,
  if they are missing then;
- torchaudio passes on the error of its library's loading, though it can do without the library
  (as where that file is missing): it is told that the library is not there;
- torchcodec's import fails with OSError, where vLLM, which can do without it, expects ImportError.

Where the packages work nothing changes; where they are not imported nothing is loaded.
"""

import sys
from importlib.machinery import PathFinder

_SCHEMAS = {
    name: f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for name in ("nms", "qnms")
}

_libraries = []  # type: ignore[var-annotated]
"""Operators vanish with the Library object that defined them."""


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
"""Imported by torchvision right after it tried to load its library."""
_AFTER = {
    "torchaudio._extension.utils": _tolerate_unloadable_library,
    "torchcodec._internally_replaced_utils": _fail_as_missing,
}
"""Hold the functions that load the libraries, which are called next."""


class _Loader:  # not a Loader by name: importlib.abc would cost every start 5 ms
    """Loads a module as its own loader would, and does what is needed before and after."""

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
    """Watches for the three packages in this process. May be called any number of times."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
