"""Finds patients' imaging files in a folder, so that they never travel with code. Tells their kinds and counts,
never names.

File names may mislead, and DICOM files often have no extension, so the first bytes are read as well.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from hnscc.base.locations import ZARR_ROOT
from hnscc.study.run_folder import RunFolder

# By the end of a file's name, in lower case.
KIND_BY_ENDING = {
    ".nii": "NIfTI file",
    ".nii.gz": "NIfTI file",
    ".hdr": "Analyze file",
    ".hdr.gz": "Analyze file",
    ".img": "Analyze file",
    ".img.gz": "Analyze file",
    ".dcm": "DICOM file",
    ".dicom": "DICOM file",
    ".ima": "DICOM file",
    ".nrrd": "NRRD file",
    ".nhdr": "NRRD file",
    ".mha": "MetaImage file",
    ".mhd": "MetaImage file",
    ".zraw": "MetaImage file",
    ".mgz": "FreeSurfer file",
    ".mgh": "FreeSurfer file",
    ".mnc": "MINC file",
    ".gipl": "GIPL file",
    ".gipl.gz": "GIPL file",
    ".zarr.zip": "Zarr store",
    # What a run folder holds of patients: masks, predictions, ids.
    ".npy": "array file",
    ".npz": "array file",
    ".parquet": "Parquet table",
    ".html": "HTML page",
    # What may hold any of these, or a list of names.
    **dict.fromkeys(
        (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".mrb"), "archive"
    ),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "spreadsheet"),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".odt", ".rtf", ".pptx"), "document"),
    **dict.fromkeys(
        (".sav", ".sas7bdat", ".dta", ".rds", ".rdata", ".rda", ".zsav"), "table of a statistics program"
    ),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3", ".duckdb", ".mdb", ".accdb"), "database"),
    **dict.fromkeys((".h5", ".hdf5", ".mat", ".pkl", ".pt", ".pth"), "array file"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"), "picture"),
}
_ZARR_DOCUMENTS = (ZARR_ROOT, ".zgroup", ".zarray")
# Where each format's mark stands: (offset in bytes, mark).
_MARKS = (
    (128, b"DICM", "DICOM file"),
    (0, b"NRRD000", "NRRD file"),
    (344, b"n+1\0", "NIfTI file"),
    (344, b"ni1\0", "NIfTI file"),
)


def patient_files(folder: Path) -> dict[str, int]:
    """Return how many patient files of each kind lie in a folder and below it, by kind. Links are followed. A Zarr
    store counts once."""
    return count_kinds(_paths_below(folder, set()))


def count_kinds(paths: Iterable[Path]) -> dict[str, int]:
    """Return how many of these files and folders are of each kind of patient file. Others do not count."""
    try:
        counts = Counter(kind for path in paths if (kind := kind_of_patient_file(path)))
    except OSError as error:
        raise InputError(
            "A file or folder cannot be read, so nobody knows whether it is a patient's.",
            where="the folder that was to be looked through",
            expected="files that you may read",
            found=error.strerror or type(error).__name__,
            do="mend its permissions, or take it out of the folder",
        ) from None
    return dict(sorted(counts.items()))


def in_job(path: Path) -> bool:
    """Whether a path lies in the copy of the working directory that Ray makes for a job, and deletes after it."""
    return any(part.startswith("_ray_pkg_") for part in path.parts)


def refuse_in_job() -> None:
    """Raise InputError if this process is a job whose working directory came with patient files."""
    if in_job(Path.cwd()):
        refuse_patient_files(Path.cwd())


def refuse_lost_with_job(run: RunFolder) -> None:
    """Raise InputError if a run folder lies in a job's copy of the working directory, with which it would
    be deleted."""
    if isinstance(run.root, Path) and in_job(run.root.absolute()):
        raise InputError(
            "The run folder would be lost: it lies in this job's copy of the working directory.",
            where="--out",
            expected="a folder on storage that all machines share, by its absolute path, or s3://bucket/prefix",
            found="a path relative to the working directory",
            do="give --out, for example --out /shared/runs/NAME",
        )


def refuse_patient_files(folder: Path) -> None:
    """Raise InputError if there are patient files in a folder. Call it for folders that should hold code alone."""
    if found := patient_files(folder):
        raise InputError(
            "There are patient files among the code.",
            where="the working directory",
            expected="code and study files only",
            found=counts_in_words(found),
            do="keep data elsewhere, on storage that the cluster shares, and name it in the study as `store:`; "
            "`hnscc doctor --working-dir .` says what `ray job submit` would upload",
        )


def counts_in_words(counts: dict[str, int]) -> str:
    """Return the counts as text, for example `1 DICOM file, 3 NIfTI files`."""
    return ", ".join(count_of(count, kind) for kind, count in counts.items())


def kind_of_patient_file(path: Path) -> str | None:
    """Return the kind of patient file that a file or folder is, or None. A Zarr group within a store is part of
    the store."""
    if path.is_dir():
        return "Zarr store" if _is_zarr(path) and not _is_zarr(path.parent) else None
    if not path.is_file():
        return None
    if path.suffix.lower() in (".csv", ".tsv", ".txt") and _lists_patients(path):
        return "patient list"
    return kind_by_name(path.name) or _kind_by_content(path)


def kind_by_name(name: str) -> str | None:
    """Return the kind of patient file that a file's name says it is, or None."""
    return next((kind for ending, kind in KIND_BY_ENDING.items() if name.lower().endswith(ending)), None)


def _is_zarr(folder: Path) -> bool:
    return folder.suffix == ".zarr" or any((folder / name).is_file() for name in _ZARR_DOCUMENTS)


def _lists_patients(path: Path) -> bool:
    """Return whether a table is a list of patients: whether a header in its first two lines (Excel may write `sep=;`
    first) names ids of patients or their pseudonyms. That is so for a manifest and for the file of pseudonyms, in every
    spelling and encoding that `hnscc prepare` reads."""
    with path.open("rb") as file:
        lines = file.read(1 << 16).lower().splitlines()
    rows = [[_word(cell) for cell in re.split(rb"[,;\t]", line)] for line in lines if _word(line)][:2]
    if path.suffix.lower() == ".txt":  # whose prose may tell of patients too
        return any(cell in (b"patientid", b"pseudonym") for row in rows for cell in row)
    return any(name in b"".join(row) for row in rows for name in (b"patientid", b"pseudonym"))


def _word(text: bytes) -> bytes:
    """Return a text in lower case, without blanks and signs, and without the zero bytes that UTF-16 puts beside
    its letters."""
    return re.sub(rb"[^a-z0-9]", b"", text)


def _kind_by_content(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(348)
    for offset, mark, kind in _MARKS:
        if start[offset : offset + len(mark)] == mark:
            return kind
    return None


def _paths_below(folder: Path, seen: set[str]) -> Iterator[Path]:
    """Yield every file and folder below, but nothing inside of Zarr stores; yield each folder once, however often it
    is linked."""
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    yield folder
    if _is_zarr(folder):
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _paths_below(path, seen)
        else:
            yield path
