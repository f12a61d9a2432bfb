"""Runs the inference worker and kills all of its processes at the end, whoever dies first.

    flow process ── guard ── worker ── vLLM's engine core ── its workers

The guard is a small single-threaded process between the flow and the worker. It is run by its path
and uses the standard library only. vLLM's processes survive a killed parent and occupy the GPU; the
guard kills them when

- the flow's process ends in any way, SIGKILL included. It notices this by the end of a pipe that
  the flow holds, and by the change of its own parent (another process that the flow forked may
  keep the pipe open);
- the worker ends in any way;
- it receives SIGTERM: the worker then first gets SIGTERM and time to close its engine.

As a "child subreaper" (prctl(2)) the guard becomes the parent of every process below it whose own
parent dies, so it finds them all, in whichever session or process group they are. If the guard
itself is killed, the kernel sends the worker a signal (PR_SET_PDEATHSIG). That signal is sent when
the starting *thread* ends, which is the same here, because the guard has only one.

    python guard.py LIFELINE_FD GRACE_SECONDS COMMAND…
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

POLL_SECONDS = 0.5
"""Time between two checks that the parent is still the same."""
TRACKER_SECONDS = 1.0
"""Time for Python's resource trackers to remove shared memory, which takes milliseconds."""
ORPHAN_GRACE_SECONDS = 1.0
"""Time for the worker to close when the flow has died and nobody waits for it."""


def prctl(option: int, value: int) -> None:
    """Makes the system call on Linux; does nothing elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """Process ids of everything below `root`, from /proc; without zombies."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(entry))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), ())
        found += below
        waiting += below
    return found


def is_tracker(pid: int) -> bool:
    """Whether the process is a resource tracker of multiprocessing or of joblib."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
            return b"resource_tracker import main" in file.read()
    except OSError:
        return False


class Guard:
    """Waits for the end of the worker, the end of the flow, or the order to stop."""

    def __init__(self, lifeline: int, grace_seconds: float, command: list[str]) -> None:
        self.lifeline = lifeline
        self.grace_seconds = grace_seconds
        self.parent = os.getppid()
        self.deadline: float | None = None
        self.ordered = False
        self.code: int | None = None
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        wake, self.wake_write = os.pipe()
        self.wake = wake
        for end in (wake, self.wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self.wake_write)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        environment = {**os.environ, "PIXTRACK_GUARD": str(os.getpid())}
        self.worker = subprocess.Popen(command, env=environment)

    def run(self) -> int:
        """Runs until nothing is left. Returns the worker's exit code, or minus its signal."""
        self.reap()
        while self.code is None:
            timeout = POLL_SECONDS
            if self.deadline is not None:
                timeout = min(timeout, max(0.0, self.deadline - time.monotonic()))
            watched = [self.wake] if self.ordered else [self.wake, self.lifeline]
            ready, _, _ = select.select(watched, [], [], timeout)
            if self.wake in ready:
                signals = os.read(self.wake, 64)
                if any(number != signal.SIGCHLD for number in signals):
                    self.stop(self.grace_seconds)
            if self.lifeline in ready or os.getppid() != self.parent:
                self.stop(ORPHAN_GRACE_SECONDS)
            self.reap()
            if self.deadline is not None and time.monotonic() >= self.deadline:
                break
        self.kill_all()
        return -signal.SIGKILL if self.code is None else self.code

    def stop(self, grace_seconds: float) -> None:
        """Sends SIGTERM to the worker and sets the deadline at which it is killed."""
        deadline = time.monotonic() + grace_seconds
        self.deadline = deadline if self.deadline is None else min(self.deadline, deadline)
        if not self.ordered:
            self.ordered = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.worker.pid, signal.SIGTERM)

    def reap(self) -> None:
        """Collects ended children: the worker, and the orphans that this process adopted."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.worker.pid:
                    self.code = os.waitstatus_to_exitcode(status)

    def kill_all(self) -> None:
        """Sends SIGKILL to every descendant until none is left, since they may be forking.

        Resource trackers are spared for TRACKER_SECONDS: when the processes that they serve are
        dead, they remove the shared memory and semaphores of these in /dev/shm, and end.
        """
        now = time.monotonic()
        end, trackers_end = now + 4.0, now + TRACKER_SECONDS
        while (now := time.monotonic()) < end:
            alive = descendants(os.getpid())
            for pid in alive:
                if now < trackers_end and is_tracker(pid):
                    continue
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.reap()
            if not alive:
                return
            time.sleep(0.02)


def main() -> None:
    """The guard's program."""
    lifeline, grace_seconds = int(sys.argv[1]), float(sys.argv[2])
    os.set_inheritable(lifeline, False)
    try:
        code = Guard(lifeline, grace_seconds, sys.argv[3:]).run()
    finally:
        scratch = os.environ.get("PIXTRACK_SCRATCH")
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(code if code >= 0 else 128 - code)  # a signal's exit code, as shells report it


if __name__ == "__main__":
    main()
