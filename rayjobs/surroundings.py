"""What Ray needs of its surroundings: a short path for its sockets, and a cluster that answers at its address."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hnscc.base.environment import check_shared_memory
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of

# A socket's path may have 107 bytes on Linux, of which Ray puts so many below the folder that it is given.
SOCKET_BYTES, BELOW_BYTES = 107, 68
LEAST_FREE = 2**24  # bytes: for its logs
# Within these a cluster must answer: first its port, then Ray behind it.
PORT_SECONDS, RAY_SECONDS = 5, 20
# What the process that asks runs; it stays out of the working folder (-P), which may hold a ray.py.
ASK = ("-P", "-c", "from ray.scripts.scripts import main; main()", "health-check", "--address")


@contextlib.contextmanager
def folder_for_ray() -> Iterator[str | None]:
    """Yield a short folder for the sockets of a Ray that we start, deleted afterwards; None where Ray's own choice
    will do.

    Ray takes RAY_TMPDIR, TMPDIR or /tmp. InputError where neither that nor /tmp can be used, and where Ray's processes
    have no memory to share.
    """
    check_shared_memory()
    name = next((each for each in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(each)), "/tmp")
    chosen = os.environ.get(name, name)
    if (fault := _fault_of(chosen)) is None:
        yield None
        return
    own = _own_folder({name: fault})
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _fault_of(folder: str) -> str | None:
    """Return why Ray cannot have its sockets and logs in a folder; None where it can. The path must be absolute, since
    Ray's processes have other working directories, and in ASCII, in which Ray writes it. A folder `ray` in it may be
    another user's."""
    if not Path(folder).is_absolute():
        return "a relative path"
    if not folder.isascii():
        return "a path with letters that ASCII lacks"
    length = len(os.fsencode(folder))
    if length + BELOW_BYTES > SOCKET_BYTES:
        return f"a path of {count_of(length, 'character')}"
    below = Path(folder, "ray")
    try:
        with tempfile.TemporaryDirectory(dir=below if below.exists() else folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return os.strerror(error.errno or 0)
    return None if free >= LEAST_FREE else f"{free >> 20} MiB free"


def _own_folder(faults: dict[str, str]) -> str:
    """Make a folder below /tmp. faults: why each place that was tried before cannot be used, by its name."""
    if fault := _fault_of("/tmp"):
        raise InputError(
            "Ray finds no folder for its sockets and logs.",
            where="TMPDIR (or RAY_TMPDIR), and /tmp",
            expected=f"a folder that can be written to, with {LEAST_FREE >> 20} MiB free, whose path is absolute, in "
            f"ASCII, and has at most {SOCKET_BYTES - BELOW_BYTES} characters",
            found="; ".join(f"{name}: {each}" for name, each in (faults | {"/tmp": fault}).items()),
            do="set TMPDIR to the short path of such a folder",
        )
    return tempfile.mkdtemp(prefix="hnscc-", dir="/tmp")


def given_or_set(address: str | None) -> str | None:
    """Return the given address, else that of RAY_ADDRESS, without blanks around it; None where there is neither, so
    that Ray is started here."""
    return (address or "").strip() or os.environ.get("RAY_ADDRESS", "").strip() or None


def refuse_silent(address: str) -> None:
    """Raise InputError where no Ray answers at this address, or none runs on this machine, so that it is not one of the
    cluster's. Ray itself would try to join it for minutes without a word."""
    if address.startswith("ray://"):
        _call(address, address.removeprefix("ray://"))
    elif address != "local" and "://" not in address:
        _call(address, address)
        _ask_ray(address)
        from rayjobs.inside_ray import ray_is_here  # here, for commands that need no Ray ask this module too

        if not ray_is_here():
            raise _outside(address)


def _host_and_port(address: str) -> tuple[str, int] | None:
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() and "/" not in host else None


def _call(address: str, where: str) -> None:
    if (called := _host_and_port(where)) is None:
        return
    try:
        socket.create_connection(called, timeout=PORT_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise no_cluster(f"nothing listens at {address} ({' '.join(str(error).split())})") from None


def _ask_ray(address: str) -> None:
    try:
        done = subprocess.run(
            [sys.executable, *ASK, address], capture_output=True, text=True, timeout=RAY_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise no_cluster(f"no answer from a Ray at {address} within {RAY_SECONDS} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise no_cluster(said[-1])


def _outside(address: str) -> InputError:
    return InputError(
        "This machine is not one of the cluster's.",
        where="--address or RAY_ADDRESS",
        expected=f"the command to run on a machine of the cluster at {address}",
        found="a machine on which no Ray runs",
        do="submit the study as a job (docs/how-to/cluster.md), run the command on the cluster's head, or leave the "
        "address out for a local run",
    )


def no_cluster(found: str) -> InputError:
    """Return the error of an address that no cluster can be joined at."""
    return InputError(
        "No Ray cluster can be joined at this address.",
        where="--address or RAY_ADDRESS",
        expected="the address of a running cluster that this machine belongs to, such as auto or 10.0.0.5:6379 (not "
        "the dashboard's, which `ray job submit` takes), and its token in RAY_AUTH_TOKEN or ~/.ray/auth_token",
        found=" ".join(found.split())[:300],
        do="start the cluster, correct the address, or leave it out for a local run",
    )
