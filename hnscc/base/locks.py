"""Locks of files on a disk, held by a process and released when it ends, however it ends. On S3: `base.lease`."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from hnscc.base.errors import InputError
from hnscc.base.files import storage_errors

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of the file `path`, which is made where it is not there.

    Another process that holds it is waited for, or without `wait` raises BlockingIOError. InputError where the
    folder cannot be made or its file system has no locks; StorageError where the disk is full or gone.
    """
    with contextlib.ExitStack() as stack:
        try:
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context(path.open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except OSError as error:
            raise _no_lock(path.parent, error) from None
        yield


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
