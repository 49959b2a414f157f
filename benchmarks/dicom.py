"""DICOM to a store, against SimpleITK's series reader with the same placement and the same store, in one process each.

    python benchmarks/dicom.py [--scans N]

The series are phantoms on grids of clinical dimensions (benchmarks/prepare.py), written as DICOM: an MRI of 512 x 512 x
60 and a PET of 200 x 200 x 80 in SUV. All slices of a PET have one slope, so that SimpleITK reads it right. Where the
real cohort is at hand (HNSCC_STS, else ../shared/data/sts), its three patients in DICOM are measured too. Masks are
left out, since SimpleITK reads no structure sets. Both sides do everything that `hnscc prepare` does for a scan except
its picture. One side reads and checks every header by this project's reader, the other leaves that to SimpleITK. The
time is processor time in one process, which other work on the machine changes little.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))

import numpy as np
import SimpleITK as sitk
import zarr
from dicom_files import classic_series, pet_attributes
from dicom_files import write as write_series
from figures import Figure, in_turn, ratios, tell
from prepare import make_scan
from prepare_in_a_loop import SIZE, load

from data_prep.build import prepare_scan, write_placed
from data_prep.manifest.manifest import Row
from data_prep.placing.place import place_scan
from data_prep.settings import PrepareSettings
from data_prep.volumes.volume import TO_RAS, Grid, Volume
from hnscc.cohort.store_building import begin_store
from hnscc.cohort.store_format import Placing, Scan, scan_path

REFERENCE = "mri"
SETTINGS = PrepareSettings(size=SIZE)
MAX_APART = 1e-4  # how far both sides' stored images may differ, as a share of a modality's largest value


# --- the series


def phantoms(folder: Path, scans: int) -> list[Row]:
    rows = []
    for number in range(scans):
        make_scan(folder, number)
        scan = folder / f"P{number}" / "visit1"
        files = {name: as_dicom(scan / f"{name}.nii.gz", name, number) for name in ("pet", "mri")}
        rows.append(Row(number + 2, f"P{number}", f"S{number}", files, None, None))
    return rows


def as_dicom(path: Path, name: str, number: int) -> Path:
    """Write a volume as a series of 16-bit integers, whose files are not in the order of its slices; return
    its folder."""
    data, affine = load(path)
    slope = float(data.max()) / 32767
    axes = TO_RAS @ affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    pet: dict[str, Any] = pet_attributes(Units="GML") if name == "pet" else {}
    series = classic_series(
        np.rint(data / slope).astype(np.int16),
        modality="PT" if name == "pet" else "MR",
        orientation=tuple((axes / spacing)[:, :2].T.ravel()),
        origin=TO_RAS @ affine[:3, 3],
        pixel=(float(spacing[0]), float(spacing[1])),
        step=axes[:, 2],
        slopes=[slope] * data.shape[2],
        SeriesInstanceUID=f"1.2.826.0.1.{number + 1}.{len(name)}.{name == 'pet':d}",
        **pet,
    )
    return write_series(path.parent / name, series)


def real_patients() -> list[Row] | str:
    """Return the real cohort's patients in DICOM, or why they are not there."""
    home = Path(os.environ.get("HNSCC_STS", Path(__file__).parents[2] / "shared" / "data" / "sts"))
    folders = sorted((home / "dicom").glob("STS_*"))
    if not folders:
        return "the soft-tissue sarcoma data in DICOM is not here (set HNSCC_STS to its folder)"
    return [
        Row(
            line,
            each.name,
            each.name,
            {"pet": each / "PET" / "image", "mri": each / "MR_T1" / "image"},
            None,
            None,
        )
        for line, each in enumerate(folders, start=2)
    ]


# --- the two sides


def by_us(row: Row, store: Path) -> Scan:
    return prepare_scan(row, store, REFERENCE, SETTINGS, view=False).scan


def by_simpleitk(row: Row, store: Path) -> Scan:
    volumes = {name: read(path) for name, path in row.files.items()}
    placed = place_scan(
        volumes,
        None,
        Placing(
            reference=REFERENCE, size=SETTINGS.size, pixel_mm=SETTINGS.pixel_mm, register=SETTINGS.register
        ),
        where=row.where,
    )
    return write_placed(row, placed, None, store, view=False).scan


def read(folder: Path) -> Volume:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = sitk.Cast(reader.Execute(), sitk.sitkFloat32)
    affine = np.eye(4)
    affine[:3, :3] = TO_RAS @ np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = TO_RAS @ image.GetOrigin()
    data = np.ascontiguousarray(sitk.GetArrayFromImage(image).T)
    return Volume(data, Grid(data.shape, affine, True, "DICOM"))


def stored(side: Callable[[Row, Path], Scan], rows: list[Row], folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    unfinished = begin_store(folder, overwrite=False)
    for row in rows:
        side(row, unfinished.folder)
    unfinished.folder.rename(folder)
    return folder


def processor(act: Callable[[], object]) -> float:
    """Return the seconds of processor time, over all threads."""
    began = time.process_time()
    act()
    return time.process_time() - began


def check_same(rows: list[Row], ours: Path, theirs: Path) -> float:
    """Return the largest difference between the sides' images; AssertionError where it is beyond MAX_APART."""
    apart = 0.0
    for row in rows:
        a, b = (np.asarray(zarr.open(each / scan_path(row.scan_id, "images"))) for each in (ours, theirs))
        apart = max(apart, float((np.abs(a - b).max(axis=(0, 2, 3)) / a.max(axis=(0, 2, 3))).max()))
    assert apart < MAX_APART, apart
    return apart


def report(name: str, rows: list[Row], folder: Path) -> None:
    ours, theirs = folder / "ours.zarr", folder / "theirs.zarr"
    apart = check_same(rows, stored(by_us, rows, ours), stored(by_simpleitk, rows, theirs))
    us, them = in_turn(
        lambda: processor(lambda: stored(by_us, rows, ours)),
        lambda: processor(lambda: stored(by_simpleitk, rows, theirs)),
    )
    speed = [len(rows) / statistics.median(side) for side in (us, them)]
    tell(
        Figure(
            f"DICOM to store, {name}: scans per second against SimpleITK's series reader and our placement",
            1,
            ratios(them, us),
            "x",
            f"{speed[0]:.2f} against {speed[1]:.2f} scans per second of processor, {len(rows)} scans; images "
            f"{apart:.1e} of their largest value apart at most",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=2, help="phantoms")
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as name:
        folder = Path(name)
        report("scans of 512 x 512 x 60", phantoms(folder, parser.parse_args().scans), folder)
        real = real_patients()
        if isinstance(real, str):
            print(f"skipped: {real}")
        else:
            report("real patients", real, folder)


if __name__ == "__main__":
    main()
