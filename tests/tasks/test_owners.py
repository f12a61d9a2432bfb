"""Whether a process that has named itself still lives."""

from __future__ import annotations

import subprocess
import sys

from pixtrack.tasks.owners import owner, owner_is_dead
from tests.doubles.patience import wait_until


def test_an_owner_is_dead_only_where_that_is_certain() -> None:
    host, boot, pid, started = owner().split()
    assert not owner_is_dead(owner())
    assert owner_is_dead(f"{host} {boot} {pid} {float(started) - 100}")  # the pid was reused
    assert owner_is_dead(f"{host} other-boot {pid} {started}")
    assert not owner_is_dead(f"elsewhere {boot} 1 1.0")
    assert not owner_is_dead("nonsense")


def test_another_process_is_named_by_its_number() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    named = owner(child.pid)
    assert not owner_is_dead(named)
    child.kill()
    wait_until(lambda: owner_is_dead(named), "the kernel has taken note")
    assert owner_is_dead(named)  # also before its parent has asked for its end
    child.wait()
    assert owner_is_dead(named)
