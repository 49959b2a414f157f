"""Tells the series of a DICOM folder apart by a key and chooses one; what is no volume is named by its kind."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydicom.uid import UID

from data_prep.dicom.header import exact_text_of, lacking_attribute, maybe_numbers, text_of, unusable
from data_prep.dicom.instances import Instance, instances_of
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of, first_of

_STORAGE = "1.2.840.10008.5.1.4.1.1."
# What is read as a volume, by SOP class: its modality.
VOLUMES = {
    **dict.fromkeys((f"{_STORAGE}2", f"{_STORAGE}2.1", f"{_STORAGE}2.2"), "CT"),
    **dict.fromkeys((f"{_STORAGE}4", f"{_STORAGE}4.1", f"{_STORAGE}4.4"), "MR"),
    **dict.fromkeys((f"{_STORAGE}128", f"{_STORAGE}130", f"{_STORAGE}128.1"), "PT"),
}
_PICTURES = {  # words of ImageType that say that an instance is no slice
    "LOCALIZER": "a localiser (scout)",
    "SCREEN SAVE": "a secondary capture (screenshot)",
    "MIP": "a projection (MIP)",
    "MOSAIC": "a mosaic of slices (Siemens)",
    "PROJECTION IMAGE": "a projection (MIP)",
}
MOST_SERIES_TOLD = 30  # series, in an error


@dataclass(frozen=True)
class Series:
    """The files of one series. `uid`, `patient` and `dicom_study` may identify a person: they are for comparisons, and
    for the files that a user asks for, never for a log, a table or an error."""

    uid: str = field(repr=False)
    patient: str = field(repr=False)
    dicom_study: str = field(repr=False)
    frame_of_reference: str = field(repr=False)
    instances: tuple[Instance, ...] = field(repr=False)
    modality: str  # CT, MR, PT; "" of what is no volume
    kind: str  # what it is, in words
    where: str  # the row and column that named it, for errors

    @cached_property
    def key(self) -> str:
        """What stands for the UID (`key_of`)."""
        return key_of(self.uid)

    @property
    def slices(self) -> int:
        """Slices, the frames of enhanced objects counted."""
        return sum(_frames(each, self.where) for each in self.instances)

    @property
    def size(self) -> str:
        """Columns x rows of the first slice."""
        header = self.instances[0].header
        sides = [maybe_numbers(header, name, 1, self.where) for name in ("Columns", "Rows")]
        return " x ".join(f"{side[0]:g}" if side else "?" for side in sides)


def key_of(uid: str) -> str:
    """Return eight characters that stand for a series' UID and do not tell it: the beginning of its SHA-256."""
    return hashlib.sha256(uid.encode()).hexdigest()[:8]


def all_series(path: Path, where: str, *, pixels: bool = False) -> list[Series]:
    """Return every series of a folder, or of the one file that `path` is, by modality and key.

    With `pixels` the files' pixel data are read too (see `instances_of`).

    InputError where a file cannot be read, or does not say to which series it belongs.
    """
    return group_series(instances_of(path, where, pixels=pixels), where)


def group_series(instances: Iterable[Instance], where: str) -> list[Series]:
    """Return the series that these instances make, by modality and key."""
    groups: dict[str, list[Instance]] = {}
    for each in instances:
        uid = text_of(each.header, "SeriesInstanceUID", where)
        if not uid:
            raise lacking_attribute("SeriesInstanceUID", where)
        groups.setdefault(uid, []).append(each)
    series = [_series(uid, group, where) for uid, group in groups.items()]
    return sorted(series, key=lambda each: (each.modality, each.kind, each.key))


def choose_series(series: list[Series], chosen: str | None, where: str) -> Series:
    """Return the volume that a cell means: the series of that UID or key, or the only volume of the folder.

    InputError where there is none, and where there are several and none is chosen: it lists them by key.
    """
    if chosen is not None:
        named = [each for each in series if chosen.strip().upper() in (each.uid, each.key.upper())]
        if not named:
            raise _to_choose(
                "The folder holds no such series.", series, count_of(len(series), "other"), where
            )
    else:
        named = [each for each in series if each.modality]
        if len(named) > 1:
            raise _to_choose("The folder holds several series.", named, f"{len(named)} series", where)
    if not named or not named[0].modality:
        kinds = ", ".join(sorted({each.kind for each in named or series}))
        raise unusable(
            "What is named holds no volume.",
            where,
            "a series of PET, MR or CT slices",
            kinds,
            "Name the folder, and where it holds several, the series of the images: `hnscc scan FOLDER` lists them.",
        )
    return named[0]


def _to_choose(problem: str, series: list[Series], found: str, where: str) -> InputError:
    lines = [f"#{each.key}: {kind_and_size(each)}" for each in series]
    return unusable(
        problem,
        where,
        "one volume, or the choice of one",
        f"{found}, of these:\n    " + first_of(lines, MOST_SERIES_TOLD, "\n    "),
        "Write the series behind the folder, after a #: its key as listed, or its SeriesInstanceUID "
        "(folder#KEY). `hnscc scan FOLDER` lists more of each.",
    )


def kind_and_size(series: Series) -> str:
    """Return a series in words: kind, slices and size."""
    if not series.modality:
        return series.kind
    return f"{series.kind}, {count_of(series.slices, 'slice')} of {series.size} pixels"


def _series(uid: str, instances: list[Instance], where: str) -> Series:
    header = instances[0].header
    classes = {text_of(each.header, "SOPClassUID", where) for each in instances}
    sop_class, *others = sorted(classes)
    kind = "objects of several kinds under one series" if others else _kind(sop_class)
    for each in instances:
        words = text_of(each.header, "ImageType", where).split("\\")
        kind = next((told for word, told in _PICTURES.items() if word in words), kind)
    modality = VOLUMES.get(sop_class, "")
    return Series(
        uid=uid,
        patient=exact_text_of(header, "PatientID", where),
        dicom_study=text_of(header, "StudyInstanceUID", where),
        frame_of_reference=text_of(header, "FrameOfReferenceUID", where),
        instances=tuple(instances),
        modality=modality if kind == _kind(sop_class) else "",
        kind=kind,
        where=where,
    )


def _kind(sop_class: str) -> str:
    """Return a SOP class by the standard's own name; one that the standard does not know could contain anything."""
    name = UID(sop_class).name
    return "objects of an unknown kind" if name == sop_class else name.removesuffix(" Storage")


def _frames(instance: Instance, where: str) -> int:
    frames = maybe_numbers(instance.header, "NumberOfFrames", 1, where)
    return int(frames[0]) if frames else 1
