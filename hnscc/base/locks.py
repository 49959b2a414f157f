"""Locks of files on a disk, held by a process and released when it ends, however it ends. On S3: `base.lease`."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from hnscc.base.errors import InputError
from hnscc.base.files import storage_errors

# A lock file may be deleted by its owner so often while another process opens it.
TRIES = 100
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False, shared: bool = False) -> Iterator[None]:
    """Hold the lock of the file `path`, which is made where it is not there.

    One process holds it alone, or with `shared` any number of processes hold it together. A process that holds it in
    a way that does not go with this one is waited for, or without `wait` raises BlockingIOError. Whoever holds a lock
    alone may delete its file. InputError where the folder cannot be made or its file system has no locks; StorageError
    where the disk is full or gone.
    """
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    with contextlib.ExitStack() as stack:
        try:
            with storage_errors(path):
                lock = _open_locked(path, how)
                stack.callback(os.close, lock)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _no_lock(path.parent, error) from None
        yield


def _open_locked(path: Path, how: int) -> int:
    """The file, opened and locked. A file that its last owner deleted meanwhile keeps nobody out: then once more."""
    for _ in range(TRIES):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # its folder was deleted meanwhile, too
            if (lock := _locked_if_there(path, how)) is not None:
                return lock
    raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))


def _locked_if_there(path: Path, how: int) -> int | None:
    """The file, opened, made where there is none, and locked; None if it is no longer the one of that name."""
    new = not path.exists()
    # For reading and writing: on NFS a lock that is shared needs the one, a lock held alone the other.
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with contextlib.ExitStack() as unless_kept:
        unless_kept.callback(os.close, lock)
        try:
            fcntl.flock(lock, how)
        except BlockingIOError:
            raise
        except OSError:
            if new:  # and nobody has locked it since: that cannot be done here
                path.unlink()
            raise
        if not os.path.samestat(os.fstat(lock), path.stat()):
            return None
        unless_kept.pop_all()
        return lock


def _no_lock(folder: Path, error: OSError) -> InputError:
    without_locks = error.errno in _NO_LOCKS
    return InputError(
        "The run folder cannot be locked." if without_locks else "The run folder cannot be made.",
        where=str(folder),
        expected="a file system with locks (Lustre: mounted with flock; NFS: with its lock service)"
        if without_locks
        else "a folder, or a name for a new one, that may be written to",
        found=os.strerror(error.errno or 0),
        do="choose another folder with --out",
    )
