"""Lists what a folder of DICOM holds: patients under pseudonyms, scans, and each series with its geometry or
its fault."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from data_prep.dicom.header import maybe_numbers, quiet, text_of, value_of
from data_prep.dicom.instances import DICOMDIR, TAGS, Instance, dicom_files, read_attributes, without_copies
from data_prep.dicom.mask_files import RTSTRUCT, SEGMENTATIONS
from data_prep.dicom.rtstruct import series_of_structures
from data_prep.dicom.seg import series_of_segments
from data_prep.dicom.series import Series, group_series, key_of
from data_prep.dicom.series_volume import series_stack
from data_prep.dicom.suv import BODY_WEIGHT, suv_factors
from data_prep.volumes.volume import Grid
from hnscc.base.errors import InputError
from hnscc.base.steps import Progress

_WHERE = "the folder"
_MASKS = {
    RTSTRUCT: "a structure set (RTSTRUCT)",
    **dict.fromkeys(SEGMENTATIONS, "a segmentation (SEG)"),
}
_REGIONS = {"StructureSetROISequence": "ROIName", "SegmentSequence": "SegmentLabel"}
# What names the series that a mask was drawn on.
_REFERRING = ("ReferencedFrameOfReferenceSequence", "ReferencedSeriesSequence")
# What must be readable of a file for it to be listed.
_GROUPING = (
    *("SeriesInstanceUID", "SOPClassUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID"),
    *("ImageType", "SeriesDate"),
)
_OBLIQUE_DEGREES = 5.0  # degrees from the nearest plane of the body
_PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class ListedSeries:
    """One series. `patient` and `scan` are pseudonyms; series of a scan share a DICOM study or a frame of reference.

    key: what stands for the series behind a folder in a manifest. modality: PT, MR, CT, or "" of what is no volume;
    kind: what it is, in words. files and slices are counted. shape: voxels along x, y and z, spacing in mm; empty where
    it makes no volume. plane: axial, coronal or sagittal, with "oblique" where it is turned by more than 5 degrees.
    regions: the names in a structure set or segmentation; drawn_on: the keys of the series that it refers to. derived:
    whether its images were computed from others after the examination (ImageType says DERIVED and SECONDARY; parts of a
    Dixon sequence, or of diffusion, are DERIVED and PRIMARY). fault: why it cannot be read; "" where it can.
    """

    patient: str
    scan: str
    key: str
    modality: str
    kind: str
    files: int
    slices: int
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    plane: str
    regions: tuple[str, ...]
    drawn_on: frozenset[str]
    derived: bool
    fault: str
    paths: tuple[Path, ...] = field(repr=False)

    @property
    def is_mask(self) -> bool:
        return self.kind in _MASKS.values()


@dataclass(frozen=True)
class Listing:
    """All series by patient and scan; how many files could not be read; each patient's id with the pseudonym."""

    series: list[ListedSeries]
    unreadable: int
    pseudonyms: dict[str, str] = field(repr=False)


