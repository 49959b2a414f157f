"""Patient-wise, stratified splits, the slices sampled from them, fold by fold, and the checks that a fold must pass
before anything is trained. All of this uses only the store's index: no image is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hnscc.base import fewest
from hnscc.base.errors import InputError
from hnscc.base.in_words import Sentence
from hnscc.base.seeds import generator
from hnscc.base.split_names import IN_WORDS, SPLITS
from hnscc.cohort.patients import assign_patients
from hnscc.cohort.placement import WHY_UNSEEN
from hnscc.cohort.sampled_slices import (
    StoredSlice,
    by_scan_and_z,
    candidates_without_lesion,
    sample_from,
    sample_with_lesion,
    validation_by_slices,
)
from hnscc.cohort.store import Store
from hnscc.cohort.store_format import Scan
from hnscc.study.schema import Study
from hnscc.study.trials import fold_name


@dataclass(frozen=True)
class Division:
    """The cohort as one fold divides it: which patients and slices are in which split, and what the user should know
    of it.

    slices: for each split, those that the setting `sampling` chose (elsewhere called sampled; columns of tables say
    `used`). others: the slices that complete the scans of validation and test, with their splits, by split, scan and z;
    they are scored, and decide nothing in training. None where only the sampled slices are scored. whole_scans: the
    scans of which every slice is scored.
    """

    fold: int
    patients: Mapping[str, tuple[str, ...]]
    slices: Mapping[str, tuple[StoredSlice, ...]]
    told: tuple[Sentence, ...]
    others: tuple[tuple[str, StoredSlice], ...] | None = None
    whole_scans: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings about the fold, in words."""
        return tuple(map(str, self.told))

    @property
    def order(self) -> list[tuple[str, StoredSlice]]:
        """Every sampled slice with its split, in canonical order: by split (train, validation, test), scan and z."""
        return [(split, each) for split in SPLITS for each in self.slices[split]]

    @property
    def scored(self) -> list[tuple[str, StoredSlice]]:
        """Every slice that trials predict and that is scored, with its split: the sampled ones, then the others."""
        return [*self.order, *(self.others or ())]

    def lesion_patients(self, split: str) -> set[str]:
        """Return the patients who have a sampled slice with lesion in the split."""
        return {each.patient_id for each in self.slices[split] if each.with_lesion}


def check_disjoint(division: Division, *, validation_unit: str) -> None:
    """Raise InputError if a patient is in two splits.

    Where validation is split off slice by slice, training and validation may share patients, but no slice.
    """
    patients = {split: set(division.patients[split]) for split in SPLITS}
    sampled = {split: {(each.scan_id, each.z) for each in division.slices[split]} for split in SPLITS}
    for i, first in enumerate(SPLITS):
        for second in SPLITS[i + 1 :]:
            by_slice = validation_unit == "slice" and second == "validation"
            shared = sampled[first] & sampled[second] if by_slice else patients[first] & patients[second]
            if shared:
                raise InputError(
                    "Leakage: the same data stands in two splits.",
                    where=f"fold {fold_name(division.fold)}, {first} and {second}",
                    expected="disjoint slices" if by_slice else "disjoint patients",
                    found=f"{len(shared)} in common",
                    do="give every scan of a patient the same split in the manifest",
                )


def check_filled(division: Division, folds: int) -> None:
    """Raise InputError if a split holds no slice with lesion. folds: how many the study has."""
    empty = [split for split in SPLITS if not any(each.with_lesion for each in division.slices[split])]
    if empty:
        raise InputError(
            "The cohort is too small to split: a split holds no slice with lesion.",
            where=f"fold {fold_name(division.fold)}, {', '.join(empty)}",
            expected="slices with lesion in training, validation and test",
            found="none",
            do="add patients with lesion, "
            + ("use fewer folds, or change " if folds > 1 else "or change split.test, ")
            + "split.validation or sampling.max_positive",
        )


def small_splits(division: Division, read: Sequence[str]) -> list[Sentence]:
    """Return a warning for each split of `read` that has few patients with lesion."""
    counts = {split: len(division.lesion_patients(split)) for split in read}
    few = f" with lesion (fewer than {fewest.LESION_PATIENTS_OF_SPLIT}); its scores will vary widely"
    return [
        Sentence((f"{IN_WORDS[split]}: only ", (n, "patient"), few))
        for split, n in counts.items()
        if n < fewest.LESION_PATIENTS_OF_SPLIT
    ]


BY_SLICES = Sentence(
    ("validation: chosen slice by slice, as the paper did: its patients also stand in training",)
)
BY_SLICES_OF_WHOLE = Sentence(
    (
        "validation: thresholds and median models are chosen on sampled slices, while every slice of the test scans is "
        "scored (split.validation_unit: slice)",
    )
)


