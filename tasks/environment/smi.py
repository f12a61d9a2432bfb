"""Reads the cards from the output of ixsmi (Iluvatar CoreX), or nvidia-smi where NVML is
missing.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from pathlib import Path

from pixtrack.tasks.environment.cards import (
    MIB,
    Accelerators,
    Card,
    CardProcess,
    Vendor,
    process_name,
)
from pixtrack.tasks.secrets import without_secrets

TIMEOUT_SECONDS = 20
"""nvidia-smi takes up to ten seconds on a large host without persistence mode."""

COREX_ROOT = Path("/usr/local/corex")
FIELDS = ("index", "driver_version", "name", "memory.total", "memory.used")


class SmiFailed(Exception):
    """The command could not be run or failed; the message says how."""


def nvidia() -> Accelerators:
    """The cards by nvidia-smi; used only where nvidia-ml-py is not installed."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return Accelerators()
    found = _query(command, "nvidia", (*FIELDS, "compute_cap", "uuid"))
    try:
        banner = run(command)
    except SmiFailed:
        banner = ""
    match = re.search(r"CUDA Version:\s*([\d.]+)", banner)
    return _replaced(found, runtime=match.group(1) if match else "", command=command)


def corex() -> Accelerators:
    """The cards by ixsmi; the runtime is the SDK's version."""
    command = _ixsmi()
    if command is None:
        devices = sorted(str(p) for p in Path("/dev").glob("iluvatar*"))
        trouble = (
            (f"{devices[0]} is there and ixsmi is not: put {COREX_ROOT}/bin on PATH",)
            if devices
            else ()
        )
        return Accelerators(troubles=trouble)
    return _replaced(_query(command, "iluvatar", FIELDS), runtime=sdk_version(), command=command)


def _ixsmi() -> str | None:
    found = shutil.which("ixsmi")
    beside = COREX_ROOT / "bin" / "ixsmi"
    return found or (str(beside) if beside.is_file() else None)


def sdk_version() -> str:
    """The CoreX SDK's version ("4.3.0"); "" where it is unknown.

    It is taken from the name of the SDK's folder, else from a vendor build
    (torch 2.7.1+corex.4.4.0).
    """
    for name in ("version.txt", "VERSION", "version"):
        try:
            text = (COREX_ROOT / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if match := re.search(r"\d+\.\d+\.\d+", text):
            return match.group()
    if match := re.search(r"corex-(\d+\.\d+\.\d+)", str(COREX_ROOT.resolve())):
        return match.group(1)
    from pixtrack.tasks.environment.versions import installed

    for package in ("torch", "vllm", "torchvision"):
        if match := re.search(r"\+corex\.(\d+\.\d+\.\d+)", installed().get(package, "")):
            return match.group(1)
    return ""


def run(command: str, *arguments: str) -> str:
    """The command's standard output. Raises SmiFailed where it fails, hangs or is not permitted."""
    name = Path(command).name
    try:
        done = subprocess.run(
            [command, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            env={**without_secrets(os.environ), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise SmiFailed(
            f"{name} does not answer within {TIMEOUT_SECONDS} s: the driver hangs; see dmesg, reboot"
        ) from None
    except PermissionError:
        raise SmiFailed(f"{name} may not be run ({command}): no permission") from None
    except OSError as error:
        raise SmiFailed(f"{name} cannot be run ({command}): {error.strerror}") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise SmiFailed(f"{name} fails with exit code {done.returncode}: {said[0] if said else ''}")
    return done.stdout


def _query(command: str, vendor: Vendor, fields: tuple[str, ...]) -> Accelerators:
    try:
        text = run(command, f"--query-gpu={','.join(fields)}", "--format=csv")
        cards, driver = parse(text, vendor)
    except SmiFailed as error:
        return Accelerators(troubles=(str(error),), vendor=vendor)
    return Accelerators(cards=cards, driver=driver, vendor=vendor)


def parse(text: str, vendor: Vendor) -> tuple[tuple[Card, ...], str]:
    """Cards and driver version from `--query-gpu=… --format=csv`: a header, then one row per card.

    Raises SmiFailed for other output.
    """
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if row]
    header = next((i for i, row in enumerate(rows) if row[0].strip() == "index"), None)
    if header is None:
        first = text.strip().splitlines()[:1]
        raise SmiFailed(
            f"{_tool(vendor)} prints something unexpected: {first[0][:100] if first else 'nothing'}"
        )
    # The header repeats the fields, with units: "memory.total [MiB]".
    names = [cell.split("[")[0].strip() for cell in rows[header]]
    cards: list[Card] = []
    driver = ""
    for row in rows[header + 1 :]:
        if len(row) != len(names):
            raise SmiFailed(f"{_tool(vendor)} prints a row that is cut off: {', '.join(row)[:100]}")
        values = dict(zip(names, (cell.strip() for cell in row), strict=True))
        driver = driver or values.get("driver_version", "")
        total, used = _bytes(values.get("memory.total", "")), _bytes(values.get("memory.used", ""))
        if total is None or not values["index"].isdigit():
            raise SmiFailed(f"{_tool(vendor)} prints a row without memory: {', '.join(row)[:100]}")
        cards.append(
            Card(
                index=int(values["index"]),
                name=values.get("name", ""),
                vendor=vendor,
                total_bytes=total,
                free_bytes=None if used is None else max(0, total - used),
                compute_capability=_capability(values.get("compute_cap", "")),
                uuid=values.get("uuid", ""),
            )
        )
    return tuple(cards), driver


def _tool(vendor: Vendor) -> str:
    return "ixsmi" if vendor == "iluvatar" else "nvidia-smi"


def _bytes(text: str) -> int | None:
    """Bytes of "32768 MiB" or "32 GiB"; None for "[N/A]" and its like."""
    match = re.fullmatch(r"([\d.]+)\s*([KMG])iB", text)
    if match is None:
        return None
    return int(float(match.group(1)) * {"K": 1024, "M": MIB, "G": 1024 * MIB}[match.group(2)])


def _capability(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(match.group(1)), int(match.group(2))) if match else None


def _replaced(found: Accelerators, runtime: str, command: str) -> Accelerators:
    """The cards with the runtime's version, and with the processes where the tool lists them."""
    cards = found.cards
    if cards:
        try:
            text = run(command, "--query-compute-apps=gpu_uuid,pid,used_memory", "--format=csv")
        except SmiFailed:  # ixsmi of some SDKs lacks this query; the cards are known without it
            text = ""
        cards = tuple(_with_processes(card, text) for card in cards)
    return Accelerators(
        cards=cards,
        driver=found.driver,
        runtime=runtime,
        vendor=found.vendor,
        troubles=found.troubles,
    )


def _with_processes(card: Card, text: str) -> Card:
    held = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) == 3 and row[0] == card.uuid and card.uuid and row[1].strip().isdigit():
            pid = int(row[1])
            held.append(CardProcess(pid, process_name(pid), _bytes(row[2].strip())))
    return Card(**{**card.__dict__, "processes": tuple(held)})
