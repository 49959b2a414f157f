"""A folder of results that is there whole, or not at all."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hnscc.base.errors import InputError
from hnscc.base.files import writing_to
from hnscc.base.locations import S3Path, locate


@contextlib.contextmanager
def new_folder(out: str | Path, marker: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Give an empty folder beside `out`, and rename it to `out` where the block ends without an error.

    marker: the name of a file that every folder of this kind holds: with `overwrite`, a folder that holds it is
    replaced. InputError where something else is there, or nothing can be written; StorageError where the disk is full.
    Nothing is left then, and what was there stays.
    """
    final = _on_disk(out)
    _check_vacant(final, marker, overwrite)
    with writing_to(final.parent):
        final.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".unfinished", dir=final.parent))
    try:
        unfinished.chmod(0o755)  # mkdtemp is for the owner alone
        with writing_to(unfinished):
            yield unfinished
        with writing_to(final.parent):
            _rename(unfinished, final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


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


def _check_vacant(final: Path, marker: str, overwrite: bool) -> None:
    """An empty folder counts as vacant."""
    if not final.exists() or (final.is_dir() and not final.is_symlink() and not any(final.iterdir())):
        return
    ours = final.is_dir() and not final.is_symlink() and (final / marker).is_file()
    if ours and overwrite:
        return
    raise InputError(
        "There is something under the name of the new folder already.",
        where=str(final),
        expected="a new name",
        found=f"a folder with {marker}" if ours else "a file or a folder that was made by something else",
        do="choose another name, or replace it with --overwrite" if ours else "choose another name",
    )


def _rename(unfinished: Path, final: Path) -> None:
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
    if replaced:
        shutil.rmtree(replaced, ignore_errors=True)
