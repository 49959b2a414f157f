"""A small cohort as NIfTI or as DICOM, and changes of where and how one of its files lies."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dicom_files as made
import nibabel as nib
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from scans import LPS, save, write
from scipy import ndimage

SHAPE = (24, 20, 8)
SIZE = 24  # pixels of a stored slice
SCANS = 4  # the first two with lesion
ILL, FREE = 1, 3  # the scans that are damaged

Damage = Callable[[Path], object]
Array = np.ndarray
Lying = tuple[Array, Array]  # values (x, y, z), and the affine, 4 x 4
Change = Callable[[Array, Array], Lying]
Series = list[Dataset]  # the instances of one series, in the order of their slices
Among = Callable[[Series], Series]


def arrays(seed: int) -> dict[str, np.ndarray]:
    """Return a textured disc on PET and MRI, and a lesion in it."""
    rng = np.random.default_rng(seed)
    x, y, z = np.indices(SHAPE)
    disc = np.hypot((x - 11.5) / 10, (y - 9.5) / 8.5) < 1
    texture = ndimage.gaussian_filter(rng.normal(0, 1, (2, *SHAPE)), (0, 1, 1, 1)) * 2
    mask = (np.hypot(x - 8 - seed, y - 9) < 4) & (abs(z - 4) < 3)
    pet = (2 + texture[0] + 4 * mask) * disc + 0.1 * rng.random(SHAPE)
    mri = (5 + texture[1]) * disc + 0.2 * rng.random(SHAPE)
    return {"pet": np.rint(pet * 100), "mri": np.rint(mri * 100), "mask": mask.astype(np.uint8)}


def cohort(folder: Path, dicom: bool) -> Path:
    """Write scans whose PET, MRI and mask lie on one grid, the images as DICOM if asked for; return the manifest."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(SCANS):
        for name, data in arrays(number).items():
            if dicom and name != "mask":
                modality = "PT" if name == "pet" else "MR"
                own: dict[str, Any] = made.pet_attributes(Units="GML") if name == "pet" else {}
                own |= {"PatientID": f"P{number}", "StudyInstanceUID": f"1.2.826.0.1.1.{number}"}
                values, at = data.astype(np.uint16), (0, 0, 0)
                series = made.classic_series(
                    values, modality=modality, origin=at, pixel=(1.0, 1.0), step=3.0, **own
                )
                made.write(folder / f"s{number}" / name, series)
            else:
                write(folder / f"s{number}" / f"{name}.nii", data.astype(np.float32), LPS)
        cells = [f"s{number}/{name}" + ("" if dicom else ".nii") for name in ("pet", "mri")]
        mask = f"s{number}/mask.nii" if number < SCANS // 2 else ""
        rows.append([f"P{number}", f"S{number}", *cells, mask])
    return save(folder, rows)


def nifti(name: str, change: Change) -> Damage:
    """Return a damage that changes the values and the affine of one file of a scan's folder."""

    def damage(at: Path) -> None:
        image = nib.Nifti1Image.from_filename(at / f"{name}.nii", mmap=False)
        write(at / f"{name}.nii", *change(np.asarray(image.dataobj), image.affine.copy()))

    return damage


def moved(*mm: float) -> Change:
    return lambda data, affine: (data, affine + np.pad(np.array(mm)[:, None], ((0, 1), (3, 0))))


def scaled(*by: float) -> Change:
    return lambda data, affine: (data, affine @ np.diag([*by, 1]))


def sheared(data: Array, affine: Array) -> Lying:
    shear = np.eye(4)
    shear[0, 1] = 0.1
    return data, affine @ shear


def swapped(data: Array, affine: Array) -> Lying:
    return data.transpose(1, 0, 2), affine


def without(z: int) -> Change:
    return lambda data, affine: (np.delete(data, z, 2), affine)


def doubled(data: Array, affine: Array) -> Lying:
    return data[:, :, [0, 1, 2, 2, 4, 5, 6, 7]], affine


def turned(axes: str) -> Change:
    """Return a change of the order of voxels with which the affine agrees."""

    def change(data: Array, affine: Array) -> Lying:
        image = nib.Nifti1Image(data, affine)
        to = nib.orientations.axcodes2ornt(axes)
        again = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), to))
        return np.asarray(again.dataobj), again.affine

    return change


def header(name: str, change: Callable[[nib.Nifti1Image], object]) -> Damage:
    def damage(at: Path) -> None:
        image = nib.Nifti1Image.from_filename(at / f"{name}.nii", mmap=False)
        change(image)
        (at / f"{name}.nii").write_bytes(image.to_bytes())

    return damage


def other_qform(image: nib.Nifti1Image) -> None:
    qform = image.affine.copy()
    qform[0, 3] += 10
    image.set_qform(qform, code=1)


def all_of(change: Change) -> Damage:
    return lambda at: [nifti(name, change)(at) for name in ("pet", "mri", "mask")]


def dicom(name: str, change: Among) -> Damage:
    """Return a damage that changes the instances of one series, in the order of their slices."""

    def damage(at: Path) -> None:
        read: Series = [dcmread(file) for file in (at / name).iterdir()]
        instances = sorted(read, key=lambda each: int(each.InstanceNumber))
        for file in (at / name).iterdir():
            file.unlink()
        made.write(at / name, change(instances))

    return damage


def each(**attributes: object) -> Among:
    def change(instances: Series) -> Series:
        for one in instances:
            for keyword, value in attributes.items():
                setattr(one, keyword, value)
        return instances

    return change


def placed(place: Callable[[int], tuple[float, float, float]]) -> Among:
    def change(instances: Series) -> Series:
        for z, one in enumerate(instances):
            one.ImagePositionPatient = list(place(z))
        return instances

    return change


def mirrored(instances: Series) -> Series:
    """Mirror the columns, as another export of the same series might store it."""
    for one in instances:
        one.PixelData = np.ascontiguousarray(one.pixel_array[:, ::-1]).tobytes()
        one.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
        x, *rest = one.ImagePositionPatient
        one.ImagePositionPatient = [float(x) + SHAPE[0] - 1, *rest]
    return instances


def transposed(instances: Series) -> Series:
    for one in instances:
        one.PixelData = np.ascontiguousarray(one.pixel_array.T).tobytes()
        one.Rows, one.Columns = one.Columns, one.Rows
        one.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]
    return instances


def numbered_backwards(instances: Series) -> Series:
    for z, one in enumerate(instances):
        one.InstanceNumber = 99 - z
    return instances


def twice(instances: Series) -> Series:
    twin = copy.deepcopy(instances[2])
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = UID(f"{twin.SOPInstanceUID}.9")
    return [*instances, twin]
