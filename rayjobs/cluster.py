"""The cluster that a study runs on: connecting, what its machines have, and that all see the run folder."""

import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
import yaml
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hnscc.base.cores import cores
from hnscc.base.errors import InputError, StorageError
from hnscc.base.files import write_text
from hnscc.study.plan import Trial
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study, Training
from hnscc.training.ready import ReadyRun, resolve_in_process
from rayjobs.patient_files import in_job
from rayjobs.requests import (
    ANY_GPU,
    Resources,
    check_study_requests,
    resources_in_words,
    trials_per_gpu,
    with_share,
)
from rayjobs.surroundings import folder_for_ray, no_cluster, refuse_silent
from rayjobs.waiting import answer_to

# How long a machine may take to answer that it sees the run folder.
ANSWER_SECONDS = 120
# What is left free of a GPU's memory, and added to each trial's measured peak: allocators fragment.
GPU_SPARE, PEAK_MARGIN = 0.05, 1.1


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Ray at an address, or one of this run's own on this machine, with the cores that this process may use.

    InputError where no cluster answers, or what Ray needs here is not there.
    """
    with contextlib.ExitStack() as during:
        if address:
            _join(address)
        else:
            temporary = during.enter_context(folder_for_ray())
            # Even a local Ray listens on the machine's network: a token of this run's own keeps others out.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            ray.init(
                address="local",
                num_cpus=cores(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=temporary,
                _system_config={"preload_python_modules": ["rayjobs.standby_here"]},
            )
        try:
            yield
        finally:
            ray.shutdown()


def _join(address: str) -> None:
    refuse_silent(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, ray.exceptions.RayError) as error:
        raise no_cluster(str(error)) from None


def machines_that_train() -> list[dict[str, Any]]:
    """The cluster's nodes that are up and have processors for trials, as Ray describes them."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"] and node["Resources"].get("CPU")]


def machines_of_cluster() -> list[Resources]:
    """What each machine that trains has, and each kind of machine that the cluster may start would have.

    Empty while nobody knows: no machine that trains is up, and those to come do not say what they have.
    """
    return [*(node["Resources"] for node in machines_that_train()), *_startable()]


def _startable() -> list[Resources]:
    """What each kind of machine has that the autoscaler may start: `ray up` leaves its file on the head. Machines by
    SSH are listed there without what they have."""
    try:
        config = yaml.safe_load(Path("~/ray_bootstrap_config.yaml").expanduser().read_text())
    except FileNotFoundError:
        return []
    kinds = (config or {}).get("available_node_types") or {}
    return [
        kind["resources"] for kind in kinds.values() if kind.get("max_workers", 1) and kind.get("resources")
    ]


def await_machines(study: Study) -> None:
    """Wait until a machine that trains is up. Asking for one is what makes an autoscaler start it."""
    if machines_that_train():
        return
    print("no machine that trains is up yet: waiting for the first, which takes minutes", flush=True)
    gpus = 0 if study.resources.gpus == "auto" else study.resources.gpus
    first = _remote(_is_up, study.resources.cpus, gpus)
    answer_to(first.remote(), "the first machine that trains")


def _remote(function: Callable[..., Any], cpus: float, gpus: float) -> Any:
    """A task of Ray's whose process ends with it (max_calls): what it keeps of a GPU's memory is in nobody's share."""
    return ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1)(function)


def _is_up() -> bool:
    return True


def resolve_on_cluster(study: Study) -> Callable[[Training], tuple[str, str]]:
    """`resolve_in_process` as answered by a machine that trains: the one that drives often has no GPU of its own."""
    with_gpu = any(each.get("GPU") for each in machines_of_cluster())

    def _resolve(training: Training) -> tuple[str, str]:
        training = with_share(study, training)
        gpus = ANY_GPU if with_gpu and training.device != "cpu" else 0.0
        cpus = study.resources.cpus
        question = _remote(resolve_in_process, cpus, gpus).remote(training)
        wanted = f"a machine with {resources_in_words({'CPU': cpus, 'GPU': gpus})} free, to ask what it has"
        answer: tuple[str, str] = answer_to(question, wanted)
        return answer

    return _resolve


@contextlib.contextmanager
def asked_first(study: Study, address: str) -> Iterator[Callable[[Training], tuple[str, str]]]:
    """For what trains nothing: the cluster that the trials would be trained on, asked how they would resolve `auto`.

    No machine is started: where none is up, the settings alone tell. InputError where a trial asks for more than any
    machine there has.
    """
    with connected(address):
        check_study_requests(study, machines_of_cluster())
        yield resolve_on_cluster(study) if machines_that_train() else _resolve_unasked


def _resolve_unasked(training: Training) -> tuple[str, str]:
    from hnscc.training.model import resolve_unasked

    return resolve_unasked(training)


def _measure_gpu(*what: Any, **how: Any) -> tuple[int, int]:
    from hnscc.training.measure import measure_gpu

    return measure_gpu(*what, **how)


