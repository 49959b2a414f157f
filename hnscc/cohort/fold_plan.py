"""One fold as it is planned, and what must hold of it before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hnscc.base.errors import InputError
from hnscc.base.split_names import SPLITS
from hnscc.cohort.used_slices import UsedSlice
from hnscc.study.plan import fold_name

# A split with fewer patients with lesion than this is warned of: its scores are means of very few.
WARN_BELOW_LESION_PATIENTS = 5


@dataclass(frozen=True)
class FoldPlan:
    """One fold: which patients and slices stand in which split, and what the user should know of it.

    slices: the used ones of each split, which are sampled. others: with their splits, the slices that make whole scans
    of those of validation and test: they are scored and decide nothing in training; by split, scan and z. None where
    the used slices alone are scored. whole: the scans of which every slice is scored.
    """

    fold: int
    patients: Mapping[str, tuple[str, ...]]
    slices: Mapping[str, tuple[UsedSlice, ...]]
    warnings: tuple[str, ...]
    others: tuple[tuple[str, UsedSlice], ...] | None = None
    whole: tuple[str, ...] = ()

    @property
    def order(self) -> list[tuple[str, UsedSlice]]:
        """Every used slice with its split, in canonical order: train, validation, test; within each by scan and z."""
        return [(split, each) for split in SPLITS for each in self.slices[split]]

    @property
    def scored(self) -> list[tuple[str, UsedSlice]]:
        """Every slice that trials predict and that is scored, with its split: the used ones, then the others."""
        return [*self.order, *(self.others or ())]


def check_disjoint(plan: FoldPlan, *, validation_unit: str) -> None:
    """Raise InputError if a patient stands in two splits.

    Where validation is drawn slice by slice, training and validation may share patients, but no slice.
    """
    patients = {split: set(plan.patients[split]) for split in SPLITS}
    used = {split: {(each.scan_id, each.z) for each in plan.slices[split]} for split in SPLITS}
    for i, first in enumerate(SPLITS):
        for second in SPLITS[i + 1 :]:
            by_slice = validation_unit == "slice" and second == "validation"
            shared = used[first] & used[second] if by_slice else patients[first] & patients[second]
            if shared:
                raise InputError(
                    "Leakage: the same data stands in two splits.",
                    where=f"fold {fold_name(plan.fold)}, {first} and {second}",
                    expected="disjoint slices" if by_slice else "disjoint patients",
                    found=f"{len(shared)} in common",
                    do="give every scan of a patient the same split in the manifest",
                )


def check_filled(plan: FoldPlan) -> None:
    """Raise InputError if a split holds no slice with lesion."""
    empty = [split for split in SPLITS if not any(each.positive for each in plan.slices[split])]
    if empty:
        raise InputError(
            "The cohort is too small to split: a split holds no slice with lesion.",
            where=f"fold {fold_name(plan.fold)}, {', '.join(empty)}",
            expected="slices with lesion in training, validation and test",
            found="none",
            do="add patients with lesion, use fewer folds, or change split.test, split.validation or max_positive",
        )


def small_splits(plan: FoldPlan, read: Sequence[str]) -> list[str]:
    """A warning for each split of `read` whose patients with lesion are few."""
    counts = {split: len({e.patient_id for e in plan.slices[split] if e.positive}) for split in read}
    return [
        f"{split}: only {n} patient{'s' * (n != 1)} with lesion (fewer than {WARN_BELOW_LESION_PATIENTS}); "
        "its scores will vary widely"
        for split, n in counts.items()
        if n < WARN_BELOW_LESION_PATIENTS
    ]
