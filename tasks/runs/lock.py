"""The lock of a run: one command works on a run at a time."""

from __future__ import annotations

import errno
from types import TracebackType

from filelock import FileLock, Timeout

from pixtrack.configs.errors import UserError
from pixtrack.tasks.runs.directory import RunDirectory

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}
"""What a file system without locks answers."""


class RunLock:
    """Keeps other processes from a run while this one writes its record, answers or scores.

    A context manager; `acquire` and `release` serve where the run outlives the function that opens
    it. A process may acquire the lock of one run several times, and then releases it as often. The
    lock is released when the process ends, however it ends.

    On a file system without locks a run is not locked: its journal, which needs one, says so.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        # One lock a path and process, shared by its threads: the step that opens a run may run in
        # another thread than the flow that releases it.
        self._lock = FileLock(run.path / ".lock", is_singleton=True, thread_local=False)

    @property
    def acquired(self) -> bool:
        """Whether this process has the lock."""
        return self._lock.is_locked

    def acquire(self) -> None:
        """Locks the run. Raises UserError where another process has it locked."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"{self._run.path}: another command is at work on this run: wait for it or stop it"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise

    def release(self) -> None:
        """Takes one `acquire` back; does nothing where the run is not locked."""
        self._lock.release()

    def __enter__(self) -> RunLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
