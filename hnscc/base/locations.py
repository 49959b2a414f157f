"""Where a store or a run folder lies: in a folder, or below a prefix of S3-compatible storage, `s3://bucket/prefix`.

Endpoint and credentials come from the environment, as for other S3 programs: AWS_ENDPOINT_URL (none: AWS itself),
AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; a role of the machine serves too. The
connection is encrypted unless AWS_ENDPOINT_URL itself says http://.
"""

import contextlib
import errno
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from hnscc.base.argument_checks import refused_in_python
from hnscc.base.errors import InputError
from hnscc.base.s3_errors import ENDPOINT_URL, NoAnswer, error_of, misconfigured

# For how long a storage that does not answer is asked again, before StorageError is raised.
OUTAGE_SECONDS = 120.0
# The time between two tries. Ctrl-C works after each of them.
AGAIN_SECONDS = 1.0
# Limits of one request: for finding the server, for waiting without a byte arriving, and in all. A slower request is
# given up and tried again.
CONNECT_SECONDS = 5.0
STALL_SECONDS = 60.0
REQUEST_SECONDS = 600.0
# Larger content is sent in parts of this size, so that a slow line can send each within STALL_SECONDS.
PART_BYTES = 16 * 2**20
PARTS_AT_ONCE = 4
LISTINGS = 20  # tries, for folders that others delete meanwhile: each can vanish only once

ZARR_ROOT = "zarr.json"  # the file that makes a folder a Zarr hierarchy: a store has it

AWS = "amazonaws.com"
ENDPOINT = ("AWS_ENDPOINT_URL_S3", ENDPOINT_URL, "AWS_ENDPOINT")
# The variables of which one is needed for a server that is not AWS.
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE")

Answer = TypeVar("Answer")


class Stat(NamedTuple):
    """The size of an object in bytes, and when it was written, in seconds since 1970 by the storage's clock."""

    st_size: int
    st_mtime: float


