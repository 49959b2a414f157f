"""The assignment of each patient to training, validation or test: stratified by lesion, or as the manifest fixes it."""

from collections.abc import Mapping, Sequence

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from hnscc.base.seeds import generator
from hnscc.base.split_names import SPLITS
from hnscc.cohort.sampled_slices import share_of, shown_with_lesion
from hnscc.cohort.store_format import Scan
from hnscc.study.section_schema import Split
from hnscc.study.trials import fold_name


def assign_patients(
    scans: Sequence[Scan], split: Split, *, seed: int, fold: int, shown: Sequence[str] = ()
) -> dict[str, str]:
    """Assign each patient to train, validation or test, stratified by whether any of their slices holds lesion.

    Splits that the manifest fixes are taken as they are. Otherwise the patients of each stratum are shuffled by `seed`,
    in the same order for all folds. With `folds: 1` the first share `test` of each stratum is tested. With `folds: k`
    patient i is tested in fold i mod k, where i is counted on from one stratum to the next. With validation_unit slice
    the validation slices are chosen later, and no patient is set aside for validation here. Slices that a modality in
    `shown` does not show do not count.

    InputError is raised where patients with lesion are too few, where the manifest's splits are not one hold-out split
    of whole patients, and where it names validation patients although validation by slices would not use them.
    """
    fixed = {scan.patient_id: scan.split for scan in scans}
    if any(fixed.values()):
        _check_one_split_each(scans)
        return _fixed_by_user(fixed, split)
    lesion = lesion_patients(scans, shown)
    _check_enough(len(lesion), split)
    assigned: dict[str, str] = {}
    for name, stratum in (("lesion", lesion), ("none", fixed.keys() - lesion)):
        order = generator(seed, "split", name).permutation(sorted(stratum)).tolist()
        tested = _tested(order, split, fold, dealt=len(assigned), at_least=name == "lesion")
        left = set(order) - set(tested)
        rest = [patient for patient in order if patient in left]
        assigned |= dict.fromkeys(rest, "train") | dict.fromkeys(tested, "test")
        if split.validation_unit == "patient":
            turn = generator(seed, "validation", name, fold_name(fold)).permutation(rest).tolist()
            count = share_of(split.validation, len(rest), at_least=name == "lesion")
            assigned |= dict.fromkeys(turn[:count], "validation")
    return assigned


def _tested(order: Sequence[str], split: Split, fold: int, *, dealt: int, at_least: bool) -> list[str]:
    """Return the patients of a shuffled stratum who are tested in this fold.

    dealt: how many patients the strata before have. at_least: at least one patient is tested, however small the share.
    """
    if split.folds == 1:
        return [*order[: share_of(split.test, len(order), at_least=at_least)]]
    return [patient for i, patient in enumerate(order, start=dealt) if i % split.folds == fold]


def lesion_patients(scans: Sequence[Scan], shown: Sequence[str]) -> set[str]:
    """Return the patients who count as with lesion when they are divided: a stored slice of theirs that all of these
    modalities show holds lesion."""
    return {scan.patient_id for scan in scans if shown_with_lesion(scan, shown)}


def _fixed_by_user(fixed: Mapping[str, str | None], split: Split) -> dict[str, str]:
    _check_validation(fixed, split)
    missing = sorted(patient for patient, name in fixed.items() if not name)
    absent = [name for name in SPLITS if name not in fixed.values() and not _chosen_later(name, split)]
    if missing or absent or split.folds > 1:
        raise InputError(
            "The split column of the manifest does not give one hold-out split.",
            where="manifest, column split",
            expected="train, validation or test for every scan, each of them used, and split.folds 1",
            found=f"{count_of(len(missing), 'patient')} without; unused: {', '.join(absent) or 'none'}; folds "
            f"{split.folds}",
            do="give every scan a split there, use all three and set split.folds to 1; or leave the column out; then "
            "prepare the store again",
        )
    return {patient: str(name) for patient, name in fixed.items()}


def _check_validation(fixed: Mapping[str, str | None], split: Split) -> None:
    validation = [patient for patient, name in fixed.items() if name == "validation"]
    if validation and split.validation_unit == "slice":
        raise InputError(
            "The manifest names validation patients, and the study takes validation slices from training patients.",
            where="manifest, column split, and split.validation_unit",
            expected="train and test alone in that column, or split.validation_unit: patient",
            found=f"{count_of(len(validation), 'validation patient')}, of whom no slice would be sampled",
            do="set split.validation_unit to patient; or give these patients another split and prepare the store again",
        )


def _check_one_split_each(scans: Sequence[Scan]) -> None:
    pairs = {(scan.patient_id, scan.split) for scan in scans}
    if len(pairs) > len({patient for patient, _ in pairs}):
        raise InputError(
            "Leakage: a patient's scans are fixed to different splits.",
            where="manifest, column split",
            expected="one split for all scans of a patient",
            found=f"{count_of(len(pairs) - len({patient for patient, _ in pairs}), 'patient')} in several",
            do="correct the column and prepare the store again",
        )


def _chosen_later(name: str, split: Split) -> bool:
    return name == "validation" and split.validation_unit == "slice"


def _check_enough(lesion_patients: int, split: Split) -> None:
    least = 3 if split.validation_unit == "patient" else 2
    wanted = max(least, split.folds)
    if lesion_patients < wanted:
        raise InputError(
            "The cohort is too small to split.",
            where="store",
            expected=f"at least {count_of(wanted, 'patient')} with lesion, one for each split and fold",
            found=f"{count_of(lesion_patients, 'patient')} with lesion",
            do="add patients with lesion"
            + (", or use fewer folds" if lesion_patients >= least else "")
            + (
                ""
                if lesion_patients
                else "; no scan has one: does the manifest name the masks, or say none of all?"
            ),
        )
