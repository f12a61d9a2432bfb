"""bench.json, the table and the plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAMES = {
    "guide_loop": "the guide's loop",
    "chat_batch": "llm.chat, everything",
    "grouped": "leader and followers",
    "vllm_images": "the same, images by vLLM",
    "pages": "one question and token a page",
    "text": "text as long, one token",
}


def write(result: dict[str, Any], out: Path) -> str:
    """Writes the three files; returns the table."""
    (out / "bench.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    text = table(result)
    (out / "table.txt").write_text(text + "\n", encoding="utf-8")
    plot(result, out / "drive_modes.png")
    return f"{text}\n{out / 'bench.json'}"


def table(result: dict[str, Any]) -> str:
    """One row a mode."""
    limit = result["limit_samples_per_s"]
    guide = result["modes"].get("guide_loop", {}).get("samples_per_s")
    # Where the card's rate in the quantised type is not measured, the limit is bfloat16's, which
    # quantised matrices may pass.
    conditions = result["conditions"]
    quantized = conditions.get("options", {}).get("quantization")
    in_bf16 = bool(quantized) and not conditions.get("rates", {}).get("fp8_flops")
    of_limit = "of bf16 limit" if in_bf16 else "of limit"
    rows = [("mode", "samples", "samples/s", "× guide", of_limit, "cached", "ideal", "front end")]
    for mode, figures in result["modes"].items():
        rate = figures["samples_per_s"]
        ideal = figures.get("ideal_cached_share")
        rows.append(
            (
                _name(mode),
                str(figures["samples"]),
                f"{rate:.2f}",
                f"{rate / guide:.1f}" if guide else "",
                # The limit is that of the main load, not of a variant with other questions.
                "" if ":" in mode or mode in ("pages", "text") else f"{rate / limit:.1%}",
                f"{figures['cached_share']:.1%}",
                f"{ideal:.1%}" if ideal is not None else "",
                f"{figures['front_end_ms']:.1f} ms",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    head = f"{result['device']}, {result['architecture']}, {result['conditions']['engine']}"
    if quantized:
        head += f", {quantized}"
    foot = f"limit {limit:.1f} samples/s{' in bfloat16' if in_bf16 else ''}; front end: its own processor time a sample"
    ours = result["modes"].get("grouped")
    if ours:
        foot += (
            f"; ours: {ours['leader_ms']:.1f} ms a leader, {ours['follower_ms']:.1f} ms a follower"
            f" in the event loop, {ours['image_worker_ms']:.0f} ms an image in worker threads"
        )
    return "\n".join([head, *(line.rstrip() for line in lines), foot])


def plot(result: dict[str, Any], path: Path) -> None:
    """Bars of samples/s, with the computed limit."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    modes = sorted(result["modes"].items(), key=lambda item: item[1]["samples_per_s"])
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.6 * len(modes)))
    bars = axes.barh(
        [_name(mode) for mode, _ in modes],
        [figures["samples_per_s"] for _, figures in modes],
        color=["#2a6f97" if mode.startswith("grouped") else "#a9b4bd" for mode, _ in modes],
    )
    axes.bar_label(bars, fmt="%.1f", padding=4)
    limit = result["limit_samples_per_s"]
    axes.axvline(limit, color="#c1121f", linestyle="--", linewidth=1)
    axes.text(
        limit,
        1.01,
        f"limit {limit:.1f}",
        color="#c1121f",
        ha="center",
        fontsize=8,
        transform=axes.get_xaxis_transform(),
    )
    axes.set_xlabel("samples/s")
    quantized = result["conditions"].get("options", {}).get("quantization")
    of = f"{result['architecture']}{f' in {quantized}' if quantized else ''} on {result['device']}"
    axes.set_title(of, fontsize=10, loc="left", pad=14)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _name(mode: str) -> str:
    name, _, questions = mode.partition(":")
    name, _, groups = name.partition("@")
    text = NAMES.get(name, name)
    text += f", at most {groups} images" if groups else ""
    if questions == "docvqa":
        return text + ", DocVQA's group sizes"
    return text + (f", {questions} a page" if questions else "")
