"""Run by Python itself at the start of every process that has this directory on its PYTHONPATH.

It uses the standard library only and imports little, because it also runs in processes that do
not need it.
"""

import gc
import os
import sys

# vLLM's imports create hundreds of thousands of lasting objects. Python's default, a garbage
# collection after every 700 new ones, makes the start of each process a second slower.
gc.set_threshold(50_000)

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (pathlib costs 10 ms)


def _chain() -> None:
    """Runs the sitecustomize that is hidden by this one, if there is one."""
    from importlib.machinery import PathFinder

    elsewhere = [entry for entry in sys.path if os.path.abspath(entry or ".") != HERE]  # noqa: PTH100
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec

    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


class _OurPackages:
    """Finds the package `pixtrack` in PIXTRACK_ROOT, and no other package there.

    The folder may be another interpreter's site-packages, whose packages do not fit this one.
    """

    @staticmethod
    def find_spec(fullname, path=None, target=None):  # type: ignore[no-untyped-def] # noqa: ARG004
        if fullname != "pixtrack":
            return None
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(fullname, [os.environ["PIXTRACK_ROOT"]])


def _die_with_parent() -> None:
    """Makes the kernel kill engine processes that multiprocessing spawned when their parent dies.

    The guard kills them, too; this also works where the guard itself was killed. It is used for
    spawned engine processes only, which their parent starts from its main thread, because the
    signal is sent when the starting *thread* ends.
    """
    arguments = " ".join(getattr(sys, "orig_argv", ()))
    if "PIXTRACK_GUARD" in os.environ and "multiprocessing.spawn" in arguments:
        import ctypes
        import signal

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


try:
    import torch_companions  # type: ignore[import-not-found]

    torch_companions.install()
    if "PIXTRACK_ROOT" in os.environ:
        sys.meta_path.insert(0, _OurPackages)
    if sys.platform == "linux":
        _die_with_parent()
finally:
    _chain()
