"""The list of a study's trials, which is fixed before anything starts, and which of them are due before repeats are
next looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

from hnscc.base.errors import InputError
from hnscc.study.schema import Study
from hnscc.study.section_schema import UntilPrecise

LOOK_EVERY = 4  # repeats of a variant between two looks at their scores


def fold_name(fold: int) -> str:
    """Return the name of a fold in ids, folders, keys of randomness and messages: f0 for the first."""
    return f"f{fold}"


@dataclass(frozen=True, order=True)
class Trial:
    """One training of a study: variant x fold x repeat. Folds and repeats count from 0."""

    variant: str
    fold: int
    repeat: int

    @property
    def trial_id(self) -> str:
        return f"{self.variant}-{fold_name(self.fold)}-r{self.repeat:02d}"

    @property
    def named(self) -> dict[str, str | int]:
        """The columns that name a trial in tables."""
        return {
            "trial_id": self.trial_id,
            "variant": self.variant,
            "fold": self.fold,
            "repeat": self.repeat,
        }


def trials_of(study: Study) -> tuple[Trial, ...]:
    """Return every trial of a study in canonical order: variants as the file lists them, then folds, then repeats."""
    return tuple(
        Trial(variant, fold, repeat)
        for variant in study.variants
        for fold in range(study.split.folds)
        for repeat in range(study.repeats_of(variant))
    )


def find_trial(study: Study, trial_id: str) -> Trial:
    """Return the trial of this id. InputError where the study has none."""
    for trial in trials_of(study):
        if trial.trial_id == trial_id:
            return trial
    first, last = trials_of(study)[0], trials_of(study)[-1]
    raise InputError(
        "The study has no such trial.",
        where=f"study {study.name}",
        expected=f"an id from {first.trial_id} to {last.trial_id}",
        found=trial_id,
        do="variants are named in the study file; folds and repeats count from 0",
    )


def looks_at(rule: UntilPrecise) -> list[int]:
    """Return the numbers of repeats after which the rule looks at a variant and decides whether they are enough."""
    return [*range(rule.first, rule.max, LOOK_EVERY), rule.max]


def due(study: Study, left: Sequence[Trial]) -> list[Trial]:
    """Return those of the trials left that are to be trained before the next look; all of them where the study has no
    such rule."""
    rule = study.repeats
    if not isinstance(rule, UntilPrecise):
        return list(left)
    wanted = []
    for variant in study.variants:
        own = [trial for trial in left if trial.variant == variant]
        look = min((look for look in looks_at(rule) if any(trial.repeat < look for trial in own)), default=0)
        wanted += [trial for trial in own if trial.repeat < look]
    return sorted(wanted, key=lambda trial: trial.repeat)
