"""A lock on an open file, which lasts as long as any process has that file open.

Locks on a path are `filelock.FileLock`. That class opens a file of its own and keeps its descriptor
private. So it serves neither the journal, which must lock the very file that it appends to, nor a
scratch folder, whose lock the child processes inherit. The lock here is of the same kind (`flock`),
so the two exclude each other. filelock has a function for descriptors since 3.30, but the inference
child may run with the older filelock that a vendor's vLLM depends on.
"""

from __future__ import annotations

import fcntl


def lock_descriptor(descriptor: int) -> bool:
    """Locks the open file without waiting; False where another process has it locked.

    The lock is released when the last process that has the descriptor closes it or ends, also by
    SIGKILL. Raises OSError where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
