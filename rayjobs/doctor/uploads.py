"""Tells what `ray up` and `ray job submit` would copy to a cluster, before they do: no patient file may be among it."""

import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Private, for Ray offers no other way to ask what it would upload; written anew here, the answer would drift from what
# Ray does, and patient files could leave unseen.
from ray._private import ray_constants
from ray._private.runtime_env import packaging

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from rayjobs.doctor.cluster_file import ClusterFile, keys
from rayjobs.doctor.marked_yaml import Problem
from rayjobs.patient_files import (
    count_kinds,
    counts_in_words,
    kind_by_name,
    kind_of_patient_file,
    patient_files,
)

_MOST_MIB = packaging.GCS_STORAGE_MAX_SIZE / 2**20
_CODE = "code only: pyproject.toml, constraints.txt, README.md, LICENSE, hnscc, rayjobs, data_prep"
_MOVE = "mount folders of code one by one, and put data on storage that the cluster shares"


# `ray job submit --working-dir`


@dataclass(frozen=True)
class Upload:
    """What `ray job submit --working-dir` would copy to the cluster; patient files as kind -> count."""

    folder: str
    files: int
    mib: float
    patient_files: dict[str, int]

    @property
    def problem(self) -> str | None:
        """Why the folder must not be submitted, if so."""
        if self.patient_files:
            return (
                f"{counts_in_words(self.patient_files)} would leave this machine; expected code and study files only; "
                "do: take them out of the folder, or name their folder in its .rayignore"
            )
        if self.mib >= _MOST_MIB:
            return (
                f"{self.mib} MiB are more than Ray takes; expected less than {_MOST_MIB:.0f} MiB; "
                "do: name large folders in its .rayignore"
            )
        return None

    def line(self) -> str:
        """The same as a line of text."""
        told = f"{self.folder}: Ray would upload {count_of(self.files, 'file')}, {self.mib} MiB"
        return f"{told}; {self.problem}" if self.problem else f"{told}, and no patient file that hnscc knows"

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self) | {"problem": self.problem}


def check_working_dir(folder: Path) -> Upload:
    """Return how much of a folder Ray would upload, and which patient files. InputError if the folder cannot
    be read."""
    try:
        next(folder.iterdir(), None)  # OSError where it is no folder
        paths = uploaded(folder)
        files = [path for path in paths if path.is_file()]
        mib = sum(path.stat().st_size for path in files) / 2**20
    except OSError as error:
        raise InputError(
            "The working directory cannot be looked through.",
            where="--working-dir",
            expected="the folder that `ray job submit` is to upload, and that you may read",
            found=f"{folder}: {error.strerror or type(error).__name__}",
            do="stand in the project's folder, and name .",
        ) from None
    return Upload(str(folder), len(files), round(mib, 2), count_kinds([folder.absolute(), *paths]))


def uploaded(folder: Path) -> list[Path]:
    """Return the files and folders that `ray job submit --working-dir` would upload. Ray's own code finds them, by
    .rayignore, .gitignore, and what Ray always leaves out."""
    root = folder.absolute()
    left_out = packaging._get_excludes(root, ray_constants.get_runtime_env_default_excludes())
    with_gitignore = os.environ.get(ray_constants.RAY_RUNTIME_ENV_IGNORE_GITIGNORE, "0") != "1"
    found: list[Path] = []
    # Ray's own logger would tell paths.
    quiet = logging.getLogger("hnscc.uploads")
    packaging._dir_travel(root, [left_out], found.append, include_gitignore=with_gitignore, logger=quiet)
    return [path for path in found if path != root]


# `ray up`


def mount_problems(file: ClusterFile) -> Iterator[Problem]:
    """Yield each mount and each synced file that could take patient files along."""
    for remote, local in keys(file.settings.get("file_mounts")).items():
        if isinstance(local, str) and (why := _carries(local, look=True)):
            yield file.problem(("file_mounts", remote), f"this mount {why}", _CODE, _MOVE)
    for path, on_head in file.texts("cluster_synced_files"):
        if why := _carries(on_head, look=False):
            yield file.problem(path, f"this synced file {why}", _CODE, _MOVE)


def _carries(source: str, *, look: bool) -> str | None:
    """Return why copying a file or folder could copy patient files, or None. look: it lies on this machine, so
    look inside.

    As for Ray, paths are relative to the working directory. The answer never names what was found.
    """
    here = Path.cwd()
    path = Path(os.path.normpath(here / Path(source).expanduser()))
    if here.is_relative_to(path) or Path.home().is_relative_to(path):
        return "takes a whole working or home folder along"
    own = path.relative_to(here) if path.is_relative_to(here) else path
    if {"data", "runs"} & {part.lower() for part in own.parts}:
        return "is a folder of data or runs"
    if kind_by_name(path.name) or path.suffix.lower() in (".zarr", ".csv", ".tsv"):
        return "is an imaging file, a store or a table of patients"
    if look and path.is_dir() and (found := patient_files(path)):
        return f"holds {counts_in_words(found)}"
    if look and path.is_file() and (kind := kind_of_patient_file(path)):
        return f"is of the kind: {kind}"
    return None


def mount_notes(file: ClusterFile) -> Iterator[Problem]:
    """Yield each mount whose source is not on this machine, seen from the working directory, and a token that others
    can read."""
    for remote, local in keys(file.settings.get("file_mounts")).items():
        if not isinstance(local, str):
            continue
        source, path = Path(local).expanduser(), ("file_mounts", remote)
        token = source.name == "auth_token"
        if token and not source.exists():
            make = f"(umask 077; ray get-auth-token --generate > /dev/null); chmod 600 {local}"
            yield file.problem(path, "there is no token on this machine yet", "a token file", make)
        elif token and source.stat().st_mode & 0o077:
            problem = "others on this machine can read the token"
            yield file.problem(path, problem, "mode 600", f"chmod 600 {local}")
        elif not source.exists():
            yield file.problem(
                path,
                "what this mount copies is not here",
                "a file or folder, seen from where `ray up` is called",
                "call hnscc and ray in the project's folder",
            )