def divide_cohort(store: Store, study: Study, fold: int) -> Division:
    """Divide the store's patients into splits and sample their slices; the same for every variant and repeat of
    the study.

    The result depends on study.seed and the fold. Raises InputError where the cohort is too small for a slice with
    lesion in every split, or where a patient would be in two splits. Where slices without lesion run out, a warning
    says so. A search reads no test patient, so it has no warning about test patients.

    A slice that some modality of the study does not show is sampled for no variant, so that all are compared on the
    same slices; a warning says how many there are.
    """
    shown = modalities_used(study)
    assigned = assign_patients(store.scans, study.split, seed=study.seed, fold=fold, shown=shown)
    slices, too_few = _sampled_slices(store.scans, study, fold, assigned)
    warnings = [*_fixed(store.scans, study), *_unseen(store.scans, shown), *too_few]
    if study.split.validation_unit == "slice":
        rng = generator(study.seed, "validation", fold_name(fold))
        slices = validation_by_slices(slices, study.split.validation, rng)
        warnings += [BY_SLICES, *([BY_SLICES_OF_WHOLE] if study.whole_splits else [])]
    division = Division(fold, _patients_of(slices, assigned), slices, tuple(warnings))
    check_disjoint(division, validation_unit=study.split.validation_unit)
    check_filled(division, study.split.folds)
    division = replace(division, told=(*warnings, *small_splits(division, study.read_splits)))
    return _with_whole_scans(division, store.scans, study.whole_splits) if study.whole_splits else division


def _sampled_slices(
    scans: Sequence[Scan], study: Study, fold: int, assigned: Mapping[str, str]
) -> tuple[dict[str, tuple[StoredSlice, ...]], list[Sentence]]:
    """Return the sampled slices of each split, and a warning for each split that is read and whose slices without
    lesion run out.

    assigned: the split of each patient.
    """
    shown, sampling = modalities_used(study), study.sampling
    with_lesion = sample_with_lesion(scans, sampling.max_positive, seed=study.seed, shown=shown)
    without_lesion = candidates_without_lesion(scans, sampling.negatives, shown=shown)
    slices: dict[str, tuple[StoredSlice, ...]] = {}
    warnings = []
    for split in SPLITS:
        chosen = [each for each in with_lesion if assigned[each.patient_id] == split]
        pool = [each for each in without_lesion if assigned[each.patient_id] == split]
        wanted = round(sampling.ratio * len(chosen))
        if wanted > len(pool) and split in study.read_splits:
            everywhere = candidates_without_lesion(scans, "any_scan", shown=shown)
            more = sum(assigned[each.patient_id] == split for each in everywhere) - len(pool)
            warnings.append(_too_few(split, wanted, len(pool), more))
        rng = generator(study.seed, "negatives", fold_name(fold), split)
        slices[split] = tuple(sorted([*chosen, *sample_from(pool, wanted, rng)], key=by_scan_and_z))
    return slices, warnings


def _with_whole_scans(division: Division, scans: Sequence[Scan], splits: Sequence[str]) -> Division:
    """Return the division with the slices that complete the scans of these splits, even if a modality does not
    show them."""
    sampled = {(each.scan_id, each.z) for _, each in division.order}
    patients = {name: set(division.patients[name]) for name in splits}
    whole = [(name, scan) for name in splits for scan in scans if scan.patient_id in patients[name]]
    others = tuple(
        (name, StoredSlice(scan.patient_id, scan.scan_id, z, scan.lesion_px[z] > 0))
        for name, scan in whole
        for z in range(scan.slices)
        if (scan.scan_id, z) not in sampled
    )
    return replace(division, others=others, whole_scans=tuple(scan.scan_id for _, scan in whole))


def _too_few(split: str, wanted: int, there: int, more: int) -> Sentence:
    """Return the warning that slices without lesion run out. `more` of them are in scans with lesion, which the study
    does not sample from."""
    taken = (
        f"{IN_WORDS[split]}: ",
        (wanted, "slice"),
        " without lesion wanted, ",
        (there, ""),
        " exist; all are taken",
    )
    never = "the networks are never shown a slice without lesion"
    if not more:
        return Sentence(
            (*taken, "" if there else f": {never}: add scans that hold some, or more of their slices")
        )
    cure = " more stand in scans with lesion: set `sampling: {negatives: any_scan}` to use them"
    return Sentence((*taken, ". ", (more, ""), cure + ("" if there else f", or {never}")))


def modalities_used(study: Study) -> tuple[str, ...]:
    """Return every modality that some variant of the study uses, sorted."""
    return tuple(sorted({name for variant in study.variants.values() for name in variant.modalities}))


def _fixed(scans: Sequence[Scan], study: Study) -> list[Sentence]:
    """Return warnings that the manifest fixes the splits, and that some settings of shares therefore change nothing."""
    if not any(scan.split for scan in scans):
        return []
    shares = (
        "split.test is" if study.split.validation_unit == "slice" else "split.test and split.validation are"
    )
    return [Sentence((f"patients are split as the manifest's column split says; {shares} not used",))]


def _unseen(scans: Sequence[Scan], shown: Sequence[str]) -> list[Sentence]:
    counts = [len(unseen) for scan in scans if (unseen := scan.unseen(shown))]
    if not counts:
        return []
    few = ((sum(counts), "slice"), " of ", (len(counts), "scan"))
    return [Sentence((*few, f" never sampled: a modality does not show them, since {WHY_UNSEEN}"))]


def _patients_of(
    slices: Mapping[str, tuple[StoredSlice, ...]], assigned: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return the patients of each split, with sampled slices or without. With validation by slices, the patients of
    slices taken for validation are in validation too."""
    return {
        split: tuple(
            sorted(
                {p for p, name in assigned.items() if name == split}
                | {each.patient_id for each in slices[split]}
            )
        )
        for split in SPLITS
    }
