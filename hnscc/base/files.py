"""Atomic writes and content hashes: a file exists whole, or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hnscc.base.errors import InputError, StorageError
from hnscc.base.locations import Location, S3Path

# The numbers of errors, the problem, what is expected, and what to do.
_DISK_ERRORS = (
    (
        {errno.ENOSPC, errno.EDQUOT},
        "The disk is full.",
        "room to write",
        "make room there (in the run folder of a finished study, `hnscc prune RUN` deletes what is needed no more), "
        "then give the same command again",
    ),
    (
        {errno.EFBIG},
        "A file has reached the size that files may have here.",
        "room for larger files",
        "raise the limit (`ulimit -f`) or choose another disk, then give the same command again",
    ),
    (
        {errno.EROFS},
        "The disk can be read alone.",
        "a disk that can be written to",
        "let its mount be written to, or choose another folder, then give the same command again: it continues",
    ),
    (
        {
            *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EREMOTEIO, errno.ENODEV),
            # Of shares of Windows (SMB) and of Lustre, whose server is away, and of tickets that have expired.
            *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNABORTED, errno.ESHUTDOWN),
            *(errno.EKEYEXPIRED, errno.EKEYREVOKED, errno.ENOKEY),
        },
        "The disk does not answer as it should.",
        "a disk that can be written to and read",
        "mend the disk or its mount, then give the same command again: it continues",
    ),
)
# Errors for which a folder's name or its permissions are the reason. ENOENT is among them: some file systems, such as
# /proc, make no folders.
REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST),
}


# The name of a file on a disk until it is whole, as a number of random bytes and as the pattern of such names.
_TOKEN_BYTES = 8
HALF_WRITTEN = f".*.{'[0-9a-f]' * 2 * _TOKEN_BYTES}.tmp"


def write_bytes(path: Location, content: bytes, *, durable: bool = True) -> None:
    """Write `content` beside `path`, flush it to the disk unless not `durable`, and rename it into place.

    On S3 that is one request. Where the disk is full or gone, StorageError is raised, and `path` keeps its old content.
    """
    if isinstance(path, S3Path):
        path.write_bytes(content)
        return
    # Two machines may write the same file at once (one that was taken for lost may still run), so each has a name of
    # its own.
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.tmp")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            unfinished.replace(path)
            if durable:
                _flush_name(path)
        finally:
            unfinished.unlink(missing_ok=True)


def _flush_name(path: Path) -> None:
    """Flush the folder's content, which holds the file's name, to the disk. Otherwise a power cut may undo
    the renaming."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def storage_errors(path: Location) -> Iterator[None]:
    """Turn errors of the disk within a `with` block into StorageError; errors of the program are raised as they are."""
    try:
        yield
    except OSError as error:
        if fault := _storage_error(path.parent, error):
            raise fault from None
        raise


def _storage_error(folder: Location, error: OSError) -> StorageError | None:
    """Return the error that the disk of `folder` is full or gone; None where the system says something else."""
    for codes, problem, expected, do in _DISK_ERRORS:
        if error.errno in codes:
            return StorageError(
                problem, where=str(folder), expected=expected, found=os.strerror(error.errno), do=do
            )
    return None


@contextlib.contextmanager
def read_errors(path: Location, where: str) -> Iterator[None]:
    """Turn what prevents the reading of a file within a `with` block into an error that says so; a damaged file is
    not meant.

    StorageError is raised where the disk does not answer; InputError, which names `where`, where the system refuses:
    for lack of rights, or because too many files are open. If the file is gone, or a folder is in its place, that error
    is raised as it is.
    """
    try:
        with storage_errors(path):
            yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise
    except OSError as error:
        raise InputError(
            "A file may not be read.",
            where=where,
            expected=f"a file {path.name} that this process may read",
            found=os.strerror(error.errno or 0),
            do="let it be read, then give the same command again",
        ) from None


@contextlib.contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """Turn what prevents writing below `folder` within a `with` block (the disk, rights, a name) into an error that
    says so.

    StorageError is raised where the disk is full or gone, or files may not grow further; InputError where the folder
    cannot be written to.
    """
    try:
        yield
    except OSError as error:
        if error.errno in REFUSED:
            raise InputError(
                "Nothing can be written there.",
                where=str(folder),
                expected="a folder that may be written to",
                found=os.strerror(error.errno or 0),
                do="choose another folder, or let it be written to",
            ) from None
        if fault := _storage_error(folder, error):
            raise fault from None
        raise


def delete(path: Location) -> None:
    """Delete a file if it exists. StorageError where the disk does not answer."""
    with storage_errors(path):
        path.unlink(missing_ok=True)


def write_text(path: Location, text: str) -> None:
    """Write text as UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_json(path: Location, value: Any, *, durable: bool = True) -> None:
    """Write readable JSON with sorted keys, as `write_bytes` does. ValueError is raised for NaN and infinity."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_bytes(path, text.encode(), durable=durable)


def write_sealed(path: Location, value: dict[str, Any], *, durable: bool = True) -> None:
    """Write JSON that vouches for itself: its key `seal` is the hash of all other keys and values."""
    write_json(path, value | {"seal": hash_of(value)}, durable=durable)


def overwrite(path: Location, parts: list[memoryview]) -> None:
    """Write the parts one after another over the file's content. This is fast: it is not flushed to the disk and not
    atomic (except on S3)."""
    if isinstance(path, S3Path):
        path.write_bytes(b"".join(parts))
        return
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), "wb", buffering=0) as file:
            for part in parts:
                written = 0
                while written < part.nbytes:
                    written += file.write(part[written:])
            file.truncate()


def read_sealed(path: Location) -> dict[str, Any]:
    """Return what `write_sealed` wrote, without the seal.

    FileNotFoundError is raised where there is no file, ValueError where it has changed by a single bit, StorageError
    where the disk does not answer.
    """
    with storage_errors(path):
        value = json.loads(path.read_bytes())
    if not isinstance(value, dict) or value.pop("seal", None) != hash_of(value):
        raise ValueError("its content is not what was written")
    return value


def sha256(content: bytes) -> str:
    """Return the SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def hash_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value in canonical form (sorted keys, no spaces), as 64 hexadecimal digits."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
