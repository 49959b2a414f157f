"""One process at a time: locks of files on a disk, and leases on S3, which has no locks.

A lock is held by a process and released when it ends, however it ends. A lease is an object that its owner refreshes.
"""

import contextlib
import errno
import fcntl
import json
import os
import platform
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hnscc.base.errors import InputError, StorageError
from hnscc.base.files import storage_errors
from hnscc.base.locations import S3Path

# How often a lock file may be deleted by its owner while another process opens it.
TRIES = 100
# A process that has waited this long for a lock says so.
TOLD_SECONDS = 5.0
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
# A lease that stays unchanged for this long is taken over: its owner was killed.
LEASE_SECONDS = 30.0
# How often, in that time, the owner refreshes it, and a process that waits for it reads it.
REFRESHES = 3
READS = 15
# How many leases are watched at once.
WATCHED_AT_ONCE = 64


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False, shared: bool = False) -> Iterator[None]:
    """Hold the lock of the file `path` during the `with` block. The file is made if it does not exist.

    One process holds it alone, or with `shared` any number of processes hold it together. With `wait`, this waits for a
    process that holds it otherwise, and says so after TOLD_SECONDS; without `wait`, BlockingIOError is raised. A
    process that holds a lock alone may delete its file. InputError where the folder cannot be made or its file system
    has no locks; StorageError where the disk is full or gone.
    """
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    with contextlib.ExitStack() as stack:
        try:
            with storage_errors(path), _waiting_told(path) if wait else contextlib.nullcontext():
                lock = _open_locked(path, how)
                stack.callback(os.close, lock)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _no_lock(path, error) from None
        yield


@contextlib.contextmanager
def _waiting_told(path: Path) -> Iterator[None]:
    """Print a line if a `with` block lasts long, which says what it waits for."""
    said = f"{path}: waiting for the process that holds this lock"
    tell = threading.Timer(TOLD_SECONDS, print, [said], {"file": sys.stderr, "flush": True})
    tell.daemon = True
    tell.start()
    try:
        yield
    finally:
        tell.cancel()


def _open_locked(path: Path, how: int) -> int:
    """Return the lock file, opened and locked. If its last owner deleted it meanwhile, that lock would keep nobody out,
    so this tries again."""
    for _ in range(TRIES):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # its folder was deleted meanwhile
            if (lock := _locked_if_there(path, how)) is not None:
                return lock
    raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))


def _locked_if_there(path: Path, how: int) -> int | None:
    """Return the file, opened (made if it does not exist) and locked; None if another file has its name meanwhile."""
    new = not path.exists()
    # It is opened for reading and writing: on NFS, a shared lock needs the one, and an exclusive lock the other.
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with contextlib.ExitStack() as unless_kept:
        unless_kept.callback(os.close, lock)
        try:
            fcntl.flock(lock, how)
        except BlockingIOError:
            raise
        except OSError:
            if new:  # nobody can have locked it since: this file system has no locks
                path.unlink()
            raise
        if not os.path.samestat(os.fstat(lock), path.stat()):
            return None
        unless_kept.pop_all()
        return lock


def _no_lock(lock: Path, error: OSError) -> InputError:
    where = folder = lock.parent
    if error.errno in _NO_LOCKS:
        problem = "The run folder cannot be locked."
        expected = "a file system with locks (Lustre: mounted with flock; NFS: with its lock service)"
        do = "mount it so, or put the run folder on another file system"
    elif (
        error.errno in (errno.EACCES, errno.EPERM) and os.access(lock, os.F_OK) and os.access(folder, os.W_OK)
    ):
        # Another user of a folder that several may write to has made it, with the rights of that user's umask.
        problem, where = "A lock of the run folder may not be written to.", lock
        expected = "a file that you may write to"
        do = "have its owner let you write to it, or delete it, once no process works in the folder"
    else:
        # Path.is_dir would raise an error where a folder above may not be entered.
        there = os.access(f"{folder}/.", os.F_OK)
        problem = f"The run folder cannot be {'written to' if there else 'made'}."
        expected = "a folder, or a name for a new one, that may be written to"
        do = "have its owner give you the right to write there, or name another folder"
    return InputError(
        problem, where=str(where), expected=expected, found=os.strerror(error.errno or 0), do=do
    )


