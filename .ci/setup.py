"""Makes the environment: `make setup` runs this with any Python 3.11 or 3.12, before anything is here.

uv installs in parallel, and is brought into the environment where the machine has none; pip takes
over where uv cannot be had or fails. PyTorch's CPU build is fetched by pip in any case: pip's own
configuration may offer it, and uv does not read that.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TORCH = "torch==2.13.0+cpu"
TORCHVISION = "torchvision==0.28.0+cpu"
EXTRAS = {"cpu": "cpu,dev", "cuda": "cuda,dev", "none": "dev"}
SAID_EVERY_SECONDS = 20
"""Without a terminal a line now and then stands for the moving one."""
BEGUN = time.monotonic()


def main() -> int:
    """Makes the environment; 0 where pixtrack runs in it, else 1 (or 2 for a wrong call)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--venv", type=Path, required=True)
    parser.add_argument("--extra", default="cpu")
    parser.add_argument("--torch-index", default="https://download.pytorch.org/whl/cpu")
    given = parser.parse_args()
    if not (3, 11) <= sys.version_info < (3, 13):
        print("pixtrack needs Python 3.11 or 3.12: make PYTHON=python3.11 setup")
        return 2
    if given.extra not in EXTRAS:
        print(f"EXTRA is cpu, cuda or none, not {given.extra!r}")
        return 2
    if given.extra == "none":
        print(
            "setup: no engine: set PIXTRACK_VLLM_PYTHON to the interpreter with the vendor's vLLM"
        )
    python = given.venv / "bin" / "python"
    if not python.exists() and not run(
        "making the environment", sys.executable, "-m", "venv", str(given.venv)
    ):
        return 1
    wanted = ["-e", f".[{EXTRAS[given.extra]}]"]
    constraints = Path("constraints") / f"{given.extra}.txt"
    wanted += ["-c", str(constraints)] if constraints.exists() else []
    uv = find_uv(python)
    with tempfile.TemporaryDirectory() as wheels:
        if given.extra == "cpu" and not has_torch(python):
            if not fetch_torch(python, Path(wheels), given.torch_index):
                return 1
            wanted += [str(wheel) for wheel in sorted(Path(wheels).glob("*.whl"))]
        what = "installing pixtrack" + (
            f" with vLLM for {given.extra}" if given.extra != "none" else ""
        )
        done = uv is not None and run(
            f"{what} (uv)", uv, "pip", "install", "--python", str(python), *wanted
        )
        if not done and not run(
            f"{what} (pip: a few minutes)", str(python), "-m", "pip", "install", *wanted
        ):
            return 1
    if not run("looking whether it starts", str(python.parent / "pixtrack"), "--version"):
        return 1
    print(f"setup: done ({given.extra}, {time.monotonic() - BEGUN:.0f} s)")
    return 0


def find_uv(python: Path) -> str | None:
    """The machine's uv, or one brought into the environment; None where there is none to be had."""
    beside = python.parent / "uv"
    found = shutil.which("uv") or (str(beside) if beside.exists() else None)
    if found is None and run(
        "fetching uv", str(python), "-m", "pip", "install", "-q", "uv", may_fail=True
    ):
        found = str(beside)
    return found


def has_torch(python: Path) -> bool:
    """Whether the environment has the CPU build already."""
    program = f"import importlib.metadata as m, sys; sys.exit(m.version('torch') != {TORCH.partition('==')[2]!r})"
    return subprocess.run([python, "-c", program], capture_output=True).returncode == 0


def fetch_torch(python: Path, folder: Path, index: str) -> bool:
    """PyTorch's CPU wheel, from where pip's configuration says, else from PyTorch's own index."""
    download = [str(python), "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    if run("fetching PyTorch's CPU build", *download, TORCH, may_fail=True):
        return True
    print(f"setup: the package registry has no CPU build of PyTorch: asking {index}")
    return run(
        "fetching PyTorch's CPU build", *download, "--extra-index-url", index, TORCH, TORCHVISION
    )


def environment() -> dict[str, str]:
    """The variables of uv, from pip's where only those are set: a mirror, a company's certificates."""
    found = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    for uv, pip in (("UV_DEFAULT_INDEX", "PIP_INDEX_URL"), ("SSL_CERT_FILE", "PIP_CERT")):
        if found.get(pip):
            found.setdefault(uv, found[pip])
    return found


def run(what: str, *command: str, may_fail: bool = False) -> bool:
    """Runs a command with a line that says what is done, for how long, and what it said last."""
    process = subprocess.Popen(
        command, env=environment(), text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    lines: list[str] = []
    shown = _Line(what)
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    while reader.is_alive():
        reader.join(0.5)
        shown.show(lines[-1] if lines else "")
    status = process.wait()
    shown.end()
    if status and not may_fail:
        print("".join(lines[-15:]), end="")
        print(f"setup: {what}: failed ({Path(command[0]).name} ended with {status})")
    return status == 0


def _read(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() and "is ignored: it is neither a file nor a directory" not in line:
            lines.append(line)


class _Line:
    """The line that moves on a terminal, or a line now and then elsewhere."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = self._said = time.monotonic()
        self._moves = sys.stdout.isatty()
        print(f"setup: {what}", end="" if self._moves else "\n", flush=True)

    def show(self, last: str) -> None:
        """What is done, for how long, and the command's last line, cut to the terminal."""
        now = time.monotonic()
        text = f"setup: {self._what} · {now - self._begun:.0f} s · {last.strip()}"
        if self._moves:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]:<{width}}", end="", flush=True)
        elif now - self._said >= SAID_EVERY_SECONDS:
            self._said = now
            print(text[:120], flush=True)

    def end(self) -> None:
        """How long it took."""
        if self._moves:
            self.show("done")
            print()


if __name__ == "__main__":
    sys.exit(main())
