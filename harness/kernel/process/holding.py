"""Who works on a folder? One process at a time, which holds the lock file in it."""

from __future__ import annotations

from filelock import FileLock, Timeout

from harness.kernel.errors import BadInput, first_line


def acquire(lock: FileLock, doing: str) -> None:
    """Take a lock. Raises BadInput if another process holds it, or it cannot be taken."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        found, fine = "another process is working on it", "expected one process at a time"
        todo = "Wait until it has finished, or stop it."
        raise BadInput(doing, found, fine, todo) from None
    except (OSError, NotImplementedError) as error:
        found, fine = f"it cannot be locked ({first_line(error)})", "expected a writable folder"
        raise BadInput(doing, found, fine, "Check its permissions.") from None
