"""Compares whose the DICOM files are by their headers: one patient under two ids of the manifest, or two in one row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from data_prep.manifest.manifest import Row
from data_prep.oddities.oddity import MAJORITY_SHARE, MASK, Odd, of_cohort, of_some, scans_in_words
from data_prep.volumes.volume import Whose
from hnscc.base.in_words import count_of
from hnscc.cohort.store_format import Scan

LEAST_PATIENTS = 3  # patients in DICOM: an id that most of so many bear is an anonymiser's, not a patient's

# Whose each file of a scan says it is, by modality or MASK.
Files = Mapping[str, Whose]


def odd_whose(rows: Sequence[Row], scans: Sequence[Scan], files: Sequence[Files]) -> Iterator[Odd]:
    """Yield what DICOM headers say against the manifest.

    It is `refused` where two patients of the manifest share the patient's id and the DICOM study or the frame of
    reference in DICOM, since one patient may then stand in training and test.
    """
    mixed = [
        scan
        for scan, of in zip(scans, files, strict=True)
        if len({each.patient for each in of.values() if each.patient}) > 1
    ]
    names = (*rows[0].files, MASK)
    text = "files bear different patient ids in DICOM: are all of them of one patient?"
    yield from of_some(scans, mixed, text, files=names)
    yield from _one_under_two(rows, files)


def _one_under_two(rows: Sequence[Row], files: Sequence[Files]) -> Iterator[Odd]:
    """Yield sentences on patients of the manifest who are one patient by DICOM."""
    known = [
        (row, of) for row, of in zip(rows, files, strict=True) if any(each.patient for each in of.values())
    ]
    patients = {row.patient_id for row, _ in known}
    told: set[frozenset[str]] = set()
    for kind, share in _KINDS.items():
        bearing: dict[tuple[str, str], list[Row]] = {}
        for row, of in known:
            for key in filter(all, {share(each) for each in of.values()}):
                bearing.setdefault(key, []).append(row)
        for alike in bearing.values():
            ids = frozenset(row.patient_id for row in alike)
            pairs = {frozenset(pair) for pair in combinations(ids, 2)}
            if len(ids) < 2 or pairs <= told:
                continue
            told |= pairs
            common = len(patients) >= LEAST_PATIENTS and len(ids) >= MAJORITY_SHARE * len(patients)
            if common and not kind:
                continue
            which = scans_in_words([row.scan_id for row in alike])
            bearing_one = f"{which} of {count_of(len(ids), 'patient')} bear one patient id{kind} in DICOM"
            text = f"{bearing_one}: are they one patient?"
            yield of_cohort(text, refused=bool(kind) and not common)


# What files share that says that they are of one patient, the surest first: the words for it, and the values compared.
_KINDS: dict[str, Callable[[Whose], tuple[str, str]]] = {
    " and one study": lambda whose: (whose.patient, whose.dicom_study),
    " and one frame of reference": lambda whose: (whose.patient, whose.frame),
    "": lambda whose: (whose.patient, whose.patient),
}
