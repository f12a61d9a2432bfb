"""Measures what the device does at best: the rates behind pixtrack.tasks.inference.arithmetic's limit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pixtrack.tasks.inference.arithmetic import Arithmetic, Load, Rates, limit_samples_per_s

__all__ = ["Arithmetic", "Load", "Rates", "limit_samples_per_s", "measure", "measured"]

_MEASURE = """
import json, time, torch
cuda = torch.cuda.is_available()
device, n, copy = ("cuda", 8192, 1 << 30) if cuda else ("cpu", 2048, 1 << 26)
torch.manual_seed(0)
a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
source = torch.randn(copy // 4, device=device)
def rate(work, amount, seconds):
    sync = torch.cuda.synchronize if cuda else lambda: None
    for _ in range(3): work()
    sync(); started = time.perf_counter(); done = 0
    while time.perf_counter() - started < seconds:
        for _ in range(10 if cuda else 1): work(); done += 1
        sync()
    return amount * done / (time.perf_counter() - started)
flops = rate(lambda: torch.mm(a, b), 2 * n**3, 2.0)
bytes_ = rate(lambda: source.clone(), 2 * copy, 0.5)
fp8 = 0.0
if cuda and torch.cuda.get_device_capability() >= (8, 9):
    one = torch.ones((), device=device)
    x, y = (m.to(torch.float8_e4m3fn) for m in (a, b))
    product = lambda: torch._scaled_mm(x, y.t(), one, one, out_dtype=torch.bfloat16, use_fast_accum=True)
    fp8 = rate(product, 2 * n**3, 2.0)
name = torch.cuda.get_device_name() if cuda else ""
print(json.dumps({"flops": flops, "bytes": bytes_, "name": name, "matrix": n, "fp8_flops": fp8}))
"""


def measured(path: Path | None) -> Rates:
    """The rates in the file; measured first, and written there, where there is none."""
    if path is not None and path.is_file():
        return Rates(**json.loads(path.read_text(encoding="utf-8")))
    rates = measure()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rates.to_json()), encoding="utf-8")
    return rates


def measure() -> Rates:
    """Measured in a process of its own, which leaves nothing on the device."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE], check=True, capture_output=True, text=True
    )
    return Rates(**json.loads(done.stdout.strip().splitlines()[-1]))