@dataclass(frozen=True, order=True)
class S3Path:
    """An object of S3-compatible storage, or a prefix of several, with those methods of pathlib.Path that are needed.

    There are no folders to make or remove: a folder exists as long as an object exists below it. Every method that asks
    the storage raises FileNotFoundError for an absent object; InputError where the bucket or the right to use it is
    missing; StorageError where the storage is full, or does not answer for OUTAGE_SECONDS.
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}".rstrip("/")

    def __truediv__(self, name: str) -> "S3Path":
        return S3Path(self.bucket, f"{self.key}/{name}".strip("/"))

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> "S3Path":
        return S3Path(self.bucket, self.key.rpartition("/")[0])

    def absolute(self) -> "S3Path":
        return self

    def read_bytes(self) -> bytes:
        return self.read_version()[0]

    def read_text(self) -> str:
        return self.read_bytes().decode()

    def read_version(self) -> tuple[bytes, str]:
        """Return the content, and the mark of its version (the ETag), which changes with the content."""

        def read() -> tuple[bytes, str]:
            found = client(self.bucket).get(self.key)
            return bytes(found.bytes()), found.meta["e_tag"] or ""

        return patiently(self, read)

    def write_bytes(self, content: bytes) -> None:
        """Write the object atomically: readers find the old one or the new one, whole."""
        patiently(
            self,
            lambda: client(self.bucket).put(
                self.key, content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            ),
        )

    def create(self, content: bytes) -> bool:
        """Write the object unless it exists, and return whether it was written.

        The answer is False also where this call wrote it but the storage's answer got lost: read it to be sure.
        """
        return self._write_if("create", content)

    def replace_version(self, content: bytes, version: str) -> bool:
        """Write the object if it still has that version, and return whether it was written, as `create` does."""
        # The standard wants the mark in quotes, but some servers (Ceph 16) compare it with a mark without them.
        return any(self._write_if({"e_tag": mark}, content) for mark in (version, version.strip('"')))

    def _write_if(self, condition: Any, content: bytes) -> bool:
        def write() -> bool:
            try:
                client(self.bucket).put(self.key, content, mode=condition)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

        return patiently(self, write)

    def stat(self) -> Stat:
        found = patiently(self, lambda: client(self.bucket).head(self.key))
        return Stat(found["size"], found["last_modified"].timestamp())

    def is_file(self) -> bool:
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        found = patiently(self, lambda: client(self.bucket).list_with_delimiter(self.key))
        return bool(found["objects"] or found["common_prefixes"])

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok and not self.is_file():
            raise _absent(self)
        patiently(self, lambda: client(self.bucket).delete(self.key))

    def glob(self, pattern: str) -> Iterator["S3Path"]:
        """Yield the objects whose key continues with `pattern`, such as `trials/*/record.json`; `*` stays in
        one name."""
        fixed = self
        for part in PurePosixPath(pattern).parent.parts:
            if "*" in part:
                break
            fixed /= part
        depth = len(PurePosixPath(pattern).parts)
        for each in fixed.below():
            rest = PurePosixPath(each.key.removeprefix(self.key).strip("/"))
            if len(rest.parts) == depth and rest.match(pattern):
                yield each

    def below(self) -> list["S3Path"]:
        """Return every object whose key begins with this one and a slash."""
        found = patiently(self, lambda: client(self.bucket).list(self.key).collect())
        return [S3Path(self.bucket, each["path"]) for each in found]


Location = Path | S3Path


def paths_matching(folder: Location, pattern: str) -> list[Location]:
    """Return the paths below `folder` that match a pattern of Path.glob, such as `trials/*/record.json`.

    Others may delete there meanwhile. If a folder vanishes after it was found and before it is listed, Path.glob of
    Python 3.11 raises FileNotFoundError, and all is listed again. The error is raised if that does not help: the
    storage shows a folder that it cannot open.
    """
    for _ in range(LISTINGS):
        with contextlib.suppress(FileNotFoundError):
            return list(folder.glob(pattern))
    return list(folder.glob(pattern))


def entries_of(folder: Location) -> set[str]:
    """Return the names of files and folders in a folder; none if it is no folder. On S3, these are the first parts of
    the keys below it."""
    if isinstance(folder, S3Path):
        return {each.key.removeprefix(f"{folder.key}/").partition("/")[0] for each in folder.below()}
    return {each.name for each in folder.iterdir()} if folder.is_dir() else set()


def locate(location: str | os.PathLike[str] | Location) -> Location:
    """Return the location that a user names by a path or by an s3:// URL.

    InputError where a URL names no location, and for a path that begins with ~: a folder of that name would be made.
    """
    if isinstance(location, S3Path):
        return location
    text = os.fspath(location)
    if text.split("/")[0] == "~":
        raise InputError(
            "A path begins with ~, which stands for the home folder in shells and manifests alone.",
            where=text,
            expected="a path with its home folder written out",
            found="~ as a folder's name",
            do="write the home folder out, as `echo ~` prints it; a shell does so before it hands a path on, but not "
            "within quotes, and not behind --out= (write --out and a blank)",
        )
    if not re.match(r"[A-Za-z][\w+.-]+:/", text):
        return Path(text)
    # The message does not repeat the URL, which may hold a password.
    shape = re.fullmatch(r"s3://(?P<bucket>[\w.-]{3,63})/(?P<key>[^?#]+?)/?", text, re.ASCII)
    if not shape or any(part in ("", ".", "..") for part in shape["key"].split("/")):
        raise InputError(
            "This is no place for a store or a run folder.",
            where="a URL with a user or a password" if "@" in text else text,
            expected="s3://bucket/prefix, or the path of a folder",
            found="no prefix below the bucket" if re.fullmatch(r"s3://[\w.-]+/?", text) else "another URL",
            do="name bucket and prefix; endpoint and credentials come from AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_REGION in the environment",
        )
    return S3Path(shape["bucket"], shape["key"])


def check_places(**places: object) -> None:
    """Raise InputError for a value that is neither a text nor a path, so that it names no place. Values are given by
    the names of their parameters."""
    for name, given in places.items():
        if not isinstance(given, str | os.PathLike | S3Path):
            raise refused_in_python(name, "names no place", "a text or a pathlib.Path", given)


@cache
def client(bucket: str, prefix: str | None = None) -> S3Store:
    """Return the connection to a bucket, or to a prefix of it, that this process's environment describes.

    InputError is raised where the endpoint is no URL, or needs credentials that are not set.
    """
    endpoint = next((os.environ[name] for name in ENDPOINT if os.environ.get(name)), f"https://{AWS}")
    if not re.match("https?://", endpoint):
        raise misconfigured(bucket, "http:// or https:// and a host", "neither of these", ENDPOINT_URL)
    if AWS not in endpoint and not any(os.environ.get(name) for name in CREDENTIALS):
        raise misconfigured(bucket, "credentials for this endpoint", "none")
    return S3Store(
        bucket,
        prefix=prefix,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=STALL_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
        },
        # `patiently` waits for longer outages, since Ctrl-C does not work in here.
        retry_config={
            "max_retries": 5,
            "retry_timeout": timedelta(seconds=AGAIN_SECONDS),
            "backoff": {"max_backoff": timedelta(seconds=AGAIN_SECONDS)},
        },
    )


def patiently(path: S3Path, ask: Callable[[], Answer]) -> Answer:
    """Return what the storage answers to `ask`, which is repeated while there is no answer. S3Path lists the errors."""
    until = None
    while True:
        try:
            return ask()
        except FileNotFoundError:
            check_bucket(path.bucket)
            raise _absent(path) from None
        except BaseError as error:
            problem = error_of(str(path), path.bucket, str(error))
        if not isinstance(problem, NoAnswer) or (until is not None and time.monotonic() > until):
            raise problem from None
        if until is None:
            until = time.monotonic() + OUTAGE_SECONDS
            print(f"{path}: {problem.found}; trying again for {OUTAGE_SECONDS:.0f} s", file=sys.stderr)
        time.sleep(AGAIN_SECONDS)


@cache
def check_bucket(bucket: str) -> None:
    """Raise InputError where the bucket is missing: some requests (HEAD) cannot tell that from a missing object.

    Once the bucket was found, this process does not ask for it again.
    """
    patiently(S3Path(bucket, ""), lambda: client(bucket).list_with_delimiter("no-such-prefix"))


def _absent(path: S3Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
