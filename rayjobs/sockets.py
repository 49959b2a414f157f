"""The folder for the sockets of a Ray of one's own, whose paths must be short."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of

# A socket's path may have 107 bytes on Linux, of which Ray puts so many below the folder that it is given.
SOCKET_BYTES, BELOW_BYTES = 107, 68


@contextlib.contextmanager
def folder_for_ray() -> Iterator[str | None]:
    """A short folder for the sockets of a Ray of one's own, deleted afterwards; None where Ray's own choice will do.

    Ray takes RAY_TMPDIR, TMPDIR or /tmp. InputError where neither that nor /tmp can be used.
    """
    chosen = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if _is_usable(chosen):
        yield None
        return
    own = _own_folder(chosen)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _is_usable(folder: str) -> bool:
    if len(os.fsencode(Path(folder).absolute())) + BELOW_BYTES > SOCKET_BYTES:
        return False
    try:
        with tempfile.TemporaryDirectory(dir=folder):
            return True
    except OSError:
        return False


def _own_folder(chosen: str) -> str:
    try:
        return tempfile.mkdtemp(prefix="hnscc-", dir="/tmp")
    except OSError as error:
        raise InputError(
            "Ray finds no folder for its sockets.",
            where="TMPDIR (or RAY_TMPDIR), and /tmp",
            expected=f"a folder that can be written to, whose path has at most {SOCKET_BYTES - BELOW_BYTES} characters",
            found=f"TMPDIR of {count_of(len(chosen), 'character')}; /tmp: {os.strerror(error.errno or 0)}",
            do="set TMPDIR to a short path, for example TMPDIR=/var/tmp",
        ) from None
