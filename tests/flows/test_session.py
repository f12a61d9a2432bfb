"""What signals do to a command, at whatever moment they come."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

AT_A_BAD_MOMENT = """
import os, sys, time, weakref
from pixtrack.flows.session import never_ignore_a_signal, quiet_terminal

def send(*_):
    os.kill(os.getpid(), int(sys.argv[1]))
    time.sleep(0)  # Python looks at signals between two instructions

class Loop:
    pass

class Last(Loop):
    __del__ = send

quiet_terminal()
never_ignore_a_signal()
if sys.argv[2] == "weakref":
    gone = Loop()
    reference = weakref.ref(gone, send)
else:
    gone = Last()
try:
    del gone  # what is raised within is ignored
    time.sleep(60)
finally:
    print("closed", flush=True)
"""


@pytest.mark.parametrize("moment", ["weakref", "finalizer"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_python_would_ignore_ends_the_command(
    number: signal.Signals, moment: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_A_BAD_MOMENT, str(int(number)), moment],
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.returncode == (-number if number == signal.SIGINT else 128 + number)
    assert done.stdout == "closed\n"
    assert "ignored" not in done.stderr
