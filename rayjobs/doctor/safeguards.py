"""What a `ray up` file must say so that a cluster is closed to others, reproducible, and free of patient files.

Each check yields a Problem for each safeguard that is missing.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from rayjobs.doctor.cluster_file import START_KEYS, ClusterFile, at, items, keys
from rayjobs.doctor.marked_yaml import FieldPath, Problem
from rayjobs.doctor.shell_commands import Command, ray_starts, unpinned
from rayjobs.doctor.uploads import mount_problems


def missing_safeguards(file: ClusterFile) -> Iterator[Problem]:
    """Every safeguard that the file lacks, whatever its provider."""
    alone = file.provider == "local" and not items(at(file.settings, "provider", "worker_ips"))
    for role in ("head",) if alone else ("head", "worker"):
        yield from _start_problems(file, role)
    yield from _variable_problems(file)
    yield from _token_problems(file)
    yield from _pin_problems(file)
    yield from _container_problems(file)
    yield from mount_problems(file)


# Starting Ray


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _listens_beyond(start: Command) -> bool:
    host = start.option("--dashboard-host")
    return bool(host) and not _is_loopback(str(host))


def _sends_statistics(start: Command) -> bool:
    return "RAY_USAGE_STATS_ENABLED" not in start.variables and "--disable-usage-stats" not in start.words


# (whether a `ray start` lacks it, a word on the line to be named, what is wrong, what is expected, what to do)
_Check = tuple[Callable[[Command], bool], str, str, str, str]
# fmt: off
_EVERY_START: tuple[_Check, ...] = (
    (lambda start: "RAY_AUTH_MODE" not in start.variables, "ray start",
     "this `ray start` does not ask for a token: anyone who reaches its ports runs code here",
     "RAY_AUTH_MODE=token in this command", "write `RAY_AUTH_MODE=token` in front of `ray start`"),
    (_sends_statistics, "ray start", "this `ray start` leaves Ray's usage statistics on",
     "--disable-usage-stats, or RAY_USAGE_STATS_ENABLED=0 in front of it", "add one of the two"),
    (_listens_beyond, "--dashboard-host", "the dashboard listens beyond this machine",
     "--dashboard-host=127.0.0.1", "set it so; `ray dashboard` brings the dashboard to your machine"),
    (lambda start: "--ray-debugger-external" in start.words, "--ray-debugger-external",
     "the debugger listens beyond this machine", "no --ray-debugger-external", "delete this option"),
)
_STARTS: dict[str, tuple[_Check, ...]] = {
    "head": (
        *_EVERY_START,
        (lambda start: not start.option("--dashboard-host"), "ray start",
         "nothing keeps the dashboard on this machine", "--dashboard-host=127.0.0.1",
         "set it so; `ray dashboard` brings the dashboard to your machine"),
        (lambda start: start.option("--head") is None, "ray start",
         "this `ray start` makes no head", "--head", "add --head to it"),
        (lambda start: not start.option("--autoscaling-config"), "ray start", "the head would start no workers",
         "--autoscaling-config=~/ray_bootstrap_config.yaml", "add it to this `ray start`"),
    ),
    "worker": (
        *_EVERY_START,
        (lambda start: start.option("--address") is None or start.option("--head") is not None, "ray start",
         "this `ray start` does not join the head", "--address=$RAY_HEAD_IP:6379",
         "name the head's address, and no --head"),
    ),
}
# fmt: on


def _start_problems(file: ClusterFile, role: str) -> Iterator[Problem]:
    """Token, usage statistics, dashboard and debugger of each `ray start`, and whether head and workers meet."""
    key, found = START_KEYS[role], False
    for path, text in file.texts(key):
        try:
            starts = ray_starts(text)
        except ValueError:
            do = "mend the quotes of this command"
            yield file.problem(path, "this command cannot be read as shell", "closed quotes", do)
            return
        found |= bool(starts)
        for start in starts:
            for lacks, word, problem, expected, do in _STARTS[role]:
                if lacks(start):
                    yield file.problem(path, problem, expected, do, word)
    if not found:
        problem = f"no command starts Ray on the {role}"
        yield file.problem((key,), problem, f"`ray start` among {key}", f"add a `ray start` to {key}")


# Variables and the token

# fmt: off
_LOOSENED = (
    (re.compile(r"\bRAY_AUTH_MODE=(?!['\"]?token\b)|unset\s.*\bRAY_AUTH_MODE\b", re.IGNORECASE),
     "this turns token authentication off", "RAY_AUTH_MODE=token", "set it so, or delete it"),
    (re.compile(r"\bRAY_USAGE_STATS_ENABLED=(?!['\"]?0\b)"),
     "this turns Ray's usage statistics on", "RAY_USAGE_STATS_ENABLED=0", "set it so"),
    (re.compile(r"\bRAY_AUTH_TOKEN=['\"]?[^\s'\"$;&|]"),
     "the token itself stands in the file", "a token file, mounted by file_mounts",
     "make a new token with `ray get-auth-token --generate`, and mount ~/.ray/auth_token"),
)
# fmt: on


def _variable_problems(file: ClusterFile) -> Iterator[Problem]:
    options = [
        each
        for key_path in file.docker_places()
        for key in ("run_options", "head_run_options", "worker_run_options")
        for each in file.texts(*key_path, key)
    ]
    for path, text in [*file.commands(), *options]:
        for pattern, problem, expected, do in _LOOSENED:
            if found := pattern.search(text):
                yield file.problem(path, problem, expected, do, word=found[0].split()[0])


_CHMOD = re.compile(r"chmod\s+(?:-\S+\s+)*(?P<mode>\S+)\s+\S*auth_token")
_OWNER_ALONE = re.compile(r"0?[46]00|u=rw?,go=|go-rwx|og-rwx|go=|og=")


def _token_problems(file: ClusterFile) -> Iterator[Problem]:
    """The token must be on each machine, and there for its owner alone."""
    commands = [text for _, text in file.commands()]
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
    for path, text in file.commands():
        try:
            loose = unpinned(text)
        except ValueError:
            continue  # told where it matters: a start command
        if loose:
            yield file.problem(
                path,
                f"this installs {', '.join(loose)} without a fixed version",
                "`==` and a version, or --constraint constraints.txt",
                "fix the version: each machine that starts later gets what is newest then",
                word=loose[0],
            )


def _container_problems(file: ClusterFile) -> Iterator[Problem]:
    images: list[FieldPath] = [
        (*key_path, key)
        for key_path in file.docker_places()
        for key in ("image", "head_image", "worker_image")
    ]
    for path in images:
        image = at(file.settings, *path)
        tag = PurePosixPath(str(image)).name.partition(":")[2]
        if isinstance(image, str) and "@sha256:" not in image and (not tag or _MOVING.match(tag)):
            expected = f"a tag such as {image.partition(':')[0]}:2.60.0-py311, or a digest"
            yield file.problem(path, "this container image has no fixed version", expected, "name one")


_MOVING = re.compile(r"latest|nightly|master")
