"""Patient-wise, stratified splits and the slices they use. Works on the store's index alone: no image is read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hnscc.base.errors import InputError
from hnscc.base.seeds import generator
from hnscc.cohort.store import Store
from hnscc.cohort.store_format import Scan
from hnscc.study.plan import SPLITS
from hnscc.study.schema import Split, Study

# A split with fewer patients with lesion than this is warned of: its scores are means of very few.
WARN_BELOW_LESION_PATIENTS = 5


@dataclass(frozen=True, order=True)
class UsedSlice:
    """One slice that a fold uses; it is `positive` where its stored mask holds lesion pixels."""

    patient_id: str
    scan_id: str
    z: int
    positive: bool


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


def plan_fold(store: Store, study: Study, fold: int) -> FoldPlan:
    """Split the store's patients and draw the slices to use; the same for every variant and repeat of the study.

    Keyed by study.seed and the fold. Raises InputError where the cohort is too small for a slice with lesion in
    every split, or where a patient would stand on both sides. Where negatives run out, a warning says so. With a
    search, whose test set is closed, no warning is about the test patients.

    A slice that some modality of the study does not show is used by no variant, so that all are compared on the same
    slices; a warning says how many there are.
    """
    shown = modalities_of(study)
    assigned = assign_patients(store.scans, study.split, seed=study.seed, fold=fold, shown=shown)
    positives = draw_positives(store.scans, study.sampling.max_positive, seed=study.seed, shown=shown)
    candidates = negative_candidates(store.scans, study.sampling.negatives, shown=shown)
    # A search reads nothing of the test patients, so that nothing about them is worth a warning.
    read = [split for split in SPLITS if split != "test" or not study.search]
    warnings = _unseen(store.scans, shown)
    slices: dict[str, tuple[UsedSlice, ...]] = {}
    for split in SPLITS:
        chosen = [each for each in positives if assigned[each.patient_id] == split]
        pool = [each for each in candidates if assigned[each.patient_id] == split]
        wanted = round(study.sampling.ratio * len(chosen))
        if wanted > len(pool) and split in read:
            everywhere = negative_candidates(store.scans, "any_scan", shown=shown)
            more = sum(assigned[each.patient_id] == split for each in everywhere) - len(pool)
            warnings.append(_too_few(split, wanted, len(pool), more))
        draw = generator(study.seed, "negatives", f"f{fold}", split)
        slices[split] = tuple(sorted([*chosen, *_draw(pool, wanted, draw)], key=_scan_and_z))
    if study.split.validation_unit == "slice":
        slices = _validation_by_slices(
            slices, study.split.validation, generator(study.seed, "validation", f"f{fold}")
        )
        warnings.append(
            "validation: drawn slice by slice, as the paper did: its patients also stand in training"
        )
    plan = FoldPlan(fold, _patients_of(slices, assigned), slices, tuple(warnings))
    check_disjoint(plan, validation_unit=study.split.validation_unit)
    _check_filled(plan)
    plan = FoldPlan(fold, plan.patients, slices, (*warnings, *_small_splits(plan, read)))
    scored_whole = not study.search and study.evaluation.slices == "all"
    return _with_whole_scans(plan, store.scans, study.split) if scored_whole else plan


def _with_whole_scans(plan: FoldPlan, scans: Sequence[Scan], split: Split) -> FoldPlan:
    """The plan with what makes whole scans of validation and test, slices that a modality does not show included.

    A validation set that is drawn slice by slice stays as it is: its scans are trained on too.
    """
    splits = ("test",) if split.validation_unit == "slice" else ("validation", "test")
    used = {(each.scan_id, each.z) for _, each in plan.order}
    whole = [
        (name, scan)
        for name in splits
        for scan in sorted(scans, key=lambda each: each.scan_id)
        if scan.patient_id in plan.patients[name]
    ]
    others = tuple(
        (name, UsedSlice(scan.patient_id, scan.scan_id, z, scan.lesion_px[z] > 0))
        for name, scan in whole
        for z in range(scan.slices)
        if (scan.scan_id, z) not in used
    )
    return replace(plan, others=others, whole=tuple(scan.scan_id for _, scan in whole))


def _too_few(split: str, wanted: int, there: int, more: int) -> str:
    """The warning of negatives that run out; `more` stand in scans with lesion, which the study does not draw on."""
    text = f"{split}: {wanted} negative slices wanted, {there} exist; all are taken"
    if not more:
        return text
    return (
        f"{text}. {more} more stand in scans with lesion: set `sampling: {{negatives: any_scan}}` to draw on them"
        + ("" if there else ", or the networks are never shown a slice without lesion")
    )


def modalities_of(study: Study) -> tuple[str, ...]:
    """Every modality that some variant of the study uses, sorted."""
    return tuple(sorted({name for variant in study.variants.values() for name in variant.modalities}))


def _unseen(scans: Sequence[Scan], shown: Sequence[str]) -> list[str]:
    counts = [len(unseen) for scan in scans if (unseen := scan.unseen(shown))]
    if not counts:
        return []
    few = f"{sum(counts)} slice{'s' * (sum(counts) != 1)} of {len(counts)} scan{'s' * (len(counts) != 1)}"
    return [f"{few} left out: outside of a modality's field of view, or one value everywhere"]


def assign_patients(
    scans: Sequence[Scan], split: Split, *, seed: int, fold: int, shown: Sequence[str] = ()
) -> dict[str, str]:
    """Assign each patient to train, validation or test, stratified by whether any of their slices holds lesion.

    Splits fixed in the manifest are taken as they are. Otherwise the patients of each stratum are shuffled by
    `seed` (the same for all folds); folds 1 tests the first `test` share, folds k deals them out in turn.
    With validation_unit slice the validation set is drawn later, and no patient is set aside for it here. Slices that a
    modality in `shown` does not show do not count.

    InputError is raised where patients with lesion are too few, and where the manifest's splits are not one hold-out
    split of whole patients.
    """
    fixed = {scan.patient_id: scan.split for scan in scans}
    if any(fixed.values()):
        _check_one_split_each(scans)
        return _fixed_by_user(fixed, split)
    lesion = {scan.patient_id for scan in scans if any(scan.lesion_px[z] for z in _shown(scan, shown))}
    _check_enough(len(lesion), split)
    assigned: dict[str, str] = {}
    dealt = 0
    for name, stratum in (("lesion", lesion), ("none", fixed.keys() - lesion)):
        order = generator(seed, "split", name).permutation(sorted(stratum)).tolist()
        if split.folds == 1:
            test = order[: _share(split.test, len(order), at_least=name == "lesion")]
        else:
            test = [patient for i, patient in enumerate(order) if (i + dealt) % split.folds == fold]
        dealt += len(order)
        tested = set(test)
        rest = [patient for patient in order if patient not in tested]
        validation: list[str] = []
        if split.validation_unit == "patient":
            turn = generator(seed, "validation", name, f"f{fold}").permutation(rest).tolist()
            validation = turn[: _share(split.validation, len(rest), at_least=name == "lesion")]
        assigned |= (
            dict.fromkeys(rest, "train")
            | dict.fromkeys(validation, "validation")
            | dict.fromkeys(test, "test")
        )
    return assigned


def draw_positives(
    scans: Iterable[Scan], most: int | None, *, seed: int, shown: Sequence[str] = ()
) -> list[UsedSlice]:
    """Return every slice with lesion in its stored mask, or `most` of them drawn evenly over the patients.

    Slices that a modality in `shown` does not show are left out. They are sorted by patient, scan and z. The draw is
    keyed by `seed` and the patient alone.
    """
    by_patient: dict[str, list[UsedSlice]] = {}
    for scan in scans:
        for z in _shown(scan, shown):
            if scan.lesion_px[z]:
                by_patient.setdefault(scan.patient_id, []).append(
                    UsedSlice(scan.patient_id, scan.scan_id, z, True)
                )
    quota = _even_quota({patient: len(own) for patient, own in by_patient.items()}, most)
    chosen: list[UsedSlice] = []
    for patient in sorted(by_patient):
        chosen += _draw(sorted(by_patient[patient]), quota[patient], generator(seed, "positives", patient))
    return chosen


def negative_candidates(scans: Iterable[Scan], kind: str, *, shown: Sequence[str] = ()) -> list[UsedSlice]:
    """Return the slices without lesion on the mask's own grid: of lesion-free scans, or of any scan (`any_scan`).

    A slice whose lesion vanished in the resize is neither positive nor negative, nor is one that a modality in `shown`
    does not show.
    """
    return [
        UsedSlice(scan.patient_id, scan.scan_id, z, False)
        for scan in scans
        if kind == "any_scan" or not any(scan.source_lesion_px)
        for z in _shown(scan, shown)
        if not scan.source_lesion_px[z]
    ]


def _shown(scan: Scan, modalities: Sequence[str]) -> list[int]:
    """The slices that all of these modalities show."""
    unseen = scan.unseen(modalities)
    return [z for z in range(scan.slices) if z not in unseen]


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
                    where=f"fold f{plan.fold}, {first} and {second}",
                    expected="disjoint slices" if by_slice else "disjoint patients",
                    found=f"{len(shared)} in common",
                    do="give every scan of a patient the same split in the manifest",
                )


def _check_filled(plan: FoldPlan) -> None:
    empty = [split for split in SPLITS if not any(each.positive for each in plan.slices[split])]
    if empty:
        raise InputError(
            "The cohort is too small to split: a split holds no slice with lesion.",
            where=f"fold f{plan.fold}, {', '.join(empty)}",
            expected="slices with lesion in training, validation and test",
            found="none",
            do="add patients with lesion, use fewer folds, or change split.test, split.validation or max_positive",
        )


def _fixed_by_user(fixed: Mapping[str, str | None], split: Split) -> dict[str, str]:
    missing = sorted(patient for patient, name in fixed.items() if not name)
    absent = [name for name in SPLITS if name not in fixed.values() and not _drawn_later(name, split)]
    if missing or absent or split.folds > 1:
        raise InputError(
            "The split column of the manifest does not give one hold-out split.",
            where="manifest, column split",
            expected="train, validation or test for every scan, each of them used, and split.folds 1",
            found=f"{len(missing)} patients without; unused: {', '.join(absent) or 'none'}; folds {split.folds}",
            do="fill the column for all scans or leave it out",
        )
    return {patient: str(name) for patient, name in fixed.items()}


def _check_one_split_each(scans: Sequence[Scan]) -> None:
    pairs = {(scan.patient_id, scan.split) for scan in scans}
    if len(pairs) > len({patient for patient, _ in pairs}):
        raise InputError(
            "Leakage: a patient's scans are fixed to different splits.",
            where="manifest, column split",
            expected="one split for all scans of a patient",
            found=f"{len(pairs) - len({patient for patient, _ in pairs})} patients in several",
            do="correct the column and prepare the store again",
        )


def _drawn_later(name: str, split: Split) -> bool:
    return name == "validation" and split.validation_unit == "slice"


def _check_enough(lesion_patients: int, split: Split) -> None:
    wanted = max(3 if split.validation_unit == "patient" else 2, split.folds)
    if lesion_patients < wanted:
        raise InputError(
            "The cohort is too small to split.",
            where="store",
            expected=f"at least {wanted} patients with lesion, one for each split and fold",
            found=f"{lesion_patients} patients with lesion",
            do="add patients, or use fewer folds",
        )


def _share(share: float, n: int, *, at_least: bool) -> int:
    return max(round(share * n), 1 if at_least and n > 1 else 0)


def _draw(pool: Sequence[UsedSlice], n: int, random: np.random.Generator) -> list[UsedSlice]:
    chosen = random.permutation(len(pool))[:n]
    return [pool[i] for i in sorted(chosen)]


def _even_quota(available: Mapping[str, int], most: int | None) -> dict[str, int]:
    """Share `most` out evenly; what a patient cannot fill goes to the others, the odd ones in order of id."""
    quota = dict.fromkeys(available, 0)
    left = sum(available.values()) if most is None else min(most, sum(available.values()))
    while left:
        open_to = [patient for patient in sorted(available) if quota[patient] < available[patient]]
        for patient in open_to[:left]:
            quota[patient] += 1
        left -= len(open_to[:left])
    return quota


def _validation_by_slices(
    slices: Mapping[str, tuple[UsedSlice, ...]], share: float, random: np.random.Generator
) -> dict[str, tuple[UsedSlice, ...]]:
    validation: set[UsedSlice] = set()
    for positive in (True, False):
        stratum = [each for each in slices["train"] if each.positive == positive]
        validation |= set(_draw(stratum, _share(share, len(stratum), at_least=positive), random))
    train = tuple(each for each in slices["train"] if each not in validation)
    return {"train": train, "validation": tuple(sorted(validation, key=_scan_and_z)), "test": slices["test"]}


def _scan_and_z(each: UsedSlice) -> tuple[str, int]:
    return each.scan_id, each.z


def _patients_of(
    slices: Mapping[str, tuple[UsedSlice, ...]], assigned: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Assigned patients, used or not; with validation by slices also those whose slices were drawn."""
    return {
        split: tuple(
            sorted(
                {p for p, name in assigned.items() if name == split}
                | {each.patient_id for each in slices[split]}
            )
        )
        for split in SPLITS
    }


def _small_splits(plan: FoldPlan, read: Sequence[str]) -> list[str]:
    counts = {split: len({e.patient_id for e in plan.slices[split] if e.positive}) for split in read}
    return [
        f"{split}: only {n} patient{'s' * (n != 1)} with lesion (fewer than {WARN_BELOW_LESION_PATIENTS}); "
        "its scores will vary widely"
        for split, n in counts.items()
        if n < WARN_BELOW_LESION_PATIENTS
    ]
