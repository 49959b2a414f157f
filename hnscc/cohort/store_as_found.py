"""What Zarr finds at the place of a store: nothing, what was written, damage, or a storage that does not answer."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import zarr

from hnscc.base.errors import InputError
from hnscc.base.files import storage_errors
from hnscc.base.locations import Location, S3Path, locate, patiently
from hnscc.cohort.store_format import UNFINISHED, zarr_store

# The errors that Zarr and its codecs raise on bytes that they did not write: unexpected values (their own errors, bad
# JSON and bad UTF-8 are ValueErrors), other types, absent keys, numbers that are too large or zero, and data that do
# not decompress (RuntimeError).
UNDECODABLE = (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)

Answer = TypeVar("Answer")


class DamagedStore(InputError):
    """A store's content is not what was written."""


class Undecodable(Exception):
    """Zarr cannot decode what is there. The text is the kind of Zarr's own error."""


def root_attributes(location: str | Location) -> dict[str, Any]:
    """Return the attributes of a Zarr hierarchy's root, whoever made it.

    InputError is raised where there is none, DamagedStore where it cannot be read, StorageError where disk or S3 do
    not answer.
    """
    try:
        return attributes_of(location, "")
    except FileNotFoundError:
        raise no_store(location, _what_is_there(location)) from None
    except Undecodable as error:
        raise damaged_store(
            location, None, f"metadata that cannot be read ({kind_of_error(error)})"
        ) from None


def attributes_of(location: str | Location, path: str) -> dict[str, Any]:
    """Return the attributes of the group at this path of the store. Raises what `asked` raises."""
    return asked(location, lambda: dict(group_of(location, path).attrs))


def group_of(location: str | Location, path: str) -> zarr.Group:
    """Return the group at this path of the store. It is called within `asked`."""
    return zarr.open_group(zarr_store(location), path=path, mode="r", zarr_format=3)


def asked(location: str | Location, read: Callable[[], Answer]) -> Answer:
    """Return what `read` returns, which does nothing but call Zarr.

    StorageError where the disk or the S3 storage does not answer, which is never taken for damage. FileNotFoundError
    where nothing is there. Undecodable where what is there is not what Zarr wrote.
    """
    where = locate(location)

    def decoded() -> Answer:
        try:
            return read()
        except OSError:  # an absent group: Zarr's error for it is a ValueError, too
            raise
        except UNDECODABLE as error:
            raise Undecodable(type(error).__name__) from None

    if isinstance(where, S3Path):
        return patiently(where, decoded)
    try:
        with storage_errors(where):
            return decoded()
    except FileNotFoundError:
        raise
    except OSError as error:  # a folder in place of a file, the reverse, or a file that may not be read
        raise Undecodable(type(error).__name__) from None


def kind_of_error(error: Exception) -> str:
    """Return the kind of error that Zarr or the system met."""
    return str(error) if isinstance(error, Undecodable) else type(error).__name__


def damaged_store(location: str | Location, scan_id: str | None, found: str) -> DamagedStore:
    """Return the error that a store, or one scan in it, is damaged."""
    return DamagedStore(
        "The store is damaged." if scan_id is None else f"Scan {scan_id} of the store is damaged.",
        where=f"store {location}" + ("" if scan_id is None else f", scan {scan_id}"),
        expected="the content that was written, by its checksums and digest",
        found=found,
        do="Run hnscc verify on it to see what is affected, then prepare it again or restore it from a copy.",
    )


def no_store(location: str | Location, found: str) -> InputError:
    """Return the error that says what was found in place of a store."""
    where = locate(location)
    absolute = isinstance(where, S3Path) or where.is_absolute()
    relative = "" if absolute else " (relative to the working directory)"
    return InputError(
        "This is no store.",
        where=f"store {location}",
        expected="a store made by hnscc prepare",
        found=found,
        do=f"Check the path{relative}, or make the store: hnscc prepare MANIFEST STORE.",
    )


def _what_is_there(location: str | Location) -> str:
    where = locate(location)
    if isinstance(where, S3Path):
        if (where / UNFINISHED).is_file():
            return "a store whose upload was cut short"
        return "objects that are no Zarr hierarchy" if where.is_dir() else "nothing there"
    return "a file or folder that is no Zarr hierarchy" if os.path.lexists(where) else "nothing there"
