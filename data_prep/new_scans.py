"""Scans that a model has not seen: listed by a manifest or without one, and placed as the scans of the model's study.

A scan is refused where its unit of values and the study's are known and differ. Where only one is known, the user is
told so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.dicom.suv import BODY_WEIGHT, LEAN_BODY_MASS, UNITS
from data_prep.files.read import names_volume
from data_prep.manifest.manifest import Row, examine_manifest, raise_all
from data_prep.manifest.without import row_of_files, rows_of_folders
from data_prep.placing.place import place_scan
from data_prep.placing.way_back import own_voxels
from data_prep.row_files import volumes_of
from data_prep.volumes.volume import Grid, Volume, to_lps, turned_to_lps
from hnscc.base.arrays import Bools, Images, Masks, Spacing
from hnscc.base.errors import InputError, several
from hnscc.base.in_words import count_of
from hnscc.base.locations import check_places
from hnscc.cohort.placement import Placement, unseen_slices
from hnscc.cohort.store_format import DrawnMask, Placing, suv_modality

# A manifest; one or several folders of scans; or the files of one scan by column (modalities, and perhaps mask
# and roi).
Scans = str | Path | Sequence[str | Path] | Mapping[str, str | Path]

_FOLDER, _MANIFEST = "a folder", "a file that may be a manifest"


@dataclass(frozen=True)
class Own:
    """The voxels of one image as its file holds them, turned to LPS.

    `values` (Z, Y, X) are raw, `grid` is the grid of the file, and `spacing_mm` is the distance of voxels along z, y
    and x.
    """

    values: NDArray[np.float32]
    grid: Grid
    spacing_mm: Spacing

    def covered(self, lesion: Bools, grid: Grid) -> Bools:
        """Return the voxels, bool (Z, Y, X), that a lesion covers (data_prep.placing.way_back).

        lesion: bool (Z, Y, X) on `grid`, which lies LPS.
        """
        return own_voxels(lesion, grid, self.grid)


@dataclass(frozen=True)
class UnitsOfValues:
    """A modality's unit of values in the study's files and in those of a new scan; "" where it is unknown."""

    study: str
    scan: str

    @property
    def differ(self) -> bool:
        """Whether both units are known, and they differ."""
        return bool(self.study and self.scan) and self.study != self.scan

    @property
    def text(self) -> str:
        """What a user should know of the two units, in words; "" where they are the same or both unknown."""
        if self.study == self.scan:
            return ""
        if not self.scan:
            return f"the study's values are in {self.study}, and this scan's file does not say its own unit of values"
        if not self.study:
            return f"the file is in {self.scan}, and the study's unit of values is not known"
        return f"the file is in {self.scan}, and those of the study are in {self.study}"


@dataclass(frozen=True)
class NewScan:
    """One scan that was placed.

    `images` (Z, C, H, W) float32 are its stored slices, with the modalities C in the order asked for. `pixel_mm` is the
    distance between their rows, then between their columns. `grid` is the grid of the reference modality, turned to
    LPS. `drawn` is the scan's mask as it was drawn, or None; `stored_truth` (Z, H, W) is the same mask on the stored
    slices. `volumes` are the scan's files, each oriented, and registered where those of the study were. `placement`
    says how a mask of stored slices is mapped back (data_prep.placing.way_back). `assumed` names the files that state
    no orientation, so that one was assumed. `mask_told` are sentences on what was assumed or left out when the mask was
    read. `units_of_values` are the units of each modality.
    """

    row: Row
    images: Images
    pixel_mm: tuple[float, float]
    grid: Grid
    drawn: DrawnMask | None
    stored_truth: Masks
    volumes: dict[str, Volume]
    placement: Placement
    assumed: tuple[str, ...]
    mask_told: tuple[str, ...]
    units_of_values: dict[str, UnitsOfValues]

    @property
    def spacing_mm(self) -> Spacing:
        """The distance of the grid's voxels in mm along z, y and x."""
        x, y, z = (float(each) for each in self.grid.spacing)
        return z, y, x

    @property
    def in_suv(self) -> str | None:
        """The modality whose file states SUV as its unit of values, or None."""
        return suv_modality({name: volume.unit for name, volume in self.volumes.items()})

    def own(self, modality: str) -> Own:
        """Return a modality as its file holds it, turned to LPS."""
        volume = self.volumes[modality]
        x, y, z = (float(each) for each in to_lps(volume.grid).spacing)
        return Own(turned_to_lps(volume.data, volume.grid).T, volume.grid, (z, y, x))

    def unseen(self, modalities: Iterable[str]) -> list[int]:
        """Return the stored slices (z) that at least one of these modalities does not show, in rising order."""
        return sorted(unseen_slices(self.placement, modalities))


def list_scans(
    scans: Scans,
    needed: Sequence[str],
    reference: str | None = None,
    pseudonyms: str | Path | None = None,
) -> list[Row]:
    """Return one row for each scan that is named by a manifest, by a file for each modality, or by folders of scans.

    A row holds the files of the needed modalities alone. A manifest may lack the column `mask`, and its columns of
    other modalities are ignored. Scans that no manifest names are given ids: scan-1 of patient-1 for files, the
    pseudonyms of `hnscc scan` for folders. No volume is opened.

    reference: the needed modality that every variant needs. pseudonyms: for folders, the CSV that keeps which patient
    each pseudonym stands for. InputError reports all faults of the manifest, or needed modalities that are missing; it
    is raised, too, where the scans are named in none of the three ways, or where pseudonyms are given without folders.
    """
    if pseudonyms is not None:
        check_places(pseudonyms=pseudonyms)
    if isinstance(scans, Mapping):
        _refuse_pseudonyms(pseudonyms)
        return [row_of_files(scans, needed, reference)]
    listed = scans if isinstance(scans, Sequence) and not isinstance(scans, str) else [scans]
    for each in listed:
        check_places(scans=each)
    paths = [Path(each) for each in listed]
    kinds = {_kind(path) for path in paths}
    if kinds == {_FOLDER}:
        return rows_of_folders(paths, needed, reference, None if pseudonyms is None else Path(pseudonyms))
    if len(paths) != 1 or kinds != {_MANIFEST}:
        raise _no_scans(len(paths), kinds)
    _refuse_pseudonyms(pseudonyms)
    rows, faults = examine_manifest(paths[0], needed=needed, reference=reference)
    raise_all(faults)
    return [replace(row, files={name: row.files[name] for name in needed}) for row in rows]


