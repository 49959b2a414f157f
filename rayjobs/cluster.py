"""The cluster that a study runs on: how it is joined, what its machines have, and how they are asked.

While a question or a trial waits for a free machine, the user is told so.
"""

import contextlib
import logging
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import ray
import yaml

from hnscc.base.cores import cores
from hnscc.base.environment import in_environment
from hnscc.base.errors import InputError, WorkerError
from hnscc.study.schema import Study
from hnscc.study.variant_schema import Training
from hnscc.training.hardware import may_have_gpu, tell_once
from hnscc.training.ready import resolve_in_process
from rayjobs.inside_ray import without_onlookers
from rayjobs.requests import (
    ANY_GPU,
    Amounts,
    amounts_in_words,
    check_study_requests,
    with_share,
)
from rayjobs.surroundings import folder_for_ray, no_cluster, refuse_silent

# After so many seconds without an answer the user is told; then after twice as many, up to the longest.
TOLD_AFTER, LONGEST = 10.0, 600.0
# How Python begins to say that a module, or a function or class in it, is not there.
_NOT_LOADED = re.compile(r"(ModuleNotFound|Import)Error: |AttributeError: Can't get attribute ")
# The machine, as Ray's errors name it.
_MACHINE = re.compile(r"\bip=([^,)\s]+)")
# Read by glibc when a process starts: with its caches of small pieces off, they join their free neighbours at once
# (`_keep_freed_memory` of hnscc/training/process.py says why). A tenth of a trial's memory on a processor.
GLIBC = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


def answer_to(question: ray.ObjectRef[Any], what: str) -> Any:
    """Return the answer of a task on the cluster. While it waits, say for how long and for what."""
    wait = Wait(lambda line: print(line, flush=True))
    while not ray.wait([question], timeout=wait.left())[0]:
        wait.tell(what)
    return answer_of(question)


def answer_of(question: ray.ObjectRef[Any]) -> Any:
    """Return the answer of a task, waiting for it. InputError where its machine has no hnscc that could answer."""
    try:
        return ray.get(question)
    except ray.exceptions.RayTaskError as error:
        if refusal := cannot_load(str(error)):
            raise refusal from None
        raise


def last_line_of(error: str) -> str:
    """Return the last line of what Ray says of a task or a process: a traceback ends with its cause, and so do Ray's
    words on a death."""
    return error.rstrip().rpartition("\n")[2].strip()


def cannot_load(error: str) -> InputError | None:
    """Return the refusal of a machine where hnscc, or a library that it needs, is missing or another one. error: what
    Ray says of the task or process that could not begin there; None where it says something else."""
    cause = last_line_of(error)
    if not _NOT_LOADED.match(cause):
        return None
    machine = _MACHINE.search(error)
    return InputError(
        "A machine cannot load hnscc, or a library that it needs.",
        where=f"machine {machine[1]}" if machine else "a machine of the cluster",
        expected="hnscc and its libraries, in the environment that Ray's processes run in there",
        found=cause,
        do="install the same versions on every machine, then give the same command again",
    )


class Wait:
    """Tells the user how long something has lasted: after ten seconds, and again each time that has doubled."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.began, self.told = say, time.monotonic(), TOLD_AFTER

    def left(self) -> float:
        """Return the seconds until there is something to tell."""
        return max(0.0, self.told - (time.monotonic() - self.began))

    def tell(self, what: str) -> None:
        """Tell it if it is time."""
        if not self.left():
            waited = time.monotonic() - self.began
            self.say(f"waiting for {what}, for {waited:.0f} s so far")
            self.told = waited + min(waited, LONGEST)


def refuse_other_ray() -> None:
    """InputError where this process has begun with a Ray of its caller's: there can be one alone in a process, and a
    study's is ended with it."""
    if ray.is_initialized():
        raise InputError(
            "This process uses Ray already.",
            where="the script or notebook that calls this",
            expected="no Ray in this process: the study starts one, or joins the cluster at `address`, and leaves it",
            found="one that `ray.init()`, or a call of Ray's, began",
            do="call `ray.shutdown()` first; to train on that cluster, give its `address`",
        )


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to the Ray at an address, or start one on this machine with the cores that this process may use; shut it
    down at the end of the `with` block.

    InputError where no cluster answers, or where Ray lacks something that it needs here; WorkerError where it does
    not start.
    """
    ended_by = signal.getsignal(signal.SIGTERM)
    with contextlib.ExitStack() as during:
        if address:
            _join(address)
        else:
            temporary = during.enter_context(folder_for_ray())
            # Even a local Ray listens on the machine's network: a token of this run's own keeps others out.
            during.enter_context(in_environment({"RAY_AUTH_TOKEN": _own_token(), **GLIBC}))
            _start(temporary)
        # Ray has set one of its own, which prints what it finds on the stack; in other threads it sets none.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ended_by)
        try:
            yield
        finally:
            ray.shutdown()


def _start(temporary: str | None) -> None:
    """Start Ray on this machine. temporary: the folder for its sockets; Ray chooses it if None. WorkerError where Ray
    does not start: that has many reasons, for which Ray raises plain exceptions."""
    try:
        with without_onlookers():
            ray.init(
                address="local",
                num_cpus=cores(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=temporary,
                _system_config={"preload_python_modules": ["rayjobs.standby_here"]},
            )
    # Ray says by a plain Exception, which no narrower clause catches, that a process of its own did not come up. Every
    # kind but these is raised again.
    except Exception as error:
        if type(error) not in (Exception, RuntimeError) and not isinstance(error, OSError):
            raise
        raise WorkerError(
            "Ray did not start on this machine.",
            where="the processes of this command",
            expected="its processes, within half a minute",
            found=" ".join(str(error).split())[:300],
            do="raise what limits processes here (`ulimit -a`: open files, memory, size of files), then give the same "
            "command again; Ray's own words stand in /tmp/ray/session_latest/logs",
        ) from None


@cache
def _own_token() -> str:
    """Return the token for every Ray that this process starts: the same one, since Ray reads it once."""
    return secrets.token_hex(32)


def _join(address: str) -> None:
    refuse_silent(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, ray.exceptions.RayError) as error:
        raise no_cluster(str(error)) from None
    except RuntimeError as error:
        if not str(error).startswith("Version mismatch: "):
            raise
        raise InputError(
            "The cluster runs another version of Ray or of Python than this command.",
            where="the cluster at --address or RAY_ADDRESS, and the environment of this command",
            expected="the same versions of both",
            found=" ".join(str(error).removeprefix("Version mismatch: ").split()),
            do="run the command in the environment that the cluster was started from, or the reverse",
        ) from None


def machines_that_train() -> list[dict[str, Any]]:
    """Return the cluster's nodes that are up and have processors for trials, as Ray describes them."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"] and node["Resources"].get("CPU")]


