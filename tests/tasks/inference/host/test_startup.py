"""What every process of the inference child does at its start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pixtrack.tasks.inference.host import startup
from tests.doubles.processes import run_code


def fake(folder: Path, broken: bool) -> Path:
    """A torch and a torchvision of a few lines that fail, or work, as the real pair does."""
    (folder / "torch").mkdir(parents=True)
    (folder / "torch" / "__init__.py").write_text(
        "class ops: \n    class torchvision: pass\n"
        "class library:\n"
        "    class Library:\n"
        "        def __init__(self, name, kind): print('library', name, kind)\n"
        "        def define(self, schema):\n"
        "            print('define', schema.split('(')[0])\n"
        "            setattr(ops.torchvision, schema.split('(')[0], schema)\n"
    )
    (folder / "torchvision").mkdir()
    loaded = (
        "" if broken else "import torch; torch.ops.torchvision.nms = torch.ops.torchvision.qnms = 1"
    )
    (folder / "torchvision" / "extension.py").write_text(loaded)
    (folder / "torchvision" / "_meta_registrations.py").write_text(
        "import torch; torch.ops.torchvision.nms, torch.ops.torchvision.qnms"
    )
    (folder / "torchvision" / "__init__.py").write_text(
        "from . import extension\nfrom . import _meta_registrations\nprint('imported')"
    )
    return folder


def test_torchvision_with_unloadable_operators_can_be_imported(tmp_path: Path) -> None:
    site = fake(tmp_path, broken=True)
    assert "AttributeError" in run_code("import torchvision", [site]).stderr
    assert run_code("import torchvision", [startup.DIRECTORY, site]).stdout.split("\n") == [
        "library torchvision FRAGMENT",
        "define nms",
        "define qnms",
        "imported",
        "",
    ]


def test_a_working_torchvision_is_left_alone(tmp_path: Path) -> None:
    site = fake(tmp_path, broken=False)
    assert run_code("import torchvision", [startup.DIRECTORY, site]).stdout == "imported\n"


def test_nothing_is_imported_before_torchvision_is() -> None:
    code = "import sys; print('torch' in sys.modules, 'ctypes' in sys.modules)"
    assert run_code(code, [startup.DIRECTORY]).stdout == "False False\n"


def test_the_real_packages_can_be_imported_in_a_spawned_process(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing\n"
        "def child():\n    import torchvision.ops, torchaudio; print('imported')\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=child)\n"
        "    process.start(); process.join(); raise SystemExit(process.exitcode)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(startup.DIRECTORY)}
    done = subprocess.run(
        [sys.executable, str(program)], env=env, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "imported\n"), done.stderr


def test_another_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('theirs', __name__)")
    code = "import sitecustomize; print(sitecustomize.__file__)"
    done = run_code(code, [startup.DIRECTORY, tmp_path])
    assert done.stdout == f"theirs sitecustomize\n{tmp_path / 'sitecustomize.py'}\n"


def test_a_failing_sitecustomize_of_theirs_does_not_stop_the_process(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('theirs')")
    done = run_code("print('alive')", [startup.DIRECTORY, tmp_path])
    assert done.stdout == "alive\n" and "theirs" in done.stderr


def test_torchaudio_whose_library_does_not_load_goes_without_it(tmp_path: Path) -> None:
    extension = tmp_path / "torchaudio" / "_extension"
    extension.mkdir(parents=True)
    (tmp_path / "torchaudio" / "__init__.py").write_text("from . import _extension")
    (extension / "__init__.py").write_text("from .utils import _load_lib; print(_load_lib('x'))")
    utils = extension / "utils.py"
    utils.write_text("def _load_lib(lib): raise OSError('libc10_cuda.so: cannot open')")
    assert "libc10_cuda" in run_code("import torchaudio", [tmp_path]).stderr
    assert run_code("import torchaudio", [startup.DIRECTORY, tmp_path]).stdout == "False\n"
    utils.write_text("def _load_lib(lib): return lib == 'x'")
    assert run_code("import torchaudio", [startup.DIRECTORY, tmp_path]).stdout == "True\n"


def test_torchcodec_whose_library_does_not_load_counts_as_missing(tmp_path: Path) -> None:
    package = tmp_path / "torchcodec"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from . import _internally_replaced_utils as u; u.load_image_library()"
    )
    (package / "_internally_replaced_utils.py").write_text(
        "def load_image_library(): raise OSError('libnvrtc.so.13: cannot open')"
    )
    code = "try:\n    import torchcodec\nexcept ImportError as error:\n    print(error)"
    done = run_code(code, [startup.DIRECTORY, tmp_path])
    assert done.stdout == "torchcodec does not fit this torch: libnvrtc.so.13: cannot open\n"
