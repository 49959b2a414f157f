"""What `hnscc prepare` does to scans, by nibabel and SciPy in a plain loop: the other side of prepare.py."""

import csv
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import zarr
from nibabel import orientations
from scipy import ndimage

SIZE = 128


def plain_loop(manifest: Path, out: Path) -> None:
    for row in csv.DictReader(manifest.read_text().splitlines()):
        mri, affine = load(manifest.parent / row["mri"])
        pet, pet_affine = load(manifest.parent / row["pet"])
        pet = resample(pet, pet_affine, mri.shape, affine)
        mask, _ = load(manifest.parent / row["mask"])
        images: Any = np.stack([resize(pet).T, resize(mri).T], axis=1)
        stored_mask: Any = np.ascontiguousarray(resize_mask(mask).T)
        zarr.save_array(out / row["scan_id"] / "images", images)
        zarr.save_array(out / row["scan_id"] / "mask", stored_mask)


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return values (x, y, z) float32 and their affine, x to the left, y to posterior, z to superior."""
    image: Any = nib.load(path)
    turn = orientations.ornt_transform(
        orientations.io_orientation(image.affine), orientations.axcodes2ornt("LPS")
    )
    data = orientations.apply_orientation(image.get_fdata(dtype=np.float32, caching="unchanged"), turn)
    return data, image.affine @ orientations.inv_ornt_aff(turn, image.shape)


def resample(
    data: np.ndarray, affine: np.ndarray, shape: tuple[int, ...], grid_affine: np.ndarray
) -> np.ndarray:
    matrix = np.linalg.inv(affine) @ grid_affine
    turn = matrix[:3, :3]
    if np.abs(turn - np.diag(np.diag(turn))).max() < 1e-6:
        turn = np.diag(turn)  # SciPy is faster without a rotation
    found = ndimage.affine_transform(data, turn, matrix[:3, 3], output_shape=shape, order=1, mode="nearest")
    return np.asarray(found)


def resize(data: np.ndarray) -> np.ndarray:
    """Resize (x, y, z) to (SIZE, SIZE, z): the longer side fills the square, and the minimum pads the shorter one."""
    scale = max(data.shape[:2]) / SIZE
    if scale > 1:  # with the linear sampling below: the variance of a triangle two stored pixels wide
        data = ndimage.gaussian_filter(data, np.sqrt((scale**2 - 1) / 6), axes=(0, 1))
    at = [(count - SIZE * scale) / 2 + scale * (np.arange(SIZE) + 0.5) - 0.5 for count in data.shape[:2]]
    resized = ndimage.affine_transform(
        data,
        np.array([scale, scale, 1.0]),
        [at[0][0], at[1][0], 0.0],
        output_shape=(SIZE, SIZE, data.shape[2]),
        order=1,
        mode="nearest",
    )
    outside = [(axis < -0.5) | (axis > count - 0.5) for axis, count in zip(at, data.shape[:2], strict=True)]
    resized[outside[0]] = resized[:, outside[1]] = data.min()
    return np.asarray(resized)


def resize_mask(mask: np.ndarray) -> np.ndarray:
    scale = max(mask.shape[:2]) / SIZE
    x, y = (shares(count, scale) for count in mask.shape[:2])
    return np.asarray(np.einsum("ix,xyz,jy->ijz", x, mask, y, optimize=True) > 0.5 - 1e-5, np.uint8)


def shares(count: int, scale: float) -> np.ndarray:
    """Return the share of each stored pixel that an input pixel covers: (SIZE, count) float32."""
    start = (count - SIZE * scale) / 2 + scale * np.arange(SIZE)[:, None]
    pixel = np.arange(count)
    covered = np.minimum(start + scale, pixel + 1) - np.maximum(start, pixel)
    return np.asarray(np.clip(covered, 0, None) / scale, np.float32)
