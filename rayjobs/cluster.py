"""The cluster that a study runs on: connecting, what its machines have, and that all see the run folder."""

import contextlib
import logging
import math
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
from hnscc.training.measure import measure_gpu
from hnscc.training.model import resolve_device
from hnscc.training.prepare import Prepared
from rayjobs.patient_files import in_job
from rayjobs.surroundings import folder_for_ray, no_cluster, refuse_silent

# How long a machine may take to answer that it sees the run folder.
ANSWER_SECONDS = 120
# What is left free of a GPU's memory, and added to each trial's measured peak: allocators fragment.
GPU_SPARE, PEAK_MARGIN = 0.05, 1.1
# A share that places a question on a machine with a GPU without waiting for a free one.
ANY_GPU = 0.001


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


def largest(name: str) -> float:
    """The most of a resource (CPU, GPU) that a machine of the cluster has, or one that it may start would have.

    Infinite while nobody knows: no machine that trains is up, and those to come do not say what they have.
    """
    trains, startable = _machines_that_train(), _startable()
    if not trains and not startable:
        return math.inf
    up: list[dict[str, float]] = [node["Resources"] for node in trains]
    return max(resources.get(name, 0.0) for resources in [*up, *startable])


def _machines_that_train() -> list[dict[str, Any]]:
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"] and node["Resources"].get("CPU")]


def _startable() -> list[dict[str, float]]:
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
    if _machines_that_train():
        return
    print("no machine that trains is up yet: waiting for the first, which takes minutes", flush=True)
    gpus = 0 if study.resources.gpus == "auto" else study.resources.gpus
    ray.get(ray.remote(_is_up).options(num_cpus=study.resources.cpus, num_gpus=gpus).remote())


def _is_up() -> bool:
    return True


def resolve_on_cluster(study: Study) -> Callable[[Training], tuple[str, str]]:
    """`resolve_device` as answered by a machine that trains: the one that drives often has no GPU of its own."""
    gpus = ANY_GPU if study.resources.gpus != 0 and largest("GPU") else 0.0

    def _resolve(training: Training) -> tuple[str, str]:
        asked = {"num_cpus": study.resources.cpus, "num_gpus": 0 if training.device == "cpu" else gpus}
        return ray.get(ray.remote(resolve_device).options(**asked).remote(training))

    return _resolve


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
    machines = {node["NodeID"]: node["NodeManagerAddress"] for node in _machines_that_train()}
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


def gpu_shares(prepared: Prepared, variants: Mapping[str, Trial]) -> dict[str, float]:
    """The share of a GPU that each variant's trials need: measured on one trial each, where the study says `auto`.

    variants: of each variant one of its trials.
    """
    asked = prepared.study.resources.gpus
    if asked != "auto":
        return dict.fromkeys(variants, asked)
    return {
        variant: _measured_share(prepared, trial) if prepared.chosen[variant][0] == "cuda" else 0.0
        for variant, trial in variants.items()
    }


def _measured_share(prepared: Prepared, trial: Trial) -> float:
    """Of a trial, alone on a GPU; 1 where it fails there: its own record will say of what."""
    # A process of its own (max_calls), for what it keeps of the GPU's memory goes with it.
    alone: Any = ray.remote(num_cpus=prepared.study.resources.cpus, num_gpus=1, max_calls=1)
    measure = alone(measure_gpu)
    precision = prepared.chosen[trial.variant][1]
    measured = measure.remote(prepared.study, trial, prepared.folds[trial.fold], precision=precision)
    try:
        peak, total = ray.get(measured)
    except ray.exceptions.RayError as error:
        why = type(getattr(error, "cause", None) or error).__name__
        print(f"{trial.variant}: its GPU memory cannot be measured ({why}): a GPU each")
        return 1.0
    share = share_of(peak, total)
    text = f"{trial.variant}: {peak / 2**30:.1f} of {total / 2**30:.0f} GiB of a GPU at its peak"
    print(f"{text}, {int(1 / share)} trials to a GPU")
    return share


def share_of(peak: int, total: int) -> float:
    """The share of a GPU of `total` bytes, such that as many trials of `peak` bytes fit as memory allows; at most 1.

    In ten-thousandths, which is what Ray counts in.
    """
    fit = min(10_000, max(1, int(total * (1 - GPU_SPARE) / (peak * PEAK_MARGIN))))
    parts = 10_000 // fit
    if 10_000 // parts > fit:  # rounded down so far that one more would be placed
        parts += 1
    return parts / 10_000
