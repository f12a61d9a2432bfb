from __future__ import annotations

from pathlib import Path

import pytest

from pixtrack.tasks.environment import smi, versions
from pixtrack.tasks.environment.cards import MIB

FAKES = Path(__file__).parents[2] / "doubles" / "fake_smi"


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setattr(smi, "COREX_ROOT", tmp_path / "no-corex")
    monkeypatch.setattr(versions, "installed", dict)
    return monkeypatch


def use(path: pytest.MonkeyPatch, machine: str) -> None:
    path.setenv("PATH", f"{FAKES / machine}:/usr/bin:/bin")


def test_nvidia_cards_with_memory_processes_and_capability(path: pytest.MonkeyPatch) -> None:
    use(path, "h100")
    found = smi.nvidia()
    assert (found.driver, found.runtime, found.troubles) == ("550.54.15", "12.4", ())
    first, second = found.cards
    assert first.name == "NVIDIA H100 80GB HBM3"
    assert first.total_bytes == 81559 * MIB
    assert first.free_bytes == (81559 - 4) * MIB
    assert first.compute_capability == (9, 0)
    assert first.processes == ()
    assert [(p.pid, p.used_bytes) for p in second.processes] == [(999999, 30720 * MIB)]


def test_corex_cards_without_capability(path: pytest.MonkeyPatch) -> None:
    use(path, "mr_v100")
    found = smi.corex()
    assert len(found.cards) == 8
    assert found.cards[7].name == "Iluvatar MR-V100"
    assert found.cards[7].compute_capability is None
    assert found.cards[7].bfloat16
    assert found.vendor == "iluvatar"


def test_the_sdk_version_is_read_from_its_folder(path: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / "corex"
    root.mkdir()
    (root / "version.txt").write_text("CoreX SDK 4.3.0\n")
    path.setattr(smi, "COREX_ROOT", root)
    use(path, "mr_v100")
    assert smi.corex().runtime == "4.3.0"


def test_the_sdk_version_is_read_from_the_folders_name(
    path: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "corex-4.2.0").mkdir()
    (tmp_path / "corex").symlink_to(tmp_path / "corex-4.2.0")
    path.setattr(smi, "COREX_ROOT", tmp_path / "corex")
    assert smi.sdk_version() == "4.2.0"


def test_the_sdk_version_is_read_from_the_vendors_builds(path: pytest.MonkeyPatch) -> None:
    path.setattr(versions, "installed", lambda: {"torch": "2.7.1+corex.4.4.0"})
    assert smi.sdk_version() == "4.4.0"


def test_ixsmi_is_found_in_the_sdk_when_it_is_not_on_the_path(
    path: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "corex" / "bin").mkdir(parents=True)
    (tmp_path / "corex" / "bin" / "ixsmi").symlink_to(FAKES / "mr_v100" / "ixsmi")
    path.setattr(smi, "COREX_ROOT", tmp_path / "corex")
    path.setenv("PATH", "/usr/bin:/bin")
    assert len(smi.corex().cards) == 8


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ("garbage", "ixsmi prints something unexpected: Error: failed to load libixml.so"),
        ("cut_off", "ixsmi prints a row that is cut off: 1, 4.3.0, Iluv"),
    ],
)
def test_broken_output_is_quoted(path: pytest.MonkeyPatch, machine: str, said: str) -> None:
    use(path, machine)
    found = smi.corex()
    assert found.cards == ()
    assert found.troubles[0].startswith(said)


def test_a_command_that_hangs_is_given_up(path: pytest.MonkeyPatch) -> None:
    path.setattr(smi, "TIMEOUT_SECONDS", 0.3)
    use(path, "hanging")
    assert "does not answer within" in smi.corex().troubles[0]


def test_a_driver_that_does_not_answer_is_quoted(path: pytest.MonkeyPatch) -> None:
    use(path, "no_driver")
    (trouble,) = smi.nvidia().troubles
    assert trouble.startswith("nvidia-smi fails with exit code 9: NVIDIA-SMI has failed because")


def test_missing_permission_of_the_driver_is_quoted(path: pytest.MonkeyPatch) -> None:
    use(path, "not_permitted")
    assert "Insufficient Permissions" in smi.nvidia().troubles[0]


def test_a_command_that_may_not_be_run_is_said(path: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "corex" / "bin").mkdir(parents=True)
    tool = tmp_path / "corex" / "bin" / "ixsmi"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o644)
    path.setattr(smi, "COREX_ROOT", tmp_path / "corex")
    path.setenv("PATH", "/usr/bin:/bin")
    assert "may not be run" in smi.corex().troubles[0]


def test_a_machine_without_either_tool_has_no_cards_and_no_trouble(
    path: pytest.MonkeyPatch,
) -> None:
    path.setenv("PATH", "/nonexistent")
    assert smi.nvidia().cards == smi.corex().cards == ()
    assert smi.nvidia().troubles == ()


def test_gib_and_unknown_memory_are_understood() -> None:
    cards, driver = smi.parse(
        "index, driver_version, name, memory.total, memory.used\n0, 4.2.0, MR-V100, 32 GiB, [N/A]\n",
        "iluvatar",
    )
    assert driver == "4.2.0"
    assert cards[0].total_bytes == 32 * 1024 * MIB
    assert cards[0].free_bytes is None
