"""What `ray job submit --working-dir` would copy to a cluster, said before it does."""

import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ray._private import ray_constants
from ray._private.runtime_env import packaging

from hnscc.base.errors import InputError
from rayjobs.patient_files import count_kinds, in_words

_MOST_MIB = packaging.GCS_STORAGE_MAX_SIZE / 2**20


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
                f"{in_words(self.patient_files)} would leave this machine; expected code and study files only; "
                "do: take them out of the folder, or name their folder in its .rayignore"
            )
        if self.mib >= _MOST_MIB:
            return (
                f"{self.mib} MiB are more than Ray takes; expected less than {_MOST_MIB:.0f} MiB; "
                "do: name large folders in its .rayignore"
            )
        return None

    def line(self) -> str:
        told = f"{self.folder}: Ray would upload {self.files} files, {self.mib} MiB"
        return f"{told}; {self.problem}" if self.problem else f"{told}, and no patient file that hnscc knows"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"problem": self.problem}


def check_working_dir(folder: Path) -> Upload:
    """How much Ray would upload of a folder, and which patient files. InputError if it cannot be read."""
    if not folder.is_dir():
        raise _unreadable(folder, "no folder")
    try:
        paths = uploaded(folder)
        files = [path for path in paths if path.is_file()]
        mib = sum(path.stat().st_size for path in files) / 2**20
    except OSError as error:
        raise _unreadable(folder, error.strerror or type(error).__name__) from None
    return Upload(str(folder), len(files), round(mib, 2), count_kinds([folder.absolute(), *paths]))


def uploaded(folder: Path) -> list[Path]:
    """The files and folders that `ray job submit --working-dir` would upload, found by Ray's own code: .rayignore,
    .gitignore, and what Ray always leaves out."""
    root = folder.absolute()
    left_out = packaging._get_excludes(root, ray_constants.get_runtime_env_default_excludes())
    with_gitignore = os.environ.get(ray_constants.RAY_RUNTIME_ENV_IGNORE_GITIGNORE, "0") != "1"
    found: list[Path] = []
    # Ray's own logger would tell paths.
    quiet = logging.getLogger("hnscc.uploads")
    packaging._dir_travel(root, [left_out], found.append, include_gitignore=with_gitignore, logger=quiet)
    return [path for path in found if path != root]


def _unreadable(folder: Path, found: str) -> InputError:
    return InputError(
        "The working directory cannot be looked through.",
        where="--working-dir",
        expected="the folder that `ray job submit` is to upload, and that you may read",
        found=f"{folder}: {found}",
        do="stand in the project's folder, and name .",
    )
