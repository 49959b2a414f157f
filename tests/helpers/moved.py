"""A pair of images of one body, the second moved by a known motion: what a registration has to undo."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from scans import write
from scipy import ndimage
from scipy.spatial.transform import Rotation

from data_prep.phantom.phantom import made_up_scans, make_scan
from data_prep.volumes.volume import Volume

# Turns in degrees about x, y and z, and shifts in mm: 7 degrees and 12 mm in several directions.
MOTIONS = {
    "x": ((7, 0, 0), (12, 0, 0)),
    "y": ((0, -7, 0), (0, -12, 0)),
    "z": ((0, 0, 7), (0, 0, 12)),
    "oblique": ((4, -4, 4), (-7, 7, -7)),
}


def phantom_scan(folder: Path) -> Path:
    """Write one scan of the phantom with a lesion, whose PET and MRI are aligned; return its folder."""
    scan = next(each for each in made_up_scans(12, 2023) if each.lesion)
    make_scan(scan, folder, 2023)
    return folder / scan.folder


def motion_of(name: str, about: np.ndarray) -> np.ndarray:
    """Return one of MOTIONS, 4 x 4 in mm, whose turn is about a point (3,)."""
    turns, shift = MOTIONS[name]
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(np.radians(turns)).as_matrix()
    motion[:3, 3] = about + shift - motion[:3, :3] @ about
    return motion


def moved(volume: Volume, motion: np.ndarray) -> Volume:
    return replace(volume, grid=replace(volume.grid, affine=motion @ volume.grid.affine))


def middle(volume: Volume) -> np.ndarray:
    """Return the middle of a volume in mm: (3,)."""
    return np.asarray((volume.grid.affine @ [*((np.array(volume.grid.shape) - 1) / 2), 1.0])[:3])


def off_by(motion: np.ndarray, other: np.ndarray, at: np.ndarray) -> tuple[float, float]:
    """Return by how many mm two motions differ at a point, and by how many degrees."""
    rest = np.linalg.inv(other) @ motion
    turn = np.degrees(Rotation.from_matrix(rest[:3, :3]).magnitude())
    return float(np.linalg.norm(rest[:3, :3] @ at + rest[:3, 3] - at)), float(turn)


BODY = np.array([[-4.0, 0, 0, 80], [0, -4.0, 0, 80], [0, 0, 5.0, -30], [0, 0, 0, 1]])  # of `body_pair`


def body_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a small body, (40, 40, 14) on the grid BODY, as two modalities show it that are bright in
    different organs."""
    random = np.random.default_rng(seed)
    x, y, z = np.meshgrid(
        np.linspace(-1, 1, 40), np.linspace(-1, 1, 40), np.linspace(-1, 1, 14), indexing="ij"
    )
    inside = (x / 0.6) ** 2 + (y / 0.75) ** 2 + (z / 1.6) ** 2 < 1
    organs = ndimage.gaussian_filter(random.standard_normal((6, *x.shape)), (0, 3, 3, 2)).argmax(axis=0) + 1
    labels = np.where(inside, organs, 0)
    one, other = (np.array([0, *random.permutation(6) + 3.0]) for _ in range(2))
    noise = random.normal(0, 0.1, (2, *x.shape))
    pet = ndimage.gaussian_filter(one[labels], 0.8) + noise[0]
    return pet.astype(np.float32), (other[labels] * 100 + noise[1] * 100).astype(np.float32)


def body_scan(folder: Path, seed: int, name: str) -> np.ndarray:
    """Write a body's pet.nii.gz and mri.nii.gz, the PET moved by one of MOTIONS; return that motion."""
    pet, mri = body_pair(seed)
    known = motion_of(name, (BODY @ [19.5, 19.5, 6.5, 1])[:3])
    write(folder / "pet.nii.gz", pet, known @ BODY)
    write(folder / "mri.nii.gz", mri, BODY)
    return known
