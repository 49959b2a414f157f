"""Proof that the run folder is shared: every machine that trains shows that it sees what the others write there."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hnscc.base.errors import InputError, StorageError
from hnscc.base.files import storage_errors, write_text
from hnscc.study.run_folder import RunFolder
from rayjobs.cluster import address_here, answer_of, machines_that_train
from rayjobs.patient_files import refuse_lost_with_job

# How long a machine may take to answer that it sees the run folder.
ANSWER_SECONDS = 120


@contextlib.contextmanager
def prove_shared(folder: RunFolder) -> Iterator[str]:
    """Let every machine that may train read what this one writes to the run folder, and answer there.

    Yields the token by which machines that join later prove it too. InputError names the machine that cannot, or that
    cannot load hnscc.
    """
    refuse_lost_with_job(folder)
    token = secrets.token_hex(16)
    write_text(folder.proof(token), token)
    machines = {node["NodeID"]: node["NodeManagerAddress"] for node in machines_that_train()}
    try:
        asked = {_ask(node, folder, token): node for node in machines}
        ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
        answers = {asked[answer]: ray.get(answer) for answer in ready if not _lost(answer)}
        for node, wrong in answers.items():
            if found := wrong or _unseen(folder, node, token):
                raise _not_shared(folder, machines[node], found)
        if late:
            raise _no_answer(machines[asked[late[0]]])
        yield token
    finally:
        for name in (token, *machines):
            folder.proof(name).unlink(missing_ok=True)
        shared = folder.proof(token).parent
        if isinstance(shared, Path):
            with contextlib.suppress(OSError):  # another machine's file is still there
                shared.rmdir()


def see_shared(folder: RunFolder, token: str) -> None:
    """Raise InputError where this machine does not see what the driving one wrote, and StorageError where the storage
    does not answer, which tells nothing about that."""
    if found := _read(folder, token, token):
        raise _not_shared(folder, address_here(), found)


def _ask(node: str, folder: RunFolder, token: str) -> ray.ObjectRef[str | None]:
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(_answer).options(num_cpus=0, scheduling_strategy=there).remote(folder, token, node)


def _answer(folder: RunFolder, token: str, node: str) -> str | None:
    """Read the token and write it back under this machine's name. Return what is wrong, or None."""
    if found := _unseen(folder, token, token):
        return found
    try:
        write_text(folder.proof(node), token)
    except (OSError, InputError, StorageError) as error:
        return f"it cannot write there ({_why(error)})"
    return None


def _unseen(folder: RunFolder, name: str, token: str) -> str | None:
    """Return what is wrong with a machine's proof, including faults of the storage, or None."""
    try:
        return _read(folder, name, token)
    except (InputError, StorageError) as error:
        return f"it cannot be read ({_why(error)})"


def _read(folder: RunFolder, name: str, token: str) -> str | None:
    """Return what is wrong with a machine's proof, or None. InputError and StorageError for faults of the storage."""
    proof = folder.proof(name)
    try:
        with storage_errors(proof):
            return None if proof.read_text() == token else "another content"
    except OSError as error:
        return f"it cannot be read ({_why(error)})"


def _why(error: OSError | InputError | StorageError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return f"{error.problem} {error.found}"


def _lost(answer: ray.ObjectRef[str | None]) -> bool:
    """Return whether the machine that was asked is gone. Nothing is trained on such a machine. InputError where it
    cannot load hnscc."""
    try:
        answer_of(answer)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError:
        return True
    return False


def _no_answer(machine: str) -> InputError:
    return InputError(
        "A machine of the cluster does not answer.",
        where=f"machine {machine}",
        expected=f"an answer within {ANSWER_SECONDS} s",
        found="none, so nobody knows whether it sees the run folder",
        do="see what keeps Ray's processes from starting there (a slow start, a full disk, a broken environment), or "
        "take it out of the cluster, then give the same command again",
    )


def _not_shared(folder: RunFolder, machine: str, found: str) -> InputError:
    return InputError(
        "A machine of the cluster does not share the run folder.",
        where=f"machine {machine}, run folder {folder.root}",
        expected="the file that another machine wrote there a moment ago",
        found=found,
        do="put the run folder on storage that all machines mount at the same path, or at s3://bucket/prefix (--out)",
    )
