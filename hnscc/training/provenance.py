"""provenance.json: which commands ran in a run folder, when, with which versions, and on what machine. No table depends
on it."""

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import ConfigDict, Field, ValidationError

from hnscc.base.errors import InputError
from hnscc.base.facts import Facts
from hnscc.base.files import write_json
from hnscc.base.locations import S3Path
from hnscc.base.locks import locked
from hnscc.study import identity
from hnscc.study.run_folder import RunFolder
from hnscc.training.hardware import hardware

# The libraries that trained weights depend on, and those that schedule, score and store.
LIBRARIES = ("hnscc", "ray", *identity.LIBRARIES, "scipy", "zarr", "pyarrow")


class Invocation(Facts):
    """One command that trained in the run folder.

    started: date and time (UTC, ISO 8601). commit: that of the checkout whose code ran, with `+changes` if it was
    edited; `unknown: ` and the reason if git does not say it; None if the code is in no checkout. versions: a version
    is None where the library is not installed. hardware: of this machine, which on a cluster is often none of those
    that train; the record of each trial says what it was computed on. Other versions of hnscc may have written more
    fields or fewer: unknown ones are kept.
    """

    model_config = ConfigDict(extra="allow")

    started: str | None = None
    process: int | None = None
    command: Annotated[tuple[str, ...], Field(strict=False)] = ()
    commit: str | None = None
    versions: dict[str, str | None] = Field(default_factory=dict)
    hardware: dict[str, str | int | None] = Field(default_factory=dict)


def add_invocation(folder: RunFolder) -> None:
    """Append this process to the list of invocations. Processes that do so at the same time wait for one another, so
    that no entry is lost.

    InputError where the list of earlier invocations is damaged.
    """
    now = _this_process()
    if isinstance(folder.provenance, S3Path):
        _append_to_object(folder, folder.provenance, now)
        return
    with locked(cast(Path, folder.provenance_lock), wait=True):
        write_json(folder.provenance, _content([*read_invocations(folder), now]))


def read_invocations(folder: RunFolder) -> list[Invocation]:
    """Return the invocations in the order in which they began; none where there is no file. InputError where it
    is damaged."""
    try:
        content = folder.provenance.read_bytes()
    except FileNotFoundError:
        return []
    return _parsed(content)


def _append_to_object(folder: RunFolder, path: S3Path, now: Invocation) -> None:
    """Append an entry to an object on S3. It is written only if nobody else wrote since it was read; otherwise it is
    read again."""
    while True:
        try:
            content, mark = path.read_version()
        except FileNotFoundError:
            if path.create(_encoded([now])) or _holds(folder, now):
                return
        else:
            entries = [*_parsed(content), now]
            if path.replace_version(_encoded(entries), mark) or _holds(folder, now):
                return


def _holds(folder: RunFolder, now: Invocation) -> bool:
    """Return whether the entry was written although the answer got lost."""
    return now in read_invocations(folder)


def _content(invocations: list[Invocation]) -> dict[str, Any]:
    return {"invocations": [each.model_dump(mode="json", exclude_unset=True) for each in invocations]}


def _encoded(invocations: list[Invocation]) -> bytes:
    return (json.dumps(_content(invocations), indent=1, sort_keys=True) + "\n").encode()


def _parsed(content: bytes) -> list[Invocation]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):  # json raises these for damaged text
        raise _damaged("text that is no JSON, or cut short") from None
    invocations = parsed.get("invocations") if isinstance(parsed, dict) else None
    if not isinstance(invocations, list):
        raise _damaged("JSON without such a list")
    read: list[Invocation] = []
    for each in invocations:
        try:
            read.append(Invocation.model_validate(each))
        except ValidationError:
            found = f"a list whose entry {len(read) + 1} of {len(invocations)} is no invocation"
            raise _damaged(found) from None
    return read


def _damaged(found: str) -> InputError:
    return InputError(
        "The run folder's provenance is damaged.",
        where="provenance.json of the run folder",
        expected="JSON with a list `invocations`, as `hnscc run` writes it",
        found=found,
        do="restore the file from a copy, or move it away: no table depends on it",
    )


def _this_process() -> Invocation:
    return Invocation(
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        process=os.getpid(),
        command=(Path(sys.argv[0]).name, *sys.argv[1:]),
        commit=commit_of(),
        versions={"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        hardware=hardware(),
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def commit_of(code: Path = Path(__file__)) -> str | None:
    """Return the commit of the checkout that this file of the code belongs to, or None if it belongs to none.

    Where git does not say it, return `unknown` and git's words without paths, which must not reach a report.
    """
    if not any((folder / ".git").exists() for folder in code.parents):
        return None
    try:
        if not _git(code, "ls-files", "--", code.name):
            return None  # it was installed into a folder of another project's checkout
        head, changes = _git(code, "rev-parse", "HEAD"), _git(code, "status", "--porcelain")
    except OSError as error:
        return f"unknown: git cannot be run ({os.strerror(error.errno or 0)})"
    except subprocess.CalledProcessError as error:
        said = re.sub("'[^']*'", "'...'", error.stderr.strip().partition("\n")[0])
        return f"unknown: git says {said or f'nothing, and ends with {error.returncode}'}"
    return head + ("+changes" if changes else "")


def _git(code: Path, *asked: str) -> str:
    """Return what git says, in English, of the checkout around a file.

    A hook of git's that started this process may have named another checkout in the environment; its variables are
    left out.
    """
    hook = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    env = {name: value for name, value in os.environ.items() if name not in hook} | {"LC_ALL": "C"}
    git = ["git", "--no-optional-locks", "-C", str(code.parent), *asked]
    return subprocess.run(git, capture_output=True, text=True, check=True, env=env).stdout.strip()
