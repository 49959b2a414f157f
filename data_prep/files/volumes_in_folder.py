"""Finds the volumes in a folder that are not DICOM, with what their paths and headers say; no values are read."""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from data_prep.dicom.header import unusable
from data_prep.dicom.instances import MAX_FILES, folders_below, is_dicom
from data_prep.files.first_bytes import other_half
from data_prep.files.names import Named, modality_of_channel, of_patient, read_name
from data_prep.files.read import OTHERS, VOLUME_ENDINGS, ending_of, read_grid, read_numbers
from data_prep.files.whose import letters_of_ids, names_person
from data_prep.files.words import Words, words_of
from data_prep.volumes.volume import Grid
from hnscc.base.errors import InputError
from hnscc.base.steps import Progress

_WHERE = "the folder"
A_FEW_FILES = 4  # files of one patient that may be for one cell; more are of several patients
# Endings of files with one or more volumes that are not read.
_OTHERS = (*(ending for endings in OTHERS for ending in endings), ".tif", ".tiff", ".npy")


@dataclass(frozen=True)
class FoundFile:
    """A volume: what its path says, and by its header its grid and how its numbers are stored (such as uint8).

    `fault` says why it cannot be read; grid is then None.
    """

    path: Path = field(repr=False)
    named: Named = field(repr=False)
    grid: Grid | None
    numbers: str
    fault: str


@dataclass(frozen=True)
class FolderFiles:
    """The volumes of a folder by path, and what is known of the folder as a whole.

    That is: how many files of kinds that are not read there are, by ending; how many outer folders hold all scans; how
    ids begin that look like visits; how many dataset.json, in which nnU-Net names channels, cannot be read; whether
    all scans may be of one patient (`_may_be_of_one`); and the words of an outer folder that name the patient of all
    files where no path within says whose they are, else none.
    """

    files: list[FoundFile]
    others: dict[str, int]
    shared: int
    letters: tuple[str, ...]
    unread_channels: int
    may_be_of_one: bool
    named_above: Words


def find_files(folder: Path, beside: Sequence[Path] = (), progress: Progress | None = None) -> FolderFiles:
    """Find the volumes in and below a folder. Hidden files are ignored; links to folders are followed.

    beside: other folders in it that hold scans, of DICOM. The header of an Analyze pair stands for both files.
    progress: called with the files done, and their number. InputError is raised where the folder holds more
    than MAX_FILES.
    """
    paths, others = _volumes_below(folder)
    below = [path.relative_to(folder).parent.parts for path in paths]
    shared = _shared([*below, *(each.relative_to(folder).parts for each in beside)])
    found = []
    channels: dict[Path, dict[str, str] | None] = {}
    for done, (path, folders) in enumerate(zip(paths, below, strict=True), start=1):
        says = read_name(folders, path.name[: -len(ending_of(path.name))], shared)
        if says.channel:
            above = path.parent.parent
            if above not in channels:
                channels[above] = _channels(above)
            says = _by_channel(says, channels[above] or {})
        found.append(_read(path, says))
        if progress is not None:
            progress(done, len(paths), "")
    letters = letters_of_ids((each.named.patient, each.named.scan) for each in found)
    found = [replace(each, named=of_patient(each.named, letters)) for each in found]
    outer = (Path(os.path.realpath(folder)).name, *(below[0][:shared] if below else ()))
    unread = sum(each is None for each in channels.values())
    one = _may_be_of_one(found, outer)
    named_above = () if any(each.named.patient for each in found) or not found else _first_words(outer)
    if named_above:
        found = [replace(each, named=replace(each.named, patient=named_above)) for each in found]
    return FolderFiles(
        files=found,
        others=dict(others),
        shared=shared,
        letters=letters,
        unread_channels=unread,
        may_be_of_one=one,
        named_above=named_above,
    )