def _refuse_pseudonyms(pseudonyms: str | Path | None) -> None:
    if pseudonyms is not None:
        raise InputError(
            "There are no pseudonyms to keep.",
            where="--pseudonyms",
            expected="folders of scans, whose patients are given pseudonyms",
            found="scans whose ids do not come from their files",
            do="Leave --pseudonyms out, or name the scans by their folders.",
        )


def _kind(path: Path) -> str:
    """Return what kind of thing a path names, in words."""
    try:
        if path.is_dir():
            return _FOLDER
        if not path.exists():
            return "nothing that is there"
        return "a file of one image or mask" if names_volume(path) else _MANIFEST
    except (OSError, ValueError) as error:  # the text of the error holds the path
        return f"a path that cannot be looked up ({getattr(error, 'strerror', None) or type(error).__name__})"


def _no_scans(paths: int, kinds: Iterable[str]) -> InputError:
    """Return an error without the paths, which may be those of patients' files."""
    return InputError(
        "The scans are named in no way that is known.",
        where="SCANS",
        expected="one manifest (CSV); or the files of one scan as pet=FILE mri=FILE; or folders of DICOM or others",
        found=f"{count_of(paths, 'argument')}: {', '.join(sorted(kinds)) or 'nothing'}",
        do="Name the scans in one of these three ways: `hnscc predict RUN manifest.csv --out DIR`, `hnscc predict RUN "
        "pet=pet.nii.gz mri=mri.nii.gz --out DIR`, or `hnscc predict RUN FOLDER --out DIR`.",
    )


def place_new(
    row: Row,
    modalities: Sequence[str],
    placing: Placing,
    *,
    pet_is_suv: bool = False,
    accept_other_unit: bool = False,
) -> NewScan:
    """Read one scan and place it by the rules of `hnscc prepare`.

    modalities: the channels of `images`, in their order; the reference is read even where it is none of them. placing:
    that of the study's scans. Where it does not say how PET of DICOM becomes SUV, the kind of SUV follows from the
    study's units of values, and is by body weight where they do not say. pet_is_suv: the user says that the modality
    `pet` is in SUV of the study's kind, where its file states no unit of values. InputError is raised as by
    data_prep.placing.place.place_scan, and where a file's unit of values differs from the study's, unless
    `accept_other_unit` is set.
    """
    volumes, read = volumes_of(row, placing.reference, placing.suv or _suv_of(placing.units_of_values))
    assumed = tuple(name for name, volume in volumes.items() if not volume.grid.oriented)
    placed = place_scan(volumes, read.volume if read else None, placing, where=row.where)
    channels = [list(volumes).index(name) for name in modalities]
    known = read is not None or row.said_free  # an empty cell does not say that there is no lesion
    units = _units_of(placed.volumes, placing.units_of_values, pet_is_suv=pet_is_suv)
    if not accept_other_unit:
        _check_units(units, row.where)
    return NewScan(
        row=row,
        images=np.ascontiguousarray(placed.images[:, channels]),
        pixel_mm=placed.spacing_mm[1:],
        grid=to_lps(placed.volumes[placing.reference].grid),
        drawn=placed.lesion.drawn if known else None,
        stored_truth=placed.mask,
        volumes=placed.volumes,
        placement=placed.placement,
        assumed=assumed,
        mask_told=read.told if read else (),
        units_of_values=units,
    )


def _suv_of(units: Mapping[str, str]) -> str:
    return LEAN_BODY_MASS if UNITS[LEAN_BODY_MASS] in units.values() else BODY_WEIGHT


def _units_of(
    volumes: Mapping[str, Volume], of_study: Mapping[str, str], *, pet_is_suv: bool
) -> dict[str, UnitsOfValues]:
    """Return the units of values of each modality.

    of_study: the unit of each modality that all files of the study state alike. pet_is_suv: as in `place_new`.
    """
    stated = {name: volume.unit for name, volume in volumes.items()}
    if pet_is_suv and not stated.get("pet"):
        of_pet = of_study.get("pet", "")
        stated["pet"] = of_pet if of_pet in UNITS.values() else UNITS[BODY_WEIGHT]
    return {name: UnitsOfValues(of_study.get(name, ""), unit) for name, unit in stated.items()}


def _check_units(units: Mapping[str, UnitsOfValues], where: str) -> None:
    """Raise InputError where a file's unit of values differs from the study's, since the network learned from
    other numbers."""
    faults = [
        InputError(
            "The scan's unit of values is not the study's.",
            where=f"{where}, column {name}",
            expected=of.study,
            found=of.scan,
            do="Name the file whose values are in that; if it is right as it is, say why: --accept-odd REASON.",
        )
        for name, of in units.items()
        if of.differ
    ]
    if faults:
        raise several(faults)
