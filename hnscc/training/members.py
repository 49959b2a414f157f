"""The completed trials whose models predict together, and their weights; without torch."""

from dataclasses import dataclass

from hnscc.base.errors import InputError
from hnscc.base.in_words import as_typed
from hnscc.cohort.slices import Bounds
from hnscc.study.run_folder import WEIGHTS_FILE, RunFolder, inside
from hnscc.training.states import trial_state


@dataclass(frozen=True)
class Member:
    """A completed trial whose model predicts. bounds: for each of the variant's modalities, in their order, the values
    that its fold's normalisation makes 0 and 1. precision: fp32 or bf16, as it was trained. weights_sha256: the hash of
    its weights, from its record."""

    trial_id: str
    bounds: tuple[Bounds, ...]
    precision: str
    weights_sha256: str


def read_weights(run: RunFolder, member: Member) -> bytes:
    """Return the content of a trial's weights.safetensors. InputError where it is gone, damaged, or not
    the member's."""
    name, trial = WEIGHTS_FILE, run.trial(member.trial_id)
    state = trial_state(trial, keep=(name,), check=(name,))
    if name in state.contents and state.completed and state.completed.files[name] == member.weights_sha256:
        return state.contents[name]
    if name in state.contents:
        found = "those of another training than the tables tell of"
        do = f"`hnscc aggregate {as_typed(run.root)}` makes the tables again, by the trainings that are there"
    elif state.reason:
        found = state.reason
        do = "restore the file; or `hnscc run STUDY` trains it again"
    else:  # the trial is completed without them, and `hnscc run` leaves it as it is
        found = "no such file: `hnscc prune` keeps those of the median models alone"
        do = (
            "restore the file; or leave --ensemble out, if it was given; or move the trial's folder away, and "
            "`hnscc run STUDY` trains it again"
        )
    raise InputError(
        "The weights of a trial cannot be used.",
        where=f"{inside(trial.root)} of the run folder",
        expected=f"{name}, as its record and the tables tell of it",
        found=found,
        do=do,
    )