def _volumes_below(folder: Path) -> tuple[list[Path], Counter[str]]:
    paths: list[Path] = []
    others: Counter[str] = Counter()
    for at, names in folders_below(folder, lambda error: None):
        for name in (name for name in names if not name.startswith(".")):
            if name.lower().endswith(VOLUME_ENDINGS):
                if not is_dicom(Path(at) / name):  # old archives name slices .img
                    paths.append(Path(at) / name)
            else:
                others.update(sorted((each for each in _OTHERS if name.lower().endswith(each)), key=len)[-1:])
        if len(paths) > MAX_FILES:
            found = f"{len(paths)} or more"
            raise unusable(
                "The folder holds too many files.",
                _WHERE,
                f"at most {MAX_FILES} files",
                found,
                "Name a folder below it.",
            )
    return _each_once(sorted(path for path in paths if not _is_second_half(path))), others


def _each_once(paths: Sequence[Path]) -> list[Path]:
    """Return the paths without links to files that are listed themselves; of several links to one file, only
    the first."""
    links = {path for path in paths if _is(Path.is_symlink, path)}
    files = {os.path.realpath(path) for path in paths if path not in links}
    kept: dict[str, Path] = {}
    for path in paths:
        # Path.resolve raises an error with the path in it where a link leads to itself.
        place = os.path.realpath(path)
        if path not in links or place not in files:
            kept.setdefault(place if path in links else str(path), path)
    return list(kept.values())


def _is_second_half(path: Path) -> bool:
    header = other_half(path) if path.suffix.lower() == ".img" else None
    return header is not None and _is(Path.is_file, header)


def _shared(folders: Sequence[tuple[str, ...]]) -> int:
    """Return how many outer folders all of them share."""
    levels = zip(*folders, strict=False)
    return len(list(takewhile(lambda level: len(set(level)) == 1, levels)))


def _first_words(above: Sequence[str]) -> Words:
    """Return the words of the innermost of some folders, outermost first, that has any."""
    return next((words for name in reversed(above) if (words := words_of(name))), ())


def _may_be_of_one(found: Sequence[FoundFile], above: Sequence[str]) -> bool:
    """Return whether only a letter or number tells a few patients apart, and a folder above all files may be named by
    one patient, as in P01/a_pet and P01/b_pet."""
    patients = {each.named.patient for each in found} - {()}
    few = 1 < len(patients) <= A_FEW_FILES
    bare = all(len(words) == 1 and (words[0].isdecimal() or len(words[0]) == 1) for words in patients)
    return few and bare and any(names_person(words_of(name)) for name in above)


def _by_channel(says: Named, names: Mapping[str, str]) -> Named:
    """Return what an image of nnU-Net shows by the number of its channel, which dataset.json beside its
    folder names."""
    number = int(says.channel)
    return replace(says, modalities=(modality_of_channel(names.get(str(number), ""), number),))


def _channels(folder: Path) -> dict[str, str] | None:
    """Return the names of channels by number, from a folder's dataset.json; empty where there is none, None where it
    cannot be read."""
    try:
        told = json.loads((folder / "dataset.json").read_text("utf-8"))
        names = told.get("channel_names") or told.get("modality") or {}
        return {str(number): str(name) for number, name in names.items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def no_folder(path: Path) -> str:
    """Return what a path names instead of a folder, in words; "" where it is a folder."""
    try:
        if path.is_dir():
            return ""
        return "a file, and no folder" if path.exists() else "no such folder"
    except OSError as error:  # the text of the error holds the path
        return f"no access ({os.strerror(error.errno or 0)})"


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """Return whether a path is of a kind; False where access is denied, or a link's target has too long a name."""
    try:
        return kind(path)
    except OSError:
        return False


def _read(path: Path, says: Named) -> FoundFile:
    try:
        if not _is(Path.is_file, path):  # a link to nothing, or a pipe, which may never deliver anything
            raise unusable(
                "A file cannot be opened.",
                _WHERE,
                "a file",
                "a link to nothing, or what is no plain file",
                "Mend the link, or take the file out of the folder.",
            )
        other = other_half(path)
        if other is not None and not _is(Path.exists, other):
            raise unusable(
                "Half of the pair is missing.",
                _WHERE,
                "a .hdr and an .img of one name",
                "one of them",
                "Put the other one beside it, or take the file out of the folder.",
            )
        return FoundFile(path, says, read_grid(path, _WHERE), read_numbers(path, _WHERE), "")
    except InputError as error:
        return FoundFile(path, says, None, "", f"{error.problem} Found: {error.found}")
