"""One process at a time: locks of files on a disk, and on S3, where no lock of a file system reaches, leases.

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

# A lock file may be deleted by its owner so often while another process opens it.
TRIES = 100
# Who waits so long for a lock says so.
TOLD_SECONDS = 5.0
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
# A lease that stays unchanged for so long is taken over: its owner was killed.
LEASE_SECONDS = 30.0
# In that time its owner refreshes it so often, and one who waits for it reads it so often.
REFRESHES = 3
READS = 15
# So many leases are watched at once.
WATCHED_AT_ONCE = 64


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False, shared: bool = False) -> Iterator[None]:
    """Hold the lock of the file `path`, which is made where it is not there.

    One process holds it alone, or with `shared` any number of processes hold it together. A process that holds it in a
    way that does not go with this one is waited for, which is told after TOLD_SECONDS, or without `wait` raises
    BlockingIOError. Whoever holds a lock alone may delete its file. InputError where the folder cannot be made or its
    file system has no locks; StorageError where the disk is full or gone.
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
            raise _no_lock(path.parent, error) from None
        yield


@contextlib.contextmanager
def _waiting_told(path: Path) -> Iterator[None]:
    """Say in one line, if a `with` block lasts long, for whose sake."""
    said = f"{path}: waiting for the process that holds this lock"
    tell = threading.Timer(TOLD_SECONDS, print, [said], {"file": sys.stderr, "flush": True})
    tell.daemon = True
    tell.start()
    try:
        yield
    finally:
        tell.cancel()


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
    if error.errno in _NO_LOCKS:
        problem = "The run folder cannot be locked."
        expected = "a file system with locks (Lustre: mounted with flock; NFS: with its lock service)"
        do = "mount it so, or put the run folder on another file system"
    else:
        # Path.is_dir raises where a folder above may not be entered.
        there = os.access(f"{folder}/.", os.F_OK)
        problem = f"The run folder cannot be {'written to' if there else 'made'}."
        expected = "a folder, or a name for a new one, that may be written to"
        do = "have its owner give you the right to write there, or name another folder"
    return InputError(
        problem, where=str(folder), expected=expected, found=os.strerror(error.errno or 0), do=do
    )


@contextlib.contextmanager
def only_one(lock: S3Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lease `lock` for the length of a `with` block.

    A living process that holds it is waited for, or without `wait` InputError is raised.

    Whether its owner lives is told by watching the object change, since clocks differ. An owner that stood still for
    so long that another process took its place gets a SIGTERM, and StorageError at the end.
    """
    lease = _Lease(lock)
    lease.take(wait=wait)
    refresher = threading.Thread(target=lease.keep, daemon=True)
    refresher.start()
    try:
        yield
    finally:
        lease.ended.set()
        # In an outage it may hang in a request for long; it then ends with the process, and the lease by itself.
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
    """Raise InputError where a living process holds one of these leases; those of killed processes are deleted.

    All are watched at once, since each takes LEASE_SECONDS.
    """
    leases = [_Lease(lock) for lock in locks]
    if leases:
        with ThreadPoolExecutor(max_workers=min(WATCHED_AT_ONCE, len(leases))) as pool:
            list(pool.map(_Lease.end_if_left, leases))


class _Lease:
    """An object that holds its owner's token, and the version of it that this process wrote or read last."""

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
        """The version that the object has kept for LEASE_SECONDS, or None once it is gone. Another version is waited
        for, or refused."""
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
                since = time.monotonic()  # an outage: its owner could not have refreshed it either
        return version

    def end_if_left(self) -> None:
        """Delete the object if its owner no longer refreshes it. InputError is raised where it does."""
        if self._read() is not None:
            self.take()
            self.release()

    def keep(self) -> None:
        """Refresh the object until the end; runs in a thread."""
        while not self.ended.wait(LEASE_SECONDS / REFRESHES):
            try:
                self.lost = not self._write(self.version)
            except (StorageError, InputError):
                continue  # the main thread meets the same, and tells it
            if self.lost:
                print(f"{self.lock}: taken over by another process; this one ends", file=sys.stderr)
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def release(self) -> None:
        with contextlib.suppress(StorageError, InputError):  # left behind, it ends by itself
            if self._is_ours(self._read()):
                self.lock.unlink(missing_ok=True)

    def _write(self, version: str | None) -> bool:
        """Create the object, or replace that version of it; says whether it is ours now."""
        self.refreshed += 1
        owner = {"owner": self.token, "process": os.getpid(), "node": platform.node()}
        content = json.dumps(owner | {"refreshed": self.refreshed}).encode()
        # An answer may get lost: not what it says counts, but what is there afterwards.
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
    except (ValueError, RecursionError):  # as json says it
        facts = None
    if not isinstance(facts, dict) or not isinstance(facts.get("process"), int) or "node" not in facts:
        return "a lock that changes"
    return f"process {facts['process']} on {facts['node']}, which refreshes its lock"
