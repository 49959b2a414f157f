"""A synthetic head and neck PET-MRI cohort with a known truth, written as ordinary scans with a manifest.

The physics makes the point of the study. A tumour takes up FDG and has a signal of its own on MRI.
Inflammation takes up as much, in the same sizes and sites, but is brighter on MRI; glands, tonsils, larynx
and brain take up tracer where they lie. Scars and nodes look like tumour on MRI, without uptake. So PET
alone finds what is hot, with blurred borders and false alarms; MRI alone finds lookalikes; together they
tell tumour from both, with MRI's borders.

Anatomy (data_prep.phantom.anatomy) is made in patient coordinates: X to the left, Y to posterior, Z to superior, in
mm, at the centres of the voxels of any grid, so that PET and MRI each have their own.
"""

import csv
import gzip
import io
import os
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.manifest.columns import LESION_FREE
from data_prep.phantom import PATIENTS, SEED
from data_prep.phantom.anatomy import LABEL, TISSUES, make_lesions, make_nodes, make_waves, tissues_at
from data_prep.workers import run_each
from hnscc.base.argument_checks import check_whole
from hnscc.base.arrays import Floats
from hnscc.base.cores import cores
from hnscc.base.errors import InputError
from hnscc.base.files import write_bytes, write_errors, write_text
from hnscc.base.folders import make_unfinished
from hnscc.base.seeds import generator
from hnscc.base.steps import Progress

LEAST_PATIENTS = 12
MOST_PATIENTS = 9999

MRI_SHAPE, MRI_SPACING_MM = (200, 200, 24), (0.9, 0.9, 4.0)
PET_SHAPE, PET_SPACING_MM = (60, 60, 32), 4.0
PET_FINE_TIMES = 2  # PET is made so many times finer, then blurred and averaged
PET_BLUR_FWHM_MM = 5.5


@dataclass(frozen=True)
class MadeUpScan:
    """One scan of the phantom. number: 1 for a patient's first scan. lesion: whether it holds a tumour."""

    patient_id: str
    number: int
    lesion: bool

    @property
    def scan_id(self) -> str:
        return f"{self.patient_id}-{self.number}"

    @property
    def folder(self) -> str:
        """The folder of its files within that of the cohort; `hnscc scan` reads it as one of its patient's visits."""
        return f"{self.patient_id}/visit{self.number}"


