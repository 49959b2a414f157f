"""What a `ray up` file must say so that a cluster is closed to others, reproducible, and free of patient files.

Each check yields a Problem for each safeguard that is missing. Values of the wrong type are the schema's business
(rayjobs/doctor/field_checks.py): here they count as absent.
"""

import ipaddress
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rayjobs.doctor.marked_yaml import KeyPath, MarkedYaml, Problem
from rayjobs.doctor.shell_commands import Command, ray_starts, unpinned
from rayjobs.patient_files import in_words, kind_by_name, kind_of, patient_files

_START_KEYS = {"head": "head_start_ray_commands", "worker": "worker_start_ray_commands"}
_SETUP_KEYS = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
_CODE = "code only: pyproject.toml, constraints.txt, README.md, LICENSE, hnscc, rayjobs, data_prep"
_MOVE = "mount folders of code one by one, and put data on storage that the cluster shares"


@dataclass(frozen=True)
class ClusterFile:
    """A `ray up` file as Ray will take it: the file's own keys, and Ray's default commands where it has none."""

    marked: MarkedYaml
    settings: dict[str, Any]

    @property
    def provider(self) -> str:
        return str(keys(self.settings.get("provider")).get("type"))

    @property
    def head(self) -> str:
        """The name of the head's kind of machine."""
        return str(self.settings.get("head_node_type"))

    @property
    def machines(self) -> dict[str, dict[str, Any]]:
        return {
            str(name): keys(kind) for name, kind in keys(self.settings.get("available_node_types")).items()
        }

    def texts(self, *path: Any) -> list[tuple[KeyPath, str]]:
        """The texts of a list in the file, each with its path."""
        value: Any = self.settings
        for key in path:
            value = keys(value).get(key)
        return [((*path, i), text) for i, text in enumerate(items(value)) if isinstance(text, str)]

    def problem(
        self, path: KeyPath, problem: str, expected: str, do: str, word: str | None = None
    ) -> Problem:
        """A Problem at a path; `word` stands on the line that is meant, where the path's text runs over several."""
        if path and path[0] not in keys(self.marked.data):
            problem = f"{path[0]} is missing, and in Ray's default {problem}"
        return Problem(self.marked.line(path, word), problem, expected, do)


