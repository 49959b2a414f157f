"""The slices that a fold samples: those with lesion, evenly over patients, and those without. Only the store's index
is read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from hnscc.base.seeds import generator
from hnscc.cohort.store_format import Scan
from hnscc.study.section_schema import Negatives


@dataclass(frozen=True, order=True)
class StoredSlice:
    """One slice of a scan in the store; `with_lesion` says whether its stored mask holds lesion pixels."""

    patient_id: str
    scan_id: str
    z: int
    with_lesion: bool


def sample_with_lesion(
    scans: Iterable[Scan], most: int | None, *, seed: int, shown: Sequence[str] = ()
) -> list[StoredSlice]:
    """Return every slice with lesion in its stored mask, or `most` of them, sampled evenly over the patients.

    Slices that a modality in `shown` does not show are left out. The result is sorted by patient, scan and z. The
    sampling depends only on `seed` and the patient.
    """
    by_patient: dict[str, list[StoredSlice]] = {}
    for scan in scans:
        for z in shown_with_lesion(scan, shown):
            by_patient.setdefault(scan.patient_id, []).append(
                StoredSlice(scan.patient_id, scan.scan_id, z, True)
            )
    quota = _even_quota({patient: len(own) for patient, own in by_patient.items()}, most)
    chosen: list[StoredSlice] = []
    for patient in sorted(by_patient):
        chosen += sample_from(
            sorted(by_patient[patient]), quota[patient], generator(seed, "positives", patient)
        )
    return chosen


def candidates_without_lesion(
    scans: Iterable[Scan], kind: Negatives, *, shown: Sequence[str] = ()
) -> list[StoredSlice]:
    """Return the slices without lesion on the mask's own grid: of lesion-free scans, or of any scan.

    kind: one of the words of the setting sampling.negatives; ValueError for another word. A slice that lost its
    lesion in the resize counts as neither with nor without lesion. Slices that a modality in `shown` does not show
    are left out.
    """
    if kind not in get_args(Negatives):
        known = ", ".join(get_args(Negatives))
        raise ValueError(f"negatives come from one of {known}, not from {kind!r}; name one of these")
    return [
        StoredSlice(scan.patient_id, scan.scan_id, z, False)
        for scan in scans
        if kind == "any_scan" or not scan.has_lesion
        for z in slices_shown(scan, shown)
        if not scan.source_lesion_px[z]
    ]


def slices_shown(scan: Scan, modalities: Sequence[str]) -> list[int]:
    """Return the slices that all of these modalities show."""
    unseen = scan.unseen(modalities)
    return [z for z in range(scan.slices) if z not in unseen]


def shown_with_lesion(scan: Scan, modalities: Sequence[str]) -> list[int]:
    """Return the slices that all of these modalities show and whose stored mask holds lesion."""
    return [z for z in slices_shown(scan, modalities) if scan.lesion_px[z]]


def _even_quota(available: Mapping[str, int], most: int | None) -> dict[str, int]:
    """Share `most` out evenly over the patients. What a patient cannot fill goes to the others, and a remainder to the
    first ids."""
    quota = dict.fromkeys(available, 0)
    left = sum(available.values()) if most is None else min(most, sum(available.values()))
    while left:
        open_to = [patient for patient in sorted(available) if quota[patient] < available[patient]]
        for patient in open_to[:left]:
            quota[patient] += 1
        left -= len(open_to[:left])
    return quota


def sample_from(pool: Sequence[StoredSlice], n: int, rng: np.random.Generator) -> list[StoredSlice]:
    """Sample `n` slices of the pool without replacement, or all if it has fewer. They keep the pool's order."""
    chosen = rng.permutation(len(pool))[:n]
    return [pool[i] for i in sorted(chosen)]


def share_of(share: float, n: int, *, at_least: bool) -> int:
    """Return how many of `n` a share (0 to 1) is. With `at_least` it is at least one, if `n` is two or more."""
    return max(round(share * n), 1 if at_least and n > 1 else 0)


def validation_by_slices(
    slices: Mapping[str, tuple[StoredSlice, ...]], share: float, rng: np.random.Generator
) -> dict[str, tuple[StoredSlice, ...]]:
    """Move a share of training's slices to validation, of those with and without lesion alike, as the paper did."""
    validation: set[StoredSlice] = set()
    for with_lesion in (True, False):
        stratum = [each for each in slices["train"] if each.with_lesion == with_lesion]
        validation |= set(sample_from(stratum, share_of(share, len(stratum), at_least=with_lesion), rng))
    train = tuple(each for each in slices["train"] if each not in validation)
    return {
        "train": train,
        "validation": tuple(sorted(validation, key=by_scan_and_z)),
        "test": slices["test"],
    }


def by_scan_and_z(each: StoredSlice) -> tuple[str, int]:
    """Return the key that sorts slices in canonical order within a split."""
    return each.scan_id, each.z
