"""What lies in a store as Zarr reads it: nothing there, what was written, damage, or a storage that does not answer."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import zarr

from hnscc.base.errors import InputError
from hnscc.base.files import storage_errors
from hnscc.base.locations import Location, S3Path, locate, patiently
from hnscc.cohort.store_format import UNFINISHED, zarr_store

# What Zarr and its codecs raise on bytes that are not what they wrote: on other values than those they expect (their
# own errors, bad JSON and bad UTF-8 are ValueErrors), other types, absent keys, numbers that are too large or zero,
# and data that do not decompress (RuntimeError).
UNDECODABLE = (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)

Answer = TypeVar("Answer")


class DamagedStore(InputError):
    """A store whose content is not what was written."""


class Undecodable(Exception):
    """Bytes that Zarr cannot make sense of; its text is the kind of Zarr's own error."""


def root_attributes(location: str | Location) -> dict[str, Any]:
    """The attributes of a Zarr hierarchy's root, whoever made it.

    InputError is raised where there is none, DamagedStore where it cannot be read, StorageError as by `open_store`.
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
    """The attributes of the group at this path of the store. Errors as of `asked`."""
    return asked(location, lambda: dict(group_of(location, path).attrs))


def group_of(location: str | Location, path: str) -> zarr.Group:
    """The group at this path of the store, for `asked` to open."""
    return zarr.open_group(zarr_store(location), path=path, mode="r", zarr_format=3)


def asked(location: str | Location, read: Callable[[], Answer]) -> Answer:
    """What `read` gives, which only calls Zarr.

    A disk or an S3 storage that does not answer is StorageError, never damage. FileNotFoundError: nothing is there.
    Undecodable: what is there is not what Zarr wrote.
    """
    where = locate(location)

    def decoded() -> Answer:
        try:
            return read()
        except OSError:  # Zarr's error of an absent group is a ValueError too
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
    except OSError as error:  # a folder where a file belongs, or the reverse, or one that may not be read
        raise Undecodable(type(error).__name__) from None


def kind_of_error(error: Exception) -> str:
    """The kind of error that Zarr, or the system, met."""
    return str(error) if isinstance(error, Undecodable) else type(error).__name__


def damaged_store(location: str | Location, scan_id: str | None, found: str) -> DamagedStore:
    """The error of a store, or of one scan in it, that is damaged."""
    return DamagedStore(
        "The store is damaged." if scan_id is None else f"Scan {scan_id} of the store is damaged.",
        where=f"store {location}" + ("" if scan_id is None else f", scan {scan_id}"),
        expected="the content that was written, by its checksums and digest",
        found=found,
        do="Run hnscc verify on it to see what is affected, then prepare it again or restore it from a copy.",
    )


def no_store(location: str | Location, found: str) -> InputError:
    """The error that says what was found in place of a store."""
    return InputError(
        "This is no store.",
        where=f"store {location}",
        expected="a store made by hnscc prepare",
        found=found,
        do="Check the path (relative to the working directory), or make the store: hnscc prepare MANIFEST STORE."
        if _is_relative(location)
        else "Check the path, or make the store: hnscc prepare MANIFEST STORE.",
    )


def _is_relative(location: str | Location) -> bool:
    where = locate(location)
    return not isinstance(where, S3Path) and not where.is_absolute()


def _what_is_there(location: str | Location) -> str:
    where = locate(location)
    if isinstance(where, S3Path):
        if (where / UNFINISHED).is_file():
            return "a store whose upload was cut short"
        return "objects that are no Zarr hierarchy" if where.is_dir() else "nothing there"
    return "a file or folder that is no Zarr hierarchy" if os.path.lexists(where) else "nothing there"