def machines_of_cluster() -> list[Amounts]:
    """Return what each machine that trains has, and what each kind of machine that the cluster may start would have.

    The list is empty while nobody knows: no machine that trains is up, and the configuration does not say what later
    ones will have.
    """
    return [*(node["Resources"] for node in machines_that_train()), *_startable()]


def _startable() -> list[Amounts]:
    """Return what each kind of machine has that the autoscaler may start. `ray up` leaves its file on the head; for
    machines that are reached by SSH, the file does not say what they have."""
    try:
        config = yaml.safe_load(Path("~/ray_bootstrap_config.yaml").expanduser().read_text())
    except FileNotFoundError:
        return []
    kinds = (config or {}).get("available_node_types") or {}
    return [
        kind["resources"] for kind in kinds.values() if kind.get("max_workers", 1) and kind.get("resources")
    ]


def await_machines(study: Study) -> None:
    """Wait until a machine that trains is up. The request for one makes an autoscaler start it."""
    if machines_that_train():
        return
    print("no machine that trains is up yet: waiting for the first, which takes minutes", flush=True)
    gpus = 0 if study.resources.gpus == "auto" else study.resources.gpus
    first = remote_task(_is_up, study.resources.cpus, gpus)
    answer_to(first.remote(), "the first machine that trains")


def remote_task(function: Callable[..., Any], cpus: float, gpus: float) -> Any:
    """Return a Ray task whose process ends with it (max_calls). If the process stayed, the GPU memory that it holds
    would belong to no trial's share."""
    return ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1)(function)


def _is_up() -> bool:
    return True


def resolve_on_cluster(study: Study) -> Callable[[Training], tuple[str, str]]:
    """Return a function that lets a machine that trains answer `resolve_in_process`, since the machine of the driving
    process often has no GPU of its own."""
    with_gpu = any(each.get("GPU") for each in machines_of_cluster())

    def _resolve(training: Training) -> tuple[str, str]:
        training = with_share(study, training)
        gpus = ANY_GPU if with_gpu and training.device != "cpu" else 0.0
        cpus = study.resources.cpus
        question = remote_task(_resolved_there, cpus, gpus).remote(training, bool(gpus))
        wanted = f"a machine with {amounts_in_words({'CPU': cpus, 'GPU': gpus})} free, to ask what it has"
        answer: tuple[str, str]
        answer, told = answer_to(question, wanted)
        if told:
            tell_once(told)
        return answer

    return _resolve


@contextlib.contextmanager
def asked_first(study: Study, address: str) -> Iterator[Callable[[Training], tuple[str, str]]]:
    """For commands that train nothing: yield a function that asks the cluster that would train the trials what
    `auto` means.

    This starts no machine: where none is up, the settings alone decide. InputError where a trial asks for more than any
    machine there has.
    """
    refuse_other_ray()
    with connected(address):
        check_study_requests(study, machines_of_cluster())
        yield resolve_on_cluster(study) if machines_that_train() else _resolve_unasked


def _resolved_there(training: Training, counted: bool) -> tuple[tuple[str, str], str | None]:
    """Return what `resolve_in_process` says, and the line to be told where `auto` is the processor of a machine that
    seems to have a GPU. counted: whether Ray counts a GPU there; with a broken driver it may count none."""
    from hnscc.training.devices import auto_is_cpu

    answer = resolve_in_process(training)
    on_cpu = (training.device, answer[0]) == ("auto", "cpu")
    return answer, auto_is_cpu() if on_cpu and (counted or may_have_gpu()) else None


def _resolve_unasked(training: Training) -> tuple[str, str]:
    from hnscc.training.devices import resolve_unasked

    return resolve_unasked(training)


def address_here() -> str:
    """Return the address by which Ray knows this machine."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