@contextlib.contextmanager
def prove_shared(folder: RunFolder) -> Iterator[str]:
    """Have every machine that may train read what this one writes to the run folder, and answer there.

    Yields the token by which machines that join later prove it too. InputError names the one that does not.
    """
    if isinstance(folder.root, Path) and in_job(folder.root):
        raise InputError(
            "The run folder would be lost: it lies in this job's copy of the working directory.",
            where="--out",
            expected="a folder on storage that all machines share, by its absolute path, or s3://bucket/prefix",
            found="a path relative to the working directory",
            do="give --out, for example --out /shared/runs/NAME",
        )
    token = secrets.token_hex(16)
    write_text(folder.proof(token), token)
    machines = {node["NodeID"]: node["NodeManagerAddress"] for node in machines_that_train()}
    try:
        asked = {_ask(node, folder, token): node for node in machines}
        ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
        answers = {asked[answer]: f"no answer within {ANSWER_SECONDS} s" for answer in late}
        answers |= {asked[answer]: ray.get(answer) for answer in ready if not _lost(answer)}
        for node, wrong in answers.items():
            if found := wrong or _unseen(folder, node, token):
                raise _not_shared(folder, machines[node], found)
        yield token
    finally:
        for name in (token, *machines):
            folder.proof(name).unlink(missing_ok=True)
        shared = folder.proof(token).parent
        if isinstance(shared, Path):
            with contextlib.suppress(OSError):  # another machine's file is still there
                shared.rmdir()


def see_shared(folder: RunFolder, token: str) -> None:
    """InputError where this machine does not see what the driving one wrote."""
    if found := _unseen(folder, token, token):
        raise _not_shared(folder, address_here(), found)


def address_here() -> str:
    """The address by which Ray knows this machine."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


def _ask(node: str, folder: RunFolder, token: str) -> ray.ObjectRef[str | None]:
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(_answer).options(num_cpus=0, scheduling_strategy=there).remote(folder, token, node)


def _answer(folder: RunFolder, token: str, node: str) -> str | None:
    """Read the token and write it back under this machine's name; what is wrong, or None."""
    if found := _unseen(folder, token, token):
        return found
    try:
        write_text(folder.proof(node), token)
    except (OSError, InputError, StorageError) as error:
        return f"it cannot write there ({_why(error)})"
    return None


def _unseen(folder: RunFolder, name: str, token: str) -> str | None:
    try:
        return None if folder.proof(name).read_text() == token else "another content"
    except (OSError, InputError, StorageError) as error:
        return f"it cannot be read ({_why(error)})"


def _why(error: OSError | InputError | StorageError) -> str:
    return type(error).__name__ if isinstance(error, OSError) else f"{error.problem} {error.found}"


def _lost(answer: ray.ObjectRef[str | None]) -> bool:
    """Whether the machine that was asked is gone: nothing is trained there."""
    try:
        ray.get(answer)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError:
        return True
    return False


def _not_shared(folder: RunFolder, machine: str, found: str) -> InputError:
    return InputError(
        "A machine of the cluster does not share the run folder.",
        where=f"machine {machine}, run folder {folder.root}",
        expected="the file that another machine wrote there a moment ago",
        found=found,
        do="put the run folder on storage that all machines mount at the same path, or at s3://bucket/prefix (--out)",
    )


def gpu_shares(ready: ReadyRun, variants: Mapping[str, Trial], trials: int | None = None) -> dict[str, float]:
    """The share of a GPU that each variant's trials need: measured on one trial each, where the study says `auto`.

    variants: of each variant one of its trials. trials: how many are to be trained, where that is known.
    """
    asked = ready.study.resources.gpus
    if asked != "auto":
        return dict.fromkeys(variants, asked)
    most = trials_per_gpu(machines_of_cluster(), ready.study.resources.cpus, trials)
    return {
        variant: _measured_share(ready, trial, most) if ready.chosen[variant][0] == "cuda" else 0.0
        for variant, trial in variants.items()
    }


def _measured_share(ready: ReadyRun, trial: Trial, most: int) -> float:
    """Of a trial, alone on a GPU; 1 where it fails there: its own record will say of what."""
    measure = _remote(_measure_gpu, ready.study.resources.cpus, 1)
    measured = measure.remote(
        ready.study, trial, ready.folds[trial.fold], precision=ready.chosen[trial.variant][1]
    )
    try:
        peak, total = answer_to(measured, f"a whole GPU free, to measure the memory of {trial.variant}")
    except ray.exceptions.RayError as error:
        why = type(getattr(error, "cause", None) or error).__name__
        print(f"{trial.variant}: its GPU memory cannot be measured ({why}): a GPU each")
        return 1.0
    share = share_of(peak, total, most)
    text = f"{trial.variant}: {peak / 2**30:.1f} of {total / 2**30:.0f} GiB of a GPU at its peak"
    print(f"{text}, {int(1 / share)} trials to a GPU")
    return share


def share_of(peak: int, total: int, most: int = 10_000) -> float:
    """The share of a GPU of `total` bytes, such that as many trials of `peak` bytes fit as memory allows; at most 1.

    most: so many trials at most (`trials_per_gpu`). In ten-thousandths, which is what Ray counts in.
    """
    fit = min(most, max(1, int(total * (1 - GPU_SPARE) / (peak * PEAK_MARGIN))))
    parts = 10_000 // fit
    if 10_000 // parts > fit:  # rounded down so far that one more would be placed
        parts += 1
    return parts / 10_000
