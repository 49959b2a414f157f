"""A study expands to a fixed list of trials before anything starts; an identity is all that determines a result."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hnscc.base.errors import InputError
from hnscc.base.files import hash_of, sha256
from hnscc.base.seeds import derive_seed
from hnscc.study.schema import Study

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, order=True)
class Trial:
    """Variant x fold x repeat. Folds and repeats count from 0."""

    variant: str
    fold: int
    repeat: int

    @property
    def trial_id(self) -> str:
        return f"{self.variant}-f{self.fold}-r{self.repeat:02d}"


def plan_trials(study: Study) -> tuple[Trial, ...]:
    """Every trial of a study in canonical order: variants as the file lists them, then folds, then repeats."""
    return tuple(
        Trial(variant, fold, repeat)
        for variant in study.variants
        for fold in range(study.split.folds)
        for repeat in range(study.repeats_of(variant))
    )


def find_trial(study: Study, trial_id: str) -> Trial:
    """The planned trial of that id, or InputError."""
    for trial in plan_trials(study):
        if trial.trial_id == trial_id:
            return trial
    first, last = plan_trials(study)[0], plan_trials(study)[-1]
    raise InputError(
        "The study has no such trial.",
        where=f"study {study.name}",
        expected=f"an id from {first.trial_id} to {last.trial_id}",
        found=trial_id,
        do="variants are named in the study file; folds and repeats count from 0",
    )


def trial_seeds(study: Study, trial: Trial) -> dict[str, int]:
    """The trial's own seed and one for each use of randomness, drawn from the study's seed and the trial's name.

    Where repeats share their augmented copies, those are keyed by the fold alone. In a search, repeat r of every
    configuration shares all of them: configurations are compared in pairs, by what differs between them alone.
    """
    name = f"search-f{trial.fold}-r{trial.repeat:02d}" if study.search else trial.trial_id
    own = derive_seed(study.seed, name)
    shared = study.variants[trial.variant].augmentation.shared_by_repeats
    augmentation = derive_seed(study.seed, f"f{trial.fold}") if shared else own
    seeds = {use: derive_seed(own, use) for use in ("initialisation", "order", "dropout")}
    return {"trial": own, **seeds, "augmentation": derive_seed(augmentation, "augmentation")}


def trial_settings(
    study: Study, trial: Trial, *, device: str, precision: str, fold_digest: str
) -> dict[str, Any]:
    """All that determines a trial's result, as JSON: its identity is the hash of this.

    device (cpu or cuda) and precision (fp32 or bf16) are what `auto` chose; fold_digest stands for the data,
    and its hash for a file of encoder weights.
    """
    variant = study.variants[trial.variant].model_dump(mode="json")
    variant["training"] |= {"device": device, "precision": precision}
    weights = variant["training"]["network"]["encoder_weights"]
    if weights:
        variant["training"]["network"]["encoder_weights"] = sha256(Path(weights).read_bytes())
    return {**variant, "data": fold_digest, "seeds": trial_seeds(study, trial)}


def identity(settings: dict[str, Any]) -> str:
    return hash_of(settings)


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Each setting in which two nested JSON values differ, as `path: old -> new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield f"{path}: {old} -> {new}"
