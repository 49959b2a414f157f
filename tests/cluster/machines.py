"""A Ray cluster of several machines on this one: each a `ray start` with processes, ports and files of its own.

The head has no CPUs, each worker has one. A lost machine refuses Ray's question at once and counts as lost after one
to three seconds; one that is only slow has 15 seconds to answer.
"""

import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RAY = Path(sys.executable).with_name("ray")
OBJECT_STORE_BYTES = 80_000_000
# How Ray names the processes of Tune's trials, at rest and at work.
TRIAL_WORKERS = ("ray::TrialWorker", "ray::ResourceTrainable")
# A head whose raylet is taken for lost ends with the whole cluster: a busy machine may stall it for seconds.
HEALTH = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 5000,
    "health_check_failure_threshold": 3,
}
# Every start is a few seconds' work of a processor that others may use as well.
START_SECONDS = 120
# Ray chooses free ports and binds them later: another process may be faster, and then `ray start` ends.
STARTS = 3


@dataclass
class Machine:
    """started: its `ray start`, whose children are the machine's other processes. begin: starts it anew."""

    begin: Callable[[], subprocess.Popen[bytes]]
    started: subprocess.Popen[bytes]
    files: Path
    starts: int = 1

    @property
    def log(self) -> Path:
        return self.files / "start.log"

    def has_started(self) -> bool:
        """One that ended by itself before it had started is begun anew, and its log is printed.

        AssertionError, with that log, where this happened so often that it is no chance.
        """
        if "Ray runtime started" in self.log.read_text():
            return True
        if (code := self.started.poll()) is not None:
            told = f"ray start ended with exit code {code}, start {self.starts} of {STARTS}: {self.log.read_text()}"
            assert self.starts < STARTS, told
            print(told, file=sys.stderr)
            self.starts += 1
            self.started = self.begin()
        return False

    def told(self) -> str:
        return f"start of a machine: {self.log.read_text()}"

    def processes(self) -> dict[int, str]:
        """The command line of each process of this machine, by its pid; the ended ones are left out."""
        return _below(self.started.pid)

    def kill(self) -> None:
        """kill -9 of every process, by its pid."""
        while pids := list(self.processes()):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.started.poll()
        self.started.wait()


class Cluster:
    """Machines that can be lost and replaced. environment: what a driver of the cluster needs besides its own."""

    def __init__(self, workers: int, gpus: float, environment: Mapping[str, str], files: Path) -> None:
        """gpus: declared by each worker, whether or not there are any."""
        self.workers, self.gpus, self.files = workers, gpus, files
        self.port, self.client_port = _free_ports(2)
        self.machines: list[Machine] = []
        self.names = 0
        (files / "home").mkdir()
        self.environment = {
            "HOME": str(files / "home"),
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            **environment,
        }

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """The head, then its workers, all at the address that the cluster had before."""
        head = ["--head", f"--port={self.port}", f"--ray-client-server-port={self.client_port}"]
        head += ["--num-cpus=0", "--include-dashboard=false", f"--system-config={json.dumps(HEALTH)}"]
        await_started([self._start(head)])
        await_started([self.add() for _ in range(self.workers)])

    def add(self, inside: Sequence[str] = ()) -> Machine:
        """Begin to start one more worker. inside: command line that it runs under, as `unshare`."""
        return self._start(
            [f"--address={self.address}", "--num-cpus=1", f"--num-gpus={self.gpus:g}"], inside=inside
        )

    def _start(self, arguments: list[str], inside: Sequence[str] = ()) -> Machine:
        self.names += 1
        files = self.files / str(self.names)
        files.mkdir()
        common = [f"--temp-dir={files}", f"--object-store-memory={OBJECT_STORE_BYTES}"]
        common += ["--include-log-monitor=false", "--min-worker-port=0", "--max-worker-port=0"]

        def begin() -> subprocess.Popen[bytes]:
            with (files / "start.log").open("ab") as log:
                return subprocess.Popen(
                    # A test that is killed takes its machines with it.
                    ["setpriv", "--pdeathsig=KILL", *inside, RAY, "start", "--block", *arguments, *common],
                    env=without_ray(os.environ) | self.environment | {"PYTHONUNBUFFERED": "1"},
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

        self.machines.append(Machine(begin, begin(), files))
        return self.machines[-1]

    def lose(self, rng: random.Random) -> bool:
        """Kill the raylet of a worker chosen at random; without it Ray ends whatever else runs there. False where none
        of them has started one yet."""
        raylets = [
            (machine, pid)
            for machine in self.machines[1:]
            if "Ray runtime started" in machine.log.read_text()
            for pid, command in machine.processes().items()
            if command.split(" ", 1)[0].endswith("/raylet")
        ]
        if not raylets:
            return False
        machine, pid = rng.choice(raylets)
        os.kill(pid, signal.SIGKILL)
        machine.started.wait(timeout=60)
        self.remove(machine)
        return True

    def remove(self, machine: Machine) -> None:
        machine.kill()
        self.machines.remove(machine)
        shutil.rmtree(machine.files, ignore_errors=True)

    def kill(self) -> None:
        """kill -9 of every process of every machine."""
        for machine in reversed(self.machines):
            self.remove(machine)

    def trial_workers(self) -> list[int]:
        """The pids of the processes that train, or make ready for it, in ascending order."""
        return sorted(
            pid
            for machine in self.machines
            for pid, command in machine.processes().items()
            if command.startswith(TRIAL_WORKERS)
        )


@contextlib.contextmanager
def cluster(
    workers: int = 2, gpus: float = 0, environment: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """A started cluster; ended, with all of its files, when the context ends."""
    # Sockets lie in there, and their paths may not be longer than about 100 characters.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as files:
        made = Cluster(workers, gpus, environment or {}, Path(files))
        try:
            made.start()
            yield made
        finally:
            made.kill()


def without_ray(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("RAY_")}


def wait_until(true: Callable[[], object], seconds: float, what: str | Callable[[], str]) -> None:
    """AssertionError with what was waited for, asked when the time is over where it is a function."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.2)


def is_stopped(pid: int) -> bool:
    """By a signal. FileNotFoundError where the process is gone."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def await_started(machines: list[Machine]) -> None:
    for machine in machines:
        wait_until(machine.has_started, START_SECONDS, machine.told)


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _below(pid: int) -> dict[int, str]:
    """A process and its descendants: their command lines by pid, without those that have ended."""
    children: dict[int, list[int]] = {}
    alive = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            children.setdefault(int(parent), []).append(int(folder.name))
            if state not in "ZX":
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                alive[int(folder.name)] = command.decode(errors="replace").strip()
    found, more = {}, [pid]
    while more:
        each = more.pop()
        more += children.get(each, [])
        if each in alive:
            found[each] = alive[each]
    return found
