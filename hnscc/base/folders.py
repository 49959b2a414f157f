"""A folder of results that is there whole, or not at all."""

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
    """Give an empty folder beside `out`, and rename it to `out` where the block ends without an error.

    marker: the name of the file that the block writes last, by `write_marker` with the same `command`. With
    `overwrite`, a folder is replaced whose marker says that this command wrote it, and that holds no other files than
    it lists. InputError where something else is there, at the start or at the end, or nothing can be written;
    StorageError where the disk is full. Nothing is left then, and what was there stays.
    """
    final = _on_disk(out)
    _check_vacant(final, marker, command, overwrite)
    with write_errors(final.parent):
        final.parent.mkdir(parents=True, exist_ok=True)
        unfinished = make_unfinished(final.parent, f".{final.name}")
    with at_work(unfinished):
        with write_errors(unfinished):
            yield unfinished
        _check_vacant(final, marker, command, overwrite)  # it may have come while the block ran
        with write_errors(final.parent):
            replaced = put_in_place(unfinished, final)
        if replaced:
            shutil.rmtree(replaced, ignore_errors=True)


def make_unfinished(beside: Path, name: str) -> Path:
    """Make an empty folder for what is not whole yet; its name is `name.*.unfinished`. Who may read it is what the
    umask says, as of any folder that a user makes. OSError where it cannot be made."""
    unfinished = beside / f"{name}.{secrets.token_hex(4)}{_ENDING}"
    unfinished.mkdir()
    return unfinished


@contextlib.contextmanager
def at_work(unfinished: Path) -> Iterator[None]:
    """Hold a lock that says that this process makes the folder, of `make_unfinished`, and delete those of the same name
    that processes which were killed left. At the end the folder is deleted, unless it was renamed.

    Deleted is what a process of this machine left: on some file systems a lock keeps out the processes of one machine
    alone. Where nothing can be locked, nothing is deleted either.
    """
    name, own, _ = unfinished.name.rsplit(".", 2)
    # As many letters as its own: that of `cohort` is none of `cohort.zarr`.
    left = [*unfinished.parent.glob(f"{glob.escape(name)}.{'?' * len(own)}{_ENDING}{_LOCK}")]
    with contextlib.ExitStack() as held:
        with contextlib.suppress(InputError, StorageError, OSError):
            lock = unfinished.with_name(unfinished.name + _LOCK)
            # Whoever looks for what is left finds the lock only once it is held.
            unheld = lock.with_name(lock.name + ".new")
            held.enter_context(locked(unheld))
            held.callback(unheld.unlink, missing_ok=True)
            unheld.write_text(platform.node())
            unheld.rename(lock)
            held.callback(lock.unlink, missing_ok=True)
        held.callback(shutil.rmtree, unfinished, ignore_errors=True)  # while the lock is held
        for each in left:
            _delete_left(each)
        yield


def _delete_left(lock: Path) -> None:
    """Delete an unfinished folder with its lock, unless a living process holds that, or another machine made it."""
    folder = lock.with_name(lock.name.removesuffix(_LOCK))
    with contextlib.suppress(InputError, StorageError, OSError), locked(lock):
        if lock.read_text() == platform.node():
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():  # else the next one tries again
                lock.unlink(missing_ok=True)


def write_marker(folder: Path, marker: str, command: str, content: dict[str, Any]) -> dict[str, Any]:
    """Write the file that tells whose folder this is, the last one of it: JSON of `content` with `written_by`, the
    command, and `files`, the names of all other files; returns what was written."""
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
    """An empty folder counts as vacant."""
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
    """The names in a folder that `command` wrote; None where its marker does not say that it did."""
    try:
        content = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or content.get("written_by") != command:
        return None
    files = content.get("files")
    return {marker.name, *map(str, files)} if isinstance(files, list) else None


def put_in_place(unfinished: Path, final: Path) -> Path | None:
    """Rename a folder to its final name, and what stands there to another beside it, which is returned to be removed.

    OSError where the folder cannot be renamed; what stood there is back then.
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
