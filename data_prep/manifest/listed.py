"""Says what a folder's scans are; for volumes that are not DICOM, whose each file is and which column it belongs to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.dicom.series_in_folder import plane_of
from data_prep.files.names import IMAGE, MASK, Named
from data_prep.files.volumes_in_folder import FoundFile
from data_prep.manifest.columns import USUAL
from data_prep.manifest.preferred import first_fitting, fits_pattern
from hnscc.base.in_words import count_of

_BYTES = ("uint8", "int8", "bool")  # number types in which masks are stored, but hardly any image
_NO_PATIENT = "its path does not say whose it is"


@dataclass(frozen=True)
class ListedScan:
    """A scan of a listing that holds a volume.

    images: by column, the absolute path of the series, with its key after a `#`. mask: the file of its contours or
    segments; None where there is none, or of organs alone. Of several series or masks, `scans_of` takes one. regions:
    the names in that mask. chosen: by column, a sentence on what was taken of several; unclear: by column, a sentence
    on why nothing was taken though there is something; several: the columns that more than one file may fill.
    """

    patient: str
    scan: str
    images: dict[str, Path] = field(repr=False)
    mask: Path | None = field(repr=False)
    regions: tuple[str, ...]
    chosen: dict[str, str]
    unclear: dict[str, str] = field(default_factory=dict)
    several: tuple[str, ...] = ()

    @property
    def region(self) -> str:
        """The only region of its mask; "" where there are several, of which a user must choose."""
        return self.regions[0] if len(self.regions) == 1 else ""


@dataclass(frozen=True)
class ListedFile:
    """One volume. `patient` and `scan` are pseudonyms, "" where its path does not say whose it is.

    column: what it is taken for: a modality, mask, or "" where that is unclear. modality: for a mask, the image that
    its name says it was drawn on. by: what says so, name or header. numbers: how its values are stored, such as uint8.
    shape: voxels along x, y and z; spacing_mm: their distances; plane: that of the slices. These three are empty where
    it cannot be read. remark: why it cannot be read, is taken for nothing, or for what it is. organ: what a mask's name
    says that it shows, where that is no lesion; "" otherwise.
    """

    patient: str
    scan: str
    column: str
    modality: str
    by: str
    numbers: str
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    plane: str
    remark: str
    path: Path = field(repr=False)
    organ: str = ""


def list_volumes(
    found: Sequence[FoundFile], patients: Mapping[tuple[str, ...], str], scans_before: Mapping[str, int]
) -> list[ListedFile]:
    """Return the files with what each is taken for, by patient and scan.

    patients: the pseudonym of each patient that the paths name. scans_before: how many scans each pseudonym has
    already; those of the files are numbered from there on.
    """
    visits = _visits(found)
    columns = _columns(found)
    order = sorted(range(len(found)), key=lambda at: (patients.get(found[at].named.patient, ""), visits[at]))
    numbers: dict[str, dict[tuple[str, ...], int]] = {}
    listed = []
    for at in order:
        patient = patients.get(found[at].named.patient, "")
        own = numbers.setdefault(patient, {})
        number = own.setdefault(visits[at], scans_before.get(patient, 0) + len(own) + 1)
        listed.append(_listed(found[at], columns[at], patient, f"{patient}_{number}" if patient else ""))
    return listed


@dataclass(frozen=True)
class _Taken:
    """What a file is taken for, what says so, and a remark on it."""

    column: str
    by: str = "name"
    remark: str = ""
    organ: str = ""


def _listed(file: FoundFile, taken: _Taken, patient: str, scan: str) -> ListedFile:
    grid = file.grid
    drawn_on = file.named.modalities[0] if taken.column == MASK and len(file.named.modalities) == 1 else ""
    return ListedFile(
        patient=patient,
        scan=scan,
        column=taken.column if patient and not file.fault else "",
        modality=drawn_on,
        by=taken.by,
        numbers=file.numbers,
        shape=grid.shape if grid else (),
        spacing_mm=tuple(round(float(each), 4) for each in grid.spacing) if grid else (),
        plane=plane_of(grid) if grid and grid.oriented else "",
        remark=file.fault or (taken.remark if patient else _NO_PATIENT),
        path=file.path,
        organ=taken.organ if patient and not file.fault else "",
    )


def _visits(found: Sequence[FoundFile]) -> list[tuple[str, ...]]:
    """Return the words of each file's visit; a file whose path names none belongs to the patient's only visit."""
    known: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for each in found:
        known.setdefault(each.named.patient, set()).add(each.named.scan)
    answers = []
    for each in found:
        others = sorted(known[each.named.patient] - {()})
        answers.append(others[0] if not each.named.scan and len(others) == 1 else each.named.scan)
    return answers


def _columns(found: Sequence[FoundFile]) -> list[_Taken]:
    """Return what each file is taken for.

    MRI is called mri where the folder holds one kind of it, otherwise by its sequence. Images are called image where no
    path names a modality.
    """
    names = [_sole(each.named) for each in found if not _is_mask_by_name(each)]
    sequences = {name for name in names if name and name not in ("pet", "ct") and "channel" not in name}
    anonymous = not any(names)
    return [_taken(each, sequences, anonymous) for each in found]


def _taken(file: FoundFile, sequences: set[str], anonymous: bool) -> _Taken:
    says = file.named
    if says.no_lesion or (says.organ and not says.modalities and file.numbers in _BYTES):
        return _Taken(
            "", "name", f"a mask of something else than a lesion ({says.organ}), by its name", says.organ
        )
    if _is_mask_by_name(file):
        organ = says.organ_in_id
        remark = f"its name says {organ}: look whether it shows the lesion alone" if organ else ""
        return _Taken(MASK, "name", remark, organ)
    if says.in_masks and says.modalities:
        return _Taken("", remark="its folder's name says mask, its own an image, and its values are no bytes")
    if len(says.modalities) > 1:
        return _Taken("", remark=f"its name says {' and '.join(says.modalities)}")
    if says.modalities:
        name = says.modalities[0]
        return _Taken("mri" if sequences == {name} else name)
    if file.numbers in _BYTES:
        return _Taken(MASK, "header", "its name says nothing, its values are bytes, as those of masks are")
    return _Taken(IMAGE) if anonymous else _Taken("", remark="its name says neither mask nor modality")


def _is_mask_by_name(file: FoundFile) -> bool:
    """Return whether its own name says mask; or its folder's name does, and its own says nothing else or its values
    are bytes."""
    says = file.named
    in_folder = says.in_masks and (not says.modalities or file.numbers in _BYTES)
    return not says.no_lesion and (says.mask or in_folder)


def _sole(says: Named) -> str:
    return says.modalities[0] if len(says.modalities) == 1 else ""


def candidates(files: Iterable[ListedFile], prefer: Sequence[str]) -> dict[str, list[ListedFile]]:
    """Return the files of one scan by column, images first; several for a column where it is unclear which is meant.

    prefer: patterns of file names; of several files, only those are kept that fit the first pattern that any of them
    fits. A file that only its header makes a mask counts only where no name says mask.
    """
    found: dict[str, list[ListedFile]] = {}
    for each in files:
        if each.column:
            found.setdefault(each.column, []).append(each)
    ordered = sorted(found, key=lambda name: (name == MASK, [*USUAL, name].index(name), name))
    return {name: _preferred(_named_first(found[name]), prefer) for name in ordered}


def _named_first(files: list[ListedFile]) -> list[ListedFile]:
    return [each for each in files if each.by == "name"] or files


def _preferred(files: list[ListedFile], prefer: Sequence[str]) -> list[ListedFile]:
    """Return those of several files that fit the first pattern that any of them fits, or else all of them."""
    pattern = first_fitting([each.path.name for each in files], prefer) if len(files) > 1 else None
    return [each for each in files if pattern is None or fits_pattern(each.path.name, pattern)]


def scan_of_files(files: Sequence[ListedFile], prefer: Sequence[str]) -> ListedScan:
    """Return the scan that one or more files make. prefer: patterns of file names, as for `candidates`."""
    images: dict[str, Path] = {}
    chosen: dict[str, str] = {}
    unclear: dict[str, str] = {}
    for name, own in candidates(files, prefer).items():
        if len(own) > 1:  # else nothing is unclear here
            unclear[name] = f"{count_of(len(own), 'file')} may be {name}{_drawn_on(own)}, and none was taken"
            continue
        images[name] = own[0].path.absolute()
        if own[0].organ:
            chosen[name] = f"a file is taken for the {name} though {own[0].remark}"
        elif own[0].by != "name":
            chosen[name] = f"a file is taken for the {name} by its {own[0].by}: {own[0].remark}"
    mask = images.pop(MASK, None)
    return ListedScan(
        patient=files[0].patient,
        scan=files[0].scan,
        images=images,
        mask=mask,
        regions=(),
        chosen=chosen,
        unclear=unclear,
        several=tuple(unclear),
    )


def _drawn_on(files: Sequence[ListedFile]) -> str:
    names = [each.modality or "none" for each in files]
    return f" (by their names of {', '.join(sorted(names))})" if any(each.modality for each in files) else ""