@contextlib.contextmanager
def only_one(lock: S3Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lease `lock` during the `with` block.

    If a living process holds it, this waits for that process, or without `wait` raises InputError.

    Clocks differ, so whether the owner lives is found by watching the object change. An owner that stood still for so
    long that another process took its place gets a SIGTERM, and StorageError at the end.
    """
    lease = _Lease(lock)
    lease.take(wait=wait)
    refresher = threading.Thread(target=lease.keep, daemon=True)
    refresher.start()
    try:
        yield
    finally:
        lease.ended.set()
        # In an outage it may hang in a request for a long time. It then ends with the process, and the lease expires.
        refresher.join(timeout=LEASE_SECONDS / REFRESHES)
        if not refresher.is_alive():
            lease.release()
    if lease.lost:
        raise StorageError(
            "This process was taken for dead, and another one goes on in its place.",
            where=str(lock),
            expected=f"a lock that is refreshed every {LEASE_SECONDS / REFRESHES:.0f} s",
            found="one that another process took over, or that was deleted",
            do="let the other one finish: nothing is lost. If there is none, give the same command again",
        )


def refuse_held(locks: Iterable[S3Path]) -> None:
    """Raise InputError where a living process holds one of these leases. Leases of killed processes are deleted.

    All are watched at once, since each takes LEASE_SECONDS.
    """
    leases = [_Lease(lock) for lock in locks]
    if leases:
        with ThreadPoolExecutor(max_workers=min(WATCHED_AT_ONCE, len(leases))) as pool:
            list(pool.map(_Lease.end_if_left, leases))


class _Lease:
    """An object on S3 that holds its owner's token, and the version of it that this process wrote or read last."""

    def __init__(self, lock: S3Path) -> None:
        self.lock = lock
        self.token = secrets.token_hex(16)
        self.version: str | None = None
        self.refreshed = 0
        self.lost = False
        self.ended = threading.Event()

    def take(self, *, wait: bool = False) -> None:
        """Create the object, or take over one whose owner no longer refreshes it."""
        if self._write(None):
            return
        print(
            f"{self.lock}: waiting {LEASE_SECONDS:.0f} s to see whether its owner is alive", file=sys.stderr
        )
        while not self._write(self._left_alone(wait)):
            if not wait:
                raise self._refused()

    def _left_alone(self, wait: bool) -> str | None:
        """Return the version that the object has kept for LEASE_SECONDS, or None once it is gone. If it changes
        meanwhile, start to watch again, or without `wait` raise InputError."""
        version, since = self.version, time.monotonic()
        while time.monotonic() - since < LEASE_SECONDS:
            time.sleep(LEASE_SECONDS / READS)
            asked = time.monotonic()
            if self._read() is None:
                return None
            if self.version != version:
                if not wait:
                    raise self._refused()
                version, since = self.version, time.monotonic()
            if time.monotonic() - asked > LEASE_SECONDS / READS:
                since = time.monotonic()  # in an outage, its owner could not refresh it either
        return version

    def end_if_left(self) -> None:
        """Delete the object if its owner no longer refreshes it. InputError is raised if the owner does."""
        if self._read() is not None:
            self.take()
            self.release()

    def keep(self) -> None:
        """Refresh the object until the block ends. This runs in a thread."""
        while not self.ended.wait(LEASE_SECONDS / REFRESHES):
            try:
                self.lost = not self._write(self.version)
            except (StorageError, InputError):
                continue  # the main thread meets the same error, and reports it
            if self.lost:
                print(f"{self.lock}: taken over by another process; this one ends", file=sys.stderr)
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def release(self) -> None:
        with contextlib.suppress(StorageError, InputError):  # a lease that is left behind expires
            if self._is_ours(self._read()):
                self.lock.unlink(missing_ok=True)

    def _write(self, version: str | None) -> bool:
        """Create the object, or replace that version of it, and return whether it is this process's now."""
        self.refreshed += 1
        owner = {"owner": self.token, "process": os.getpid(), "node": platform.node()}
        content = json.dumps(owner | {"refreshed": self.refreshed}).encode()
        # The storage's answer may get lost, so the object is read again to see whose it is.
        if version is None:
            self.lock.create(content)
        else:
            self.lock.replace_version(content, version)
        return self._is_ours(self._read())

    def _read(self) -> bytes | None:
        try:
            content, self.version = self.lock.read_version()
        except FileNotFoundError:
            return None
        return content

    def _is_ours(self, content: bytes | None) -> bool:
        return content is not None and self.token.encode() in content

    def _refused(self) -> InputError:
        return InputError(
            "Another process is at work here.",
            where=str(self.lock.parent),
            expected="one at a time",
            found=_owner(self._read()),
            do="wait for it, or use another place",
        )


def _owner(content: bytes | None) -> str:
    try:
        facts = json.loads(content or b"{}")
    except (ValueError, RecursionError):  # json raises these for damaged text
        facts = None
    if not isinstance(facts, dict) or not isinstance(facts.get("process"), int) or "node" not in facts:
        return "a lock that changes"
    return f"process {facts['process']} on {facts['node']}, which refreshes its lock"