def list_folders(
    folders: Sequence[Path],
    known: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Listing:
    """Read the headers of every DICOM file of some folders, and of those below them, as if one folder held them all.

    known: the pseudonyms of patients by their PatientID, as earlier listings gave them; other patients get new ones.
    progress: called with the files done, their number, and nothing else.
    """
    with quiet():
        instances, unreadable = _instances(folders, progress or (lambda done, total, text: None))
        series = group_series(instances, _WHERE)
        pseudonyms = give_pseudonyms({_patient(each) for each in series}, known or {})
        listed = []
        for patient in sorted({pseudonyms[_patient(each)] for each in series}):
            own = [each for each in series if pseudonyms[_patient(each)] == patient]
            for number, scan in enumerate(_scans(own), start=1):
                listed += [_listed(each, patient, f"{patient}_{number}") for each in scan]
    return Listing(listed, unreadable, pseudonyms)


def give_pseudonyms(patients: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Return a pseudonym for every patient, p001 and so on in the order of their ids, behind those that are `known`."""
    given = dict(known)
    taken = set(given.values())
    numbers = (name for name in (f"p{number:03d}" for number in range(1, 10**6)) if name not in taken)
    for patient in sorted(set(patients) - given.keys()):
        given[patient] = next(numbers)
    return given


def _instances(folders: Sequence[Path], progress: Progress) -> tuple[list[Instance], int]:
    files: list[Path] = []
    unreadable = 0
    for folder in outermost(folders):
        own, strange = dicom_files(folder, _WHERE)
        files, unreadable = files + own, unreadable + strange
    found = []
    for done, file in enumerate(files, start=1):
        try:
            instance = Instance(file, read_attributes(file, _WHERE, [*TAGS, *_REGIONS, *_REFERRING]))
            named, kind, *_ = [text_of(instance.header, name, _WHERE) for name in _GROUPING]
            _regions(instance.header)
            _drawn_on(instance.header)
        except InputError:
            unreadable += 1
            continue
        finally:
            progress(done, len(files), "")
        if named:
            found.append(instance)
        elif kind != DICOMDIR:
            unreadable += 1
    return found, unreadable


def outermost(folders: Sequence[Path]) -> list[Path]:
    """Return the folders without those that stand twice, and those below another one."""
    places = {Path(os.path.realpath(folder)): folder for folder in folders}
    return [folder for place, folder in places.items() if not places.keys() & set(place.parents)]


def _patient(series: Series) -> str:
    """Return the patient's id; without one, that of the DICOM study, so that two unnamed patients never become one."""
    return series.patient or f"study {series.dicom_study or series.uid}"


def _scans(series: list[Series]) -> list[list[Series]]:
    """Return the series of one patient in scans: those that share a DICOM study or a frame of reference, or
    are linked."""
    scans: list[tuple[set[str], list[Series]]] = []
    for each in series:
        marks = {f"study {each.dicom_study}"} | ({each.frame_of_reference} - {""})
        joined = [scan for scan in scans if scan[0] & marks]
        scans = [scan for scan in scans if not scan[0] & marks]
        together = set().union(marks, *(scan[0] for scan in joined))
        scans.append((together, [*(one for scan in joined for one in scan[1]), each]))
    begun = {
        id(group): min(text_of(each.instances[0].header, "SeriesDate", _WHERE) for each in group)
        for _, group in scans
    }
    return sorted((group for _, group in scans), key=lambda group: (begun[id(group)], group[0].key))


def _listed(series: Series, patient: str, scan: str) -> ListedSeries:
    grid, fault = _judged(series)
    header = series.instances[0].header
    return ListedSeries(
        patient=patient,
        scan=scan,
        key=series.key,
        modality=series.modality,
        kind=_MASKS.get(text_of(header, "SOPClassUID", _WHERE), series.kind),
        files=len(series.instances),
        slices=sum(int((_frames(each) or (1,))[0]) for each in series.instances),
        shape=grid.shape if grid else (),
        spacing_mm=tuple(round(float(each), 4) for each in grid.spacing) if grid else (),
        plane=plane_of(grid) if grid else "",
        regions=_regions(header),
        drawn_on=_drawn_on(header),
        derived=text_of(header, "ImageType", _WHERE).split("\\")[:2] == ["DERIVED", "SECONDARY"],
        fault=fault,
        paths=tuple(each.file for each in series.instances),
    )


def _judged(series: Series) -> tuple[Grid | None, str]:
    """Return the grid of a volume, and what keeps it from being read, as `prepare` would say; "" for nothing."""
    if not series.modality:
        return None, ""
    try:
        whole = replace(series, instances=tuple(without_copies(series.instances, _WHERE)))
        ordered, grid = series_stack(whole, _WHERE)
        if series.modality == "PT":
            suv_factors([each.groups[-1] for each in ordered], BODY_WEIGHT, _WHERE)
    except InputError as error:
        return None, error.problem
    return grid, ""


def _frames(instance: Instance) -> tuple[float, ...] | None:
    try:
        return maybe_numbers(instance.header, "NumberOfFrames", 1, _WHERE)
    except InputError:
        return None


def _regions(header: Dataset) -> tuple[str, ...]:
    """The names of regions in a structure set or a segmentation, as they stand there."""
    names: list[str] = []
    for sequence, keyword in _REGIONS.items():
        items = value_of(header, sequence, _WHERE) or ()
        names += [str(value_of(item, keyword, _WHERE) or "") for item in items]
    return tuple(names)


def _drawn_on(header: Dataset) -> frozenset[str]:
    """The keys of the series that a structure set or a segmentation refers to; none of what is no mask."""
    if text_of(header, "SOPClassUID", _WHERE) not in _MASKS:
        return frozenset()
    uids = [*series_of_structures(header, _WHERE), *series_of_segments(header, _WHERE)]
    return frozenset(key_of(uid) for uid in uids if uid)


def plane_of(grid: Grid) -> str:
    """Return the plane of the slices: axial, coronal or sagittal, with "oblique" before it where they are turned."""
    across = np.cross(grid.affine[:3, 0], grid.affine[:3, 1])
    shares = np.abs(across) / np.linalg.norm(across)
    nearest = int(np.argmax(shares))
    turned = float(np.degrees(np.arccos(min(1.0, shares[nearest]))))
    return f"oblique {_PLANES[nearest]}" if turned > _OBLIQUE_DEGREES else _PLANES[nearest]