def make_phantom(
    out: str | Path, *, patients: int = PATIENTS, seed: int = SEED, progress: Progress | None = None
) -> Path:
    """Write the cohort into the new folder `out`; the path of its manifest.csv.

    44 patients have 62 scans, 18 of them with lesion (as in Liedes et al. 2023); other numbers in proportion,
    with at least 6 patients with lesion, so that every split can hold some. The same numbers give the same
    bytes. InputError: fewer than 12 patients, `out` is there already, or nothing can be written there; StorageError:
    the disk is full; WorkerError: a process died. Then nothing is left.
    """
    final = Path(out)
    with write_errors(final.absolute().parent):
        _check(final, patients, seed)
        final.parent.mkdir(parents=True, exist_ok=True)
        unfinished = make_unfinished(final.parent, f".{final.name}")
    try:
        scans = made_up_scans(patients, seed)
        _make_all(scans, unfinished, seed, progress or (lambda done, total, text: None))
        with write_errors(final.absolute().parent):
            write_text(unfinished / "manifest.csv", _manifest(scans))
            if final.exists():
                final.rmdir()  # only an empty folder passed the check
            unfinished.rename(final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return final / "manifest.csv"


def made_up_scans(patients: int, seed: int) -> list[MadeUpScan]:
    """Return who is scanned how often, with lesion or without; patients are numbered in random order."""
    scans_with_lesion = max(6, round(patients * 18 / 44))
    followed = round(patients * 18 / 44)  # patients with two scans
    both = scans_with_lesion // 8  # of them: with lesion in both
    once = (followed - both) // 2  # with lesion in one of the two
    without_lesion = followed - both - once  # with lesion in neither
    patients_with_lesion = scans_with_lesion - both
    states: list[tuple[bool, ...]] = [(True, True)] * both
    states += [(True, False) if count % 2 else (False, True) for count in range(once)]
    states += [(True,)] * (patients_with_lesion - both - once)
    states += [(False, False)] * without_lesion
    states += [(False,)] * (patients - patients_with_lesion - without_lesion)
    order = generator(seed, "phantom", "order").permutation(patients)
    width = max(2, len(str(patients)))
    return [
        MadeUpScan(f"P{position:0{width}d}", number, lesion)
        for position, patient in enumerate(order, start=1)
        for number, lesion in enumerate(states[patient], start=1)
    ]


def make_scan(scan: MadeUpScan, folder: Path, seed: int) -> None:
    """Write pet.nii.gz, mri.nii.gz and, with lesion, mask.nii.gz of one scan; runs in a worker process."""
    body = generator(seed, "phantom", scan.patient_id)
    warp = make_waves(body, 10, 45, 110, amplitude=4.0, components=3)
    uptakes = np.array([body.uniform(*uptake) for _, uptake in TISSUES.values()], np.float32)
    size = body.uniform(0.92, 1.02)
    nodes = make_nodes(body)
    rng = generator(seed, "phantom", scan.patient_id, scan.number)
    blobs = make_lesions(rng, scan.lesion)
    mri_affine, pet_affine = _mri_affine(rng), _pet_affine(rng)
    scan_folder = folder / scan.folder

    points = _points(MRI_SHAPE, mri_affine)
    labels, mri_of, _ = tissues_at(points, warp, size, nodes, blobs)
    _write(scan_folder / "mri.nii.gz", _mri(labels, mri_of, rng), mri_affine)
    if scan.lesion:
        _write(scan_folder / "mask.nii.gz", (labels == LABEL["tumour"]).astype(np.uint8), mri_affine)

    fine = tuple(count * PET_FINE_TIMES for count in PET_SHAPE)
    points = _points(fine, _finer(pet_affine))
    labels, _, pet_of = tissues_at(points, warp, size, nodes, blobs)
    _write(scan_folder / "pet.nii.gz", _pet(labels, uptakes, pet_of, rng), pet_affine, slope=0.001)


def _mri(
    labels: NDArray[np.uint8], lesions: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.int16]:
    """int16 (x, y, z) in an arbitrary unit of values: tissue contrast, texture, partial volume, bias field, noise.

    labels: of tissues, and lesions: their signal (relative), 0 outside of them; both (x, y, z).
    """
    contrast = np.array([signal for signal, _ in TISSUES.values()], np.float32)
    contrast *= rng.uniform(0.95, 1.05, len(contrast)).astype(np.float32)
    image = np.where(lesions > 0, lesions, contrast[labels])
    texture = ndimage.gaussian_filter(rng.standard_normal(labels.shape, np.float32), (1.2, 1.2, 0.4))
    image *= 1 + 0.05 * texture / texture.std()
    image = ndimage.gaussian_filter(image, (0.7, 0.7, 0))
    image *= np.exp(_bias(labels.shape, rng))
    noise = rng.standard_normal((2, *labels.shape), np.float32) * np.float32(0.025)
    image = np.hypot(image + noise[0], noise[1])
    stored: NDArray[np.int16] = np.clip(np.rint(image * rng.uniform(800, 1000)), 0, 32767).astype(np.int16)
    return stored


def _bias(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the logarithm of a slowly varying field of the receiving coils, about -0.2 .. 0.2: of `shape`, (x,
    y, z)."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, count, dtype=np.float32) for count in shape), indexing="ij")
    a = rng.uniform(-0.1, 0.1, 6).astype(np.float32)
    field: NDArray[np.float32] = (
        a[0] * x + a[1] * y + a[2] * z + a[3] * x * y + a[4] * (x * x - 0.5) + a[5] * (y * y - 0.5)
    )
    return field


def _pet(
    labels: NDArray[np.uint8],
    uptakes: NDArray[np.float32],
    lesions: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.int16]:
    """int16 (x, y, z) in 0.001 SUV: uptake blurred by the scanner, averaged over voxels, with noise that grows with it.

    labels: of tissues, and lesions: their SUV, 0 outside of them; both (x, y, z) of the finer voxels, PET_FINE_TIMES as
    many along each axis. uptakes: SUV of each tissue, (tissues,).
    """
    image = np.where(lesions > 0, lesions, uptakes[labels])
    texture = ndimage.gaussian_filter(rng.standard_normal(labels.shape, np.float32), 2.0)
    image *= 1 + 0.15 * texture / texture.std()
    image = ndimage.gaussian_filter(image, PET_BLUR_FWHM_MM / 2.355 / (PET_SPACING_MM / PET_FINE_TIMES))
    x, y, z = PET_SHAPE
    image = image.reshape(x, PET_FINE_TIMES, y, PET_FINE_TIMES, z, PET_FINE_TIMES).mean(axis=(1, 3, 5))
    noise = ndimage.gaussian_filter(rng.standard_normal(PET_SHAPE, np.float32), 0.5)
    image += 0.16 * noise / noise.std() * np.sqrt(np.clip(image, 0.05, None))
    stored: NDArray[np.int16] = np.clip(np.rint(image * 1000), 0, 32767).astype(np.int16)
    return stored


def _points(shape: tuple[int, ...], affine: Floats) -> list[NDArray[np.float32]]:
    """Return the patient coordinates in mm (X left, Y posterior, Z superior) of voxel centres, each (x, y, z) float32.
    affine: 4 x 4."""
    index = np.meshgrid(*(np.arange(count, dtype=np.float32) for count in shape), indexing="ij", sparse=True)
    matrix = affine.astype(np.float32)
    world = [sum(matrix[row, axis] * index[axis] for axis in range(3)) + matrix[row, 3] for row in range(3)]
    return [-world[0], -world[1], world[2]]


def _mri_affine(rng: np.random.Generator) -> Floats:
    """4 x 4, to mm, stored as scanners do: x to the left, y to posterior, tilted a little about the left-right axis."""
    tilt, shift = np.radians(rng.uniform(-7, 7)), rng.uniform(-3, 3, 3)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    axes = np.diag([-1.0, -1.0, 1.0]) @ turn @ np.diag(MRI_SPACING_MM)
    centre = np.array([0.0, 3.0, 0.0]) + shift
    return _affine(axes, centre, MRI_SHAPE)


def _pet_affine(rng: np.random.Generator) -> Floats:
    """4 x 4, to mm: a larger field of view on a grid of its own, stored with x to the right and y to anterior."""
    return _affine(np.eye(3) * PET_SPACING_MM, rng.uniform(-2, 2, 3), PET_SHAPE)


def _affine(axes: Floats, centre: Floats, shape: tuple[int, ...]) -> Floats:
    """Return the affine, (4, 4), of a volume with these axes (3, 3) in mm per voxel, around its centre (3,) in mm."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = centre - axes @ ((np.array(shape) - 1) / 2)
    return np.round(affine, 5)


def _finer(affine: Floats) -> Floats:
    """Return the affine, 4 x 4 to mm, of voxels split PET_FINE_TIMES times along each axis; affine: 4 x 4, before
    the split."""
    step = np.diag([1 / PET_FINE_TIMES] * 3 + [1.0])
    step[:3, 3] = 0.5 / PET_FINE_TIMES - 0.5
    return affine @ step


def _write(
    path: Path, data: NDArray[np.int16] | NDArray[np.uint8], affine: Floats, slope: float | None = None
) -> None:
    """Write data (x, y, z) as NIfTI. affine: 4 x 4, to mm; slope: what a stored number is multiplied by to be a
    raw value."""
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    if slope:
        image.header.set_slope_inter(slope, 0)
    # mtime 0, since gzip would otherwise write the time of day into the file.
    content = gzip.compress(image.to_bytes(), compresslevel=5, mtime=0)
    with write_errors(path.parent):
        write_bytes(path, content)


def _make_all(scans: list[MadeUpScan], folder: Path, seed: int, progress: Progress) -> None:
    progress(0, len(scans), "making scans")
    run_each(
        partial(make_scan, folder=folder, seed=seed),
        scans,
        name=lambda scan: scan.scan_id,
        workers=min(cores(), len(scans)),
        progress=progress,
    )


def _manifest(scans: list[MadeUpScan]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["patient_id", "scan_id", "pet", "mri", "mask"])
    for scan in scans:
        files = [f"{scan.folder}/{name}.nii.gz" for name in ("pet", "mri", "mask")]
        writer.writerow([scan.patient_id, scan.scan_id, *files[:2], files[2] if scan.lesion else LESION_FREE])
    return text.getvalue()


def _check(final: Path, patients: int, seed: int) -> None:
    check_whole("seed", seed)
    check_whole("patients", patients)
    if not LEAST_PATIENTS <= patients <= MOST_PATIENTS:
        raise InputError(
            "That is no size for a cohort.",
            where="--patients",
            expected=f"{LEAST_PATIENTS} to {MOST_PATIENTS}, so that every split can hold lesions",
            found=str(patients),
            do=f"Ask for at least {LEAST_PATIENTS} patients.",
        )
    if os.path.lexists(final) and not (final.is_dir() and not any(final.iterdir())):
        raise InputError(
            "There is something under the cohort's name already.",
            where=f"folder {final}",
            expected="a new name, or an empty folder",
            found="an existing file or folder",
            do="Choose another name, or remove it.",
        )
