"""Every architecture of the published figures on one card, and where the time of each goes.

    python -m bench.every_model                         # all cells, one after the other
    python -m bench.every_model qwen2.5-vl-7b pixtral-12b-fp8 --pages-number 64

Each cell is one engine start with random weights at the real size: DocVQA's group sizes, four
questions a page, the same with the images left to vLLM, and the parts of the time. Results lie
under --out, a folder a cell; the table comes last.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.architectures import ARCHITECTURES, ROOT

COMPILED = 'compilation_config={"compile_mm_encoder": true}'
VARIANTS: dict[str, list[str]] = {
    "": [],
    "compiled": [COMPILED],
    "fp8": ["quantization=fp8"],
    "fp8-compiled": ["quantization=fp8", COMPILED],
}
"""What a cell's name may end in, after a +: engine options."""

SMALL = ["--weights", "files", "--data", "sample", "--images", "300", "--modes", "grouped"]
"""The small trained model: its texts (texts.json) tell what a variant does to answers."""

CELLS = (
    "nano",
    "nano+fp8",
    "pixtral-12b",
    "pixtral-12b+compiled",
    "pixtral-12b+fp8",
    "pixtral-12b-hf",
    "qwen2.5-vl-7b",
    "qwen2.5-vl-7b+compiled",
    "llava-onevision-7b",
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("cells", nargs="*", default=CELLS, metavar="ARCHITECTURE[+VARIANT]")
    add("--pages-number", type=int, default=128)
    add("--pages", type=Path, default=ROOT / "bench" / "results" / "pages")
    add("--vllm-images", type=int, default=0, help="questions with images made ready by vLLM")
    add("--short", action="store_true", help="no parts of the time")
    add("--seconds", type=float, default=600, help="of a cell, at most")
    add("--engine", action="append", default=[], metavar="KEY=VALUE", help="engine option")
    add("--out", type=Path, default=ROOT / "bench" / "results" / "every_model")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    for cell in options.cells:
        run(cell, options)
    print(table(options.out, options.cells))
    return 0


def run(cell: str, options: argparse.Namespace) -> None:
    """One cell, in a process of its own; what it prints goes to its log."""
    architecture, _, variant = cell.partition("+")
    if architecture not in ARCHITECTURES or variant not in VARIANTS:
        raise SystemExit(f"no cell {cell!r}: {', '.join(ARCHITECTURES)}, + {', '.join(VARIANTS)}")
    folder = options.out / cell
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "bench.drive_modes", "--architecture", architecture]
    command += ["--rates", str(options.out / "rates.json")]
    command += SMALL if architecture == "nano" else synthetic(options)
    for option in (*VARIANTS[variant], *options.engine):
        command += ["--engine", option]
    started = time.monotonic()
    with (folder / "log.txt").open("wb") as log:
        try:
            subprocess.run(
                [*command, "--out", str(folder)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                timeout=options.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            log.write(f"\nended after {options.seconds:.0f} s\n".encode())
    print(f"{cell}: {time.monotonic() - started:.0f} s in all", file=sys.stderr, flush=True)


def synthetic(options: argparse.Namespace) -> list[str]:
    """What drive_modes is told for random weights and drawn pages."""
    modes = ["grouped", "grouped:4"]
    modes += ["vllm_images"] if options.vllm_images else []
    modes += [] if options.short else ["pages", "text"]
    told = ["--weights", "dummy", "--data", "synthetic", "--questions", "docvqa"]
    told += ["--images", str(options.pages_number), "--pages", str(options.pages)]
    told += ["--variant-images", str(max(8, options.pages_number * 3 // 4))]
    told += ["--modes", ",".join(modes), "--chat-samples", str(options.vllm_images)]
    return told


def table(out: Path, cells: Sequence[str]) -> str:
    """One row a cell; a cell that failed shows the end of its log."""
    results: dict[str, Any] = {}
    notes = []
    for cell in cells:
        file = out / cell / "bench.json"
        if file.is_file():
            results[cell] = json.loads(file.read_text(encoding="utf-8"))
            continue
        log = (out / cell / "log.txt").read_text(encoding="utf-8", errors="replace")
        last = [line for line in log.splitlines() if line.strip()][-3:]
        notes.append(f"{cell} failed: " + " | ".join(line[-200:] for line in last))
    return "\n".join([table_of(results), *notes])


def table_of(results: dict[str, Any]) -> str:
    """One row a result, under the name that it is given."""
    rows: list[tuple[str, ...]] = [
        (
            *("cell", "vLLM", "questions/s", "of limit", "4 a page", "images by vLLM", "in flight"),
            *("start", "page", "text"),
        )
    ]
    rows += [_row(cell, result) for cell, result in results.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    devices = " and ".join({result["device"]: None for result in results.values()})
    foot = (
        "questions/s: DocVQA's group sizes; in flight: most image groups at a time; page, text: ms of "
        "a page with one question and one token, and of a text as long"
    )
    return "\n".join([devices, *lines, foot])


def _row(cell: str, result: dict[str, Any]) -> tuple[str, ...]:
    modes, limit = result["modes"], result["limit_samples_per_s"]

    def rate(mode: str) -> str:
        return f"{modes[mode]['samples_per_s']:.1f}" if mode in modes else ""

    def each(mode: str) -> str:
        return f"{1000 / modes[mode]['samples_per_s']:.0f} ms" if mode in modes else ""

    share = modes["grouped"]["samples_per_s"] / limit
    return (
        cell,
        result["conditions"]["engine"].split()[1],
        rate("grouped"),
        f"{share:.0%} of {limit:.1f}",
        rate("grouped:4"),
        rate("vllm_images"),
        str(modes["grouped"]["peak_groups"]),
        f"{result['conditions']['start_seconds']:.0f} s",
        each("pages"),
        each("text"),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
