"""How well a rigid registration undoes a known motion: 12 mm and 7 degrees in several directions, scan by scan.

    python benchmarks/registration.py ../shared/data/sts/manifest.csv --scans STS_003 STS_017

The modalities of the scans must be aligned already. The registration of a moved scan is compared with where its files
lie (`lies`), and with where the registration of the unmoved scan ends (`alike`): how far they are apart at the middle
of the reference's volume, and by turn. The same files give the same numbers on every run.
"""

import argparse
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from data_prep.manifest.manifest import Row, examine_manifest, raise_all
from data_prep.registering.registered import laid_together
from data_prep.row_files import volumes_of
from data_prep.volumes.volume import Volume
from hnscc.base.errors import InputError

# Turns in degrees about x, y and z, and shifts in mm.
MOTIONS = [
    ((7, 0, 0), (12, 0, 0)),
    ((0, -7, 0), (0, -12, 0)),
    ((0, 0, 7), (0, 0, 12)),
    ((4, -4, 4), (-7, 7, -7)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description="How well a registration undoes a known motion.")
    parser.add_argument("manifest", help="CSV as for `hnscc prepare`")
    parser.add_argument("--reference", default="mri", help="the modality that stays")
    parser.add_argument("--moving", default="pet", help="the modality that is moved, and registered")
    parser.add_argument("--scans", nargs="*", help="these alone")
    options = parser.parse_args()
    rows, faults = examine_manifest(options.manifest)
    raise_all(faults)
    found = []
    for row in rows:
        if not options.scans or row.scan_id in options.scans:
            found += of_scan(row, options.reference, options.moving)
    lies, alike = ([each[at] for each in found if each[at]] for at in (0, 1))
    for name, values in (("lies", lies), ("alike", alike)):
        mm, degrees = np.array(values).T
        print(
            f"{name}: {len(values)} of {len(found)} registrations, median {np.median(mm):.2f} mm and "
            f"{np.median(degrees):.2f} degrees, most {mm.max():.2f} mm and {degrees.max():.2f} degrees"
        )


Apart = tuple[float, float]  # mm, degrees


def of_scan(row: Row, reference: str, moving: str) -> list[tuple[Apart | None, Apart | None]]:
    """Return `lies` and `alike` of a scan that is moved by each of MOTIONS; None where the registration was refused."""
    volumes, _ = volumes_of(row, reference, "bw")
    grid = volumes[reference].grid
    at = (grid.affine @ [*((np.array(grid.shape) - 1) / 2), 1])[:3]
    unmoved = registered(volumes, reference, moving, np.eye(4))
    found = []
    for motion in (motion_about(at, *each) for each in MOTIONS):
        ended = registered(volumes, reference, moving, motion)
        lies = apart(ended, motion, at) if ended is not None else None
        alike = apart(ended, motion @ unmoved, at) if ended is not None and unmoved is not None else None
        print(row.scan_id, "lies", lies, "alike", alike, flush=True)
        found.append((lies, alike))
    return found


def registered(
    volumes: dict[str, Volume], reference: str, moving: str, motion: np.ndarray
) -> np.ndarray | None:
    """Return the motion that is found where one modality is moved; None where the registration is refused."""
    volume = volumes[moving]
    there = replace(volume, grid=replace(volume.grid, affine=motion @ volume.grid.affine))
    pair = {reference: volumes[reference], moving: there}
    try:
        facts = laid_together(pair, None, reference, "rigid", "")[2]
    except InputError as refused:
        print(refused.problem, refused.found)
        return None
    return np.array(facts[moving]["motion"])


def motion_about(at: np.ndarray, turns: tuple[float, ...], shift: tuple[float, ...]) -> np.ndarray:
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(np.radians(turns)).as_matrix()
    motion[:3, 3] = at + shift - motion[:3, :3] @ at
    return motion


def apart(one: np.ndarray, other: np.ndarray, at: np.ndarray) -> Apart:
    """Return by how many mm two motions differ at a point, and by how many degrees."""
    rest = np.linalg.inv(other) @ one
    mm = np.linalg.norm(rest[:3, :3] @ at + rest[:3, 3] - at)
    return round(float(mm), 2), round(float(np.degrees(Rotation.from_matrix(rest[:3, :3]).magnitude())), 2)


if __name__ == "__main__":
    main()
