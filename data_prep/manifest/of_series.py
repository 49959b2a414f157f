"""Finds the scans in a folder of DICOM: which series and which mask each is made of, and whose its files are."""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from data_prep.dicom.series_in_folder import ListedSeries, Listing
from data_prep.files.names import of_patient, read_name
from data_prep.files.volumes_in_folder import FolderFiles
from data_prep.files.words import Words, organ_alone, says_lesion, words_of
from data_prep.manifest.listed import ListedScan
from data_prep.manifest.preferred import first_fitting, fits_pattern
from hnscc.base.in_words import count_of

COLUMNS = {"PT": "pet", "MR": "mri", "CT": "ct"}  # columns of the manifest by DICOM's modality
_LEAST_OF_SCAN = 15  # slices: a series of fewer is a scout, where there is a longer one


def organs_of_regions(series: ListedSeries) -> list[str]:
    """Return the organs that the regions of a mask are named after; an empty list where a region is named otherwise."""
    organs = [organ_alone(name) for name in series.regions]
    return organs if all(organs) else []


def scans_of(listed: Sequence[ListedSeries], prefer: Sequence[str] = ()) -> list[ListedScan]:
    """Return the scans of listed series that hold a volume without a fault, in their order.

    prefer: patterns of region names, by which one of several masks is chosen.
    """
    scans: dict[str, list[ListedSeries]] = {}
    for each in listed:
        scans.setdefault(each.scan, []).append(each)
    names = Counter(
        name for series in scans.values() for name in {n for each in series for n in each.regions}
    )
    usable = []
    for series in scans.values():
        masks = _masks(series, names, prefer)
        if found := _usable(series, masks[0].drawn_on if masks else frozenset()):
            usable.append(_scan(series, found, masks))
    return usable


def patients_by_words(dicom: Listing, found: Mapping[Path, FolderFiles]) -> dict[Words, str]:
    """Return the pseudonym of the one patient whose DICOM files lie where paths name a patient by these words, or of
    the only one where no path says whose the other files are."""
    places = {(path.parent, series.patient) for series in dicom.series for path in series.paths}
    pairs = {
        (
            of_patient(read_name(place.relative_to(folder).parts, "", each.shared), each.letters).patient,
            patient,
        )
        for folder, each in found.items()
        for place, patient in places
        if place.is_relative_to(folder)
    }
    alone = Counter(words for words, _ in pairs), Counter(patient for _, patient in pairs)
    by_words = {
        words: patient
        for words, patient in pairs
        if words and alone[0][words] == 1 and alone[1][patient] == 1
    }
    below: dict[Words, list[set[str]]] = {}
    for folder, each in found.items():
        patients = {patient for place, patient in places if place.is_relative_to(folder)}
        below.setdefault(each.named_above, []).append(patients)
    # Several outer folders may have one name, such as `dicom`.
    only = {
        words: min(first)
        for words, (first, *more) in below.items()
        if words and len(first) == 1 and more.count(first) == len(more)
    }
    return only | by_words


def _masks(series: Sequence[ListedSeries], names: Counter[str], prefer: Sequence[str]) -> list[ListedSeries]:
    """Return the masks of a scan that may be the lesion's, with the one to take first.

    If a region fits a pattern of `prefer`, only masks are returned with a region that fits the first such pattern.
    Otherwise masks of organs alone, by their regions' names, are left out; masks with a region named lesion, tumour or
    gtv come first, then those with the region name that most scans have.
    """

    def rank(mask: ListedSeries) -> tuple[bool, int, tuple[str, ...], str]:
        says = any(says_lesion(word) for name in mask.regions for word in words_of(name))
        return not says, -max((names[name] for name in mask.regions), default=0), mask.regions, mask.key

    masks = [each for each in series if each.is_mask]
    pattern = first_fitting([name for each in masks for name in each.regions], prefer)
    if pattern is None:
        meant = [each for each in masks if not organs_of_regions(each)]
    else:
        meant = [each for each in masks if any(fits_pattern(name, pattern) for name in each.regions)]
    return sorted(meant, key=rank)


def _scan(
    series: Sequence[ListedSeries], found: dict[str, list[ListedSeries]], masks: Sequence[ListedSeries]
) -> ListedScan:
    images, chosen = {}, {}
    for modality, (first, *others) in found.items():
        column = COLUMNS[modality]
        folder = os.path.commonpath([path.parent.absolute() for path in first.paths])
        images[column] = Path(f"{folder}#{first.key}")
        if others:
            keys = ", ".join(f"#{each.key}" for each in others)
            chosen[column] = f"of {1 + len(others)} series of {modality}, #{first.key} was taken, not {keys}"
    if told := _told_of_masks(series, masks):
        chosen["mask"] = told
    mask = min(masks[0].paths).absolute() if masks else None
    regions = masks[0].regions if masks else ()
    return ListedScan(
        patient=series[0].patient,
        scan=series[0].scan,
        images=images,
        mask=mask,
        regions=regions,
        chosen=chosen,
    )


def _told_of_masks(series: Sequence[ListedSeries], masks: Sequence[ListedSeries]) -> str:
    """Return what is said of a scan's masks where there are others than the first; else "".

    It names no region except organs, since a region may be named after the patient.
    """
    if not masks:
        return ""
    told = []
    first, *others = masks
    if others or first.files > 1:
        of = f"of {count_of(sum(each.files for each in masks), 'mask')}, a file of #{first.key} was taken"
        not_taken = ", ".join(f"#{each.key}" for each in others)
        told.append(f"{of}, not {not_taken}: look at their regions" if others else of)
    left_out = [each for each in series if each.is_mask and each not in masks]
    if organs := sorted({organ for each in left_out for organ in organs_of_regions(each)}):
        told.append(f"{count_of(len(left_out), 'mask')} of organs ({', '.join(organs)}) left out")
    return "; ".join(told)


def _usable(series: Sequence[ListedSeries], drawn_on: Collection[str]) -> dict[str, list[ListedSeries]]:
    """Return the volumes without a fault by modality: first that which the mask was drawn on, then those that are no
    scout and were not derived from others, such as reformatted ones, and of these the one with the most slices.

    drawn_on: the keys of the series that the scan's mask refers to.
    """

    def rank(each: ListedSeries) -> tuple[bool, bool, bool, int, str]:
        scout = each.slices < _LEAST_OF_SCAN
        return each.key not in drawn_on, scout, each.derived, -each.slices, each.key

    found: dict[str, list[ListedSeries]] = {}
    for each in sorted(series, key=rank):
        if each.modality and not each.fault:
            found.setdefault(each.modality, []).append(each)
    return found
