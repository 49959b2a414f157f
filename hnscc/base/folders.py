"""A folder of results that exists whole, or not at all."""

import contextlib
import glob
import json
import platform
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hnscc.base.errors import InputError, StorageError
from hnscc.base.files import write_errors, write_json
from hnscc.base.locations import S3Path, locate
from hnscc.base.locks import locked

_ENDING, _LOCK = ".unfinished", ".lock"


@contextlib.contextmanager
def new_folder(out: str | Path, marker: str, command: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `out`, and rename it to `out` if the block ends without an error.

    marker: the name of the file that the block writes last, by `write_marker` with the same `command`. With
    `overwrite`, a folder is replaced if its marker says that this command wrote it, and if it holds no files that the
    marker does not list. InputError where something else is there, at the start or at the end, or nothing can be
    written; StorageError where the disk is full. After an error nothing new is left, and what was there stays.
    """
    final = _on_disk(out)
    _check_vacant(final, marker, command, overwrite)
    with write_errors(final.parent):
        final.parent.mkdir(parents=True, exist_ok=True)
        unfinished = make_unfinished(final.parent, f".{final.name}")
    with at_work(unfinished):
        with write_errors(unfinished):
            yield unfinished
        _check_vacant(final, marker, command, overwrite)  # something may have come while the block ran
        with write_errors(final.parent):
            replaced = put_in_place(unfinished, final)
        if replaced:
            shutil.rmtree(replaced, ignore_errors=True)


def make_unfinished(beside: Path, name: str) -> Path:
    """Make an empty folder for results that are not whole yet, named `name.*.unfinished`. Its permissions follow the
    umask, as those of any folder that a user makes. OSError where it cannot be made."""
    unfinished = beside / f"{name}.{secrets.token_hex(4)}{_ENDING}"
    unfinished.mkdir()
    return unfinished


@contextlib.contextmanager
def at_work(unfinished: Path) -> Iterator[None]:
    """Hold a lock that says that this process makes this folder of `make_unfinished`. At the end the folder is deleted,
    unless it was renamed.

    First, folders for the same name that killed processes left are deleted, but only those from this machine: on some
    file systems a lock keeps out only processes of one machine. Where nothing can be locked, nothing is deleted.
    """
    name, own, _ = unfinished.name.rsplit(".", 2)
    # The pattern has as many letters as its own token, so that a search for `cohort` does not find those
    # of `cohort.zarr`.
    left = [*unfinished.parent.glob(f"{glob.escape(name)}.{'?' * len(own)}{_ENDING}{_LOCK}")]
    with contextlib.ExitStack() as held:
        with contextlib.suppress(InputError, StorageError, OSError):
            lock = unfinished.with_name(unfinished.name + _LOCK)
            # The lock gets its name only once it is held, so that a process that looks for leftovers cannot take it.
            unheld = lock.with_name(lock.name + ".new")
            held.enter_context(locked(unheld))
            held.callback(unheld.unlink, missing_ok=True)
            unheld.write_text(platform.node())
            unheld.rename(lock)
            held.callback(lock.unlink, missing_ok=True)
        held.callback(shutil.rmtree, unfinished, ignore_errors=True)  # runs while the lock is still held
        for each in left:
            _delete_left(each)
        yield


def _delete_left(lock: Path) -> None:
    """Delete an unfinished folder with its lock, unless a living process holds the lock, or another machine made it."""
    folder = lock.with_name(lock.name.removesuffix(_LOCK))
    with contextlib.suppress(InputError, StorageError, OSError), locked(lock):
        if lock.read_text() == platform.node():
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():  # otherwise the next process tries again
                lock.unlink(missing_ok=True)


def write_marker(folder: Path, marker: str, command: str, content: dict[str, Any]) -> dict[str, Any]:
    """Write the last file of a folder, which tells who made it, and return its content.

    It is JSON of `content` with `written_by`, the command, and `files`, the names of all other files.
    """
    files = sorted(path.name for path in folder.iterdir())
    whole = {"written_by": command, **content, "files": files}
    write_json(folder / marker, whole)
    return whole


def _on_disk(out: str | Path) -> Path:
    final = locate(out)
    if isinstance(final, S3Path):
        raise InputError(
            "The results are written to a disk.",
            where="--out",
            expected="a folder on this machine",
            found="an s3:// URL",
            do="name a folder, and copy it there afterwards",
        )
    return final.absolute()


def _check_vacant(final: Path, marker: str, command: str, overwrite: bool) -> None:
    """Raise InputError where something exists that may not be replaced. An empty folder counts as vacant."""
    if not final.exists() and not final.is_symlink():
        return
    folder = final.is_dir() and not final.is_symlink()
    if folder and not any(final.iterdir()):
        return
    listed = _listed(final / marker, command) if folder else None
    others = [] if listed is None else [path for path in final.iterdir() if path.name not in listed]
    if listed is not None and not others and overwrite:
        return
    found = "a file or a folder that was made by something else"
    if listed is not None:
        found = f"a folder with {marker}"
        found += f" and {len(others)} that {command} did not write" if others else ""
    replaceable = listed is not None and not others
    raise InputError(
        "There is something under the name of the new folder already.",
        where=str(final),
        expected="a new name",
        found=found,
        do="choose another name, or replace it with --overwrite" if replaceable else "choose another name",
    )


def _listed(marker: Path, command: str) -> set[str] | None:
    """Return the names in a folder that `command` wrote; None where its marker does not say that it wrote
    the folder."""
    try:
        content = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or content.get("written_by") != command:
        return None
    files = content.get("files")
    return {marker.name, *map(str, files)} if isinstance(files, list) else None


def put_in_place(unfinished: Path, final: Path) -> Path | None:
    """Rename a folder to its final name. If something has that name, it is renamed to one beside it, and returned for
    the caller to remove.

    OSError where the folder cannot be renamed; what had the name before has it again then.
    """
    replaced = None
    if final.exists():
        replaced = final.with_name(f"{unfinished.name}.replaced")
        final.rename(replaced)
    try:
        unfinished.rename(final)
    except OSError:
        if replaced:
            replaced.rename(final)
        raise
    return replaced
