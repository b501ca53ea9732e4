"""Lock files, by which one process keeps others from the same files."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


class BusyError(RuntimeError):
    """Another process is using these files."""


@contextmanager
def locked(lock: Path, busy: str, timeout: float = 0.0, remove: bool = False) -> Iterator[None]:
    """Holds a lock file. The system releases the lock if the process is killed; the file may stay.

    Args:
        lock: created if missing; its folder must exist.
        busy: the message of the error.
        timeout: how long to wait for the other process, in seconds.
        remove: whether to remove the file at the end; Windows keeps it.

    Raises:
        BusyError: another process holds the lock.
        OSError: the file cannot be created.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=timeout)
    except Timeout:
        raise BusyError(busy) from None
    except OSError as error:
        raise OSError(f"{lock}: cannot be written ({error.strerror or error})") from error
    try:
        yield
    finally:
        if remove:
            with suppress(OSError):  # Windows removes no open file
                lock.unlink(missing_ok=True)
        held.release()