def keys(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def missing_safeguards(file: ClusterFile) -> Iterator[Problem]:
    """Every safeguard that the file lacks."""
    for role in _START_KEYS:
        if (
            role == "head"
            or file.provider != "local"
            or items(keys(file.settings.get("provider")).get("worker_ips"))
        ):
            yield from _start_problems(file, role)
    yield from _variable_problems(file)
    yield from _token_problems(file)
    yield from _pin_problems(file)
    yield from _mount_problems(file)


# Starting Ray


def _start_problems(file: ClusterFile, role: str) -> Iterator[Problem]:
    key = _START_KEYS[role]
    starts = []
    for path, text in file.texts(key):
        try:
            starts += [(path, command) for command in ray_starts(text)]
        except ValueError:
            yield file.problem(
                path,
                "this command cannot be read as shell",
                "closed quotes",
                "mend the quotes of this command",
            )
            return
    if not starts:
        yield file.problem(
            (key,),
            f"no command starts Ray on the {role}",
            f"`ray start` among {key}",
            f"add a `ray start` to {key}",
        )
    for path, command in starts:
        yield from _closed_problems(file, path, command, role)
        yield from _joined_problems(file, path, command, role)


def _closed_problems(file: ClusterFile, path: KeyPath, command: Command, role: str) -> Iterator[Problem]:
    """Token, usage statistics, dashboard and debugger of one `ray start`."""
    if "RAY_AUTH_MODE" not in command.variables:
        yield file.problem(
            path,
            "this `ray start` does not ask for a token: anyone who reaches its ports runs code here",
            "RAY_AUTH_MODE=token in this command",
            "write `RAY_AUTH_MODE=token` in front of `ray start`",
            word="ray start",
        )
    if "RAY_USAGE_STATS_ENABLED" not in command.variables and "--disable-usage-stats" not in command.words:
        yield file.problem(
            path,
            "this `ray start` leaves Ray's usage statistics on",
            "--disable-usage-stats, or RAY_USAGE_STATS_ENABLED=0 in front of it",
            "add one of the two",
            word="ray start",
        )
    host = command.option("--dashboard-host")
    if (role == "head" or host) and not _is_loopback(host or ""):
        yield file.problem(
            path,
            "the dashboard listens beyond this machine"
            if host
            else "nothing keeps the dashboard on this machine",
            "--dashboard-host=127.0.0.1",
            "set it so; `ray dashboard` brings the dashboard to your machine",
            word="--dashboard-host" if host else "ray start",
        )
    if "--ray-debugger-external" in command.words:
        yield file.problem(
            path,
            "the debugger listens beyond this machine",
            "no --ray-debugger-external",
            "delete this option",
            word="--ray-debugger-external",
        )


def _joined_problems(file: ClusterFile, path: KeyPath, command: Command, role: str) -> Iterator[Problem]:
    """Whether a `ray start` makes a head that starts workers, or a worker that joins the head."""
    if role == "worker":
        if command.option("--address") is None or command.option("--head") is not None:
            yield file.problem(
                path,
                "this `ray start` does not join the head",
                "--address=$RAY_HEAD_IP:6379",
                "name the head's address, and no --head",
                word="ray start",
            )
        return
    if command.option("--head") is None:
        yield file.problem(
            path, "this `ray start` makes no head", "--head", "add --head to it", word="ray start"
        )
    if not command.option("--autoscaling-config"):
        yield file.problem(
            path,
            "the head would start no workers",
            "--autoscaling-config=~/ray_bootstrap_config.yaml",
            "add it to this `ray start`",
            word="ray start",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


# Variables and the token


def all_commands(file: ClusterFile) -> list[tuple[KeyPath, str]]:
    found = [each for key in (*_SETUP_KEYS, *_START_KEYS.values()) for each in file.texts(key)]
    for name in file.machines:
        for key in ("initialization_commands", "worker_setup_commands"):
            found += file.texts("available_node_types", name, key)
    return found


def _docker_options(file: ClusterFile) -> list[tuple[KeyPath, str]]:
    options = [
        each
        for key in ("run_options", "head_run_options", "worker_run_options")
        for each in file.texts("docker", key)
    ]
    for name in file.machines:
        options += file.texts("available_node_types", name, "docker", "worker_run_options")
    return options


_LOOSENED = (
    (
        re.compile(r"\bRAY_AUTH_MODE=(?!['\"]?token\b)|unset\s.*\bRAY_AUTH_MODE\b", re.IGNORECASE),
        "this turns token authentication off",
        "RAY_AUTH_MODE=token",
        "set it so, or delete it",
    ),
    (
        re.compile(r"\bRAY_USAGE_STATS_ENABLED=(?!['\"]?0\b)"),
        "this turns Ray's usage statistics on",
        "RAY_USAGE_STATS_ENABLED=0",
        "set it so",
    ),
    (
        re.compile(r"\bRAY_AUTH_TOKEN=['\"]?[^\s'\"$;&|]"),
        "the token itself stands in the file",
        "a token file, mounted by file_mounts",
        "make a new token with `ray get-auth-token --generate`, and mount ~/.ray/auth_token",
    ),
)


def _variable_problems(file: ClusterFile) -> Iterator[Problem]:
    for path, text in [*all_commands(file), *_docker_options(file)]:
        for pattern, problem, expected, do in _LOOSENED:
            if found := pattern.search(text):
                yield file.problem(path, problem, expected, do, word=found[0].split()[0])


_CHMOD = re.compile(r"chmod\s+(?:-\S+\s+)*(?P<mode>\S+)\s+\S*auth_token")
_OWNER_ALONE = re.compile(r"0?[46]00|u=rw?,go=|go-rwx|og-rwx|go=|og=")


def _token_problems(file: ClusterFile) -> Iterator[Problem]:
    """The token must be on each machine, and there for its owner alone."""
    commands = [text for _, text in all_commands(file)]
    copied = [*keys(file.settings.get("file_mounts")), *items(file.settings.get("cluster_synced_files"))]
    mounted = [remote for remote in copied if str(remote).endswith("auth_token")]
    made = any("auth_token" in _CHMOD.sub("", text) or "RAY_AUTH_TOKEN_PATH" in text for text in commands)
    if not mounted and not made:
        yield Problem(
            file.marked.line(("file_mounts",)),
            "no token reaches the machines, so Ray would not start on them",
            "`~/.ray/auth_token: ~/.ray/auth_token` among file_mounts",
            "add it, after `ray get-auth-token --generate` and `chmod 600 ~/.ray/auth_token` here",
        )
    modes = [found["mode"] for text in commands for found in _CHMOD.finditer(text)]
    if mounted and not any(map(_OWNER_ALONE.fullmatch, modes)):
        yield Problem(
            file.marked.line(("file_mounts", mounted[0])),
            "nothing closes the token to other users of the machines",
            "mode 600",
            "add `chmod 600 ~/.ray/auth_token` to setup_commands",
        )


# Versions


def _pin_problems(file: ClusterFile) -> Iterator[Problem]:
    for path, text in all_commands(file):
        try:
            loose = unpinned(text)
        except ValueError:
            loose = []  # told where it matters: a start command
        if loose:
            yield file.problem(
                path,
                f"this installs {', '.join(loose)} without a fixed version",
                "`==` and a version, or --constraint constraints.txt",
                "fix the version: each machine that starts later gets what is newest then",
                word=loose[0],
            )
    for path, image in _images(file):
        tag = PurePosixPath(image).name.partition(":")[2]
        if "@sha256:" not in image and (not tag or re.match(r"latest|nightly|master", tag)):
            yield file.problem(
                path,
                "this image has no fixed version",
                f"a tag such as {image.partition(':')[0]}:2.60.0-py311, or a digest",
                "name one",
            )


def _images(file: ClusterFile) -> Iterator[tuple[KeyPath, str]]:
    places: list[KeyPath] = [("docker",)]
    places += [("available_node_types", name, "docker") for name in file.machines]
    for place in places:
        value: Any = file.settings
        for key in place:
            value = keys(value).get(key)
        for key in ("image", "head_image", "worker_image"):
            if isinstance(keys(value).get(key), str):
                yield (*place, key), keys(value)[key]


# What is copied to the machines


def _mount_problems(file: ClusterFile) -> Iterator[Problem]:
    mounts = keys(file.settings.get("file_mounts"))
    for remote, local in mounts.items():
        if isinstance(local, str) and (why := _carries(local, look=True)):
            yield file.problem(("file_mounts", remote), f"this mount {why}", _CODE, _MOVE)
    for path, on_head in file.texts("cluster_synced_files"):
        if why := _carries(on_head, look=False):
            yield file.problem(path, f"this synced file {why}", _CODE, _MOVE)


def _carries(place: str, *, look: bool) -> str | None:
    """Why copying a file or folder could copy patient files; `look`: it lies here, so look inside.

    Like Ray, relative to the folder that one stands in. Never names what it found.
    """
    here = Path.cwd()
    path = Path(os.path.normpath(here / Path(place).expanduser()))
    if here.is_relative_to(path) or Path.home().is_relative_to(path):
        return "takes a whole working or home folder along"
    own = path.relative_to(here) if path.is_relative_to(here) else path
    if {"data", "runs"} & {part.lower() for part in own.parts}:
        return "is a folder of data or runs"
    if kind_by_name(path.name) or path.suffix.lower() in (".zarr", ".npz", ".csv", ".parquet"):
        return "is an imaging file, a store or a table of patients"
    if look and path.is_dir() and (found := patient_files(path)):
        return f"holds {in_words(found)}"
    if look and path.is_file() and (kind := kind_of(path)):
        return f"is of the kind: {kind}"
    return None
