"""Writes and reads a PET series in DICOM of one injection: the factor of its stored values, and private attributes."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dicom_files as made
import numpy as np
from pydicom.dataset import Dataset

from data_prep.files.read import read_volume
from data_prep.volumes.volume import Volume

Change = Callable[[Dataset, int], None]

# 1 Bq/ml: 70,000 g of body over a dose of 370 MBq that decayed for an hour, with a half-life of 6586.2 s.
BY_HAND = 70000 / (370e6 * 0.5 ** (3600 / 6586.2))
STORED = np.arange(1, 61).reshape(5, 4, 3).astype(np.int16)


def read(
    tmp_path: Path,
    change: Change | None = None,
    suv: str = "bw",
    slopes: Sequence[float] = (0.5, 1.0, 4.0),
    intercept: float = 0,
    **attributes: Any,
) -> Volume:
    stated: dict[str, Any] = made.pet_attributes(**attributes)
    series = made.classic_series(STORED, modality="PT", slopes=slopes, intercept=intercept, **stated)
    return read_volume(made.write(tmp_path / "s", series, change), "row 2", suv)


def factor(tmp_path: Path, **settings: Any) -> float:
    """Return what stored values times their slope are multiplied by, which must be the same for every voxel."""
    volume = read(tmp_path, **settings)
    ratio = volume.data / (STORED * np.array([0.5, 1.0, 4.0]))
    np.testing.assert_allclose(ratio, ratio[0, 0, 0], rtol=1e-6)
    return float(ratio[0, 0, 0])


def ge_private(data: Dataset, z: int) -> None:
    """Change a series so that its own time is an hour after the scan, whose time GE's private attribute states."""
    data.SeriesTime, data.AcquisitionTime = "110000", f"10{z:02d}00"
    data.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20200102100000.00")


def siemens_frames(data: Dataset, z: int) -> None:
    """Change it likewise, but without a private time: each bed position of 120 s states how far into the scan its
    average lies."""
    start, duration, rate = 130.0 * z, 120.0, math.log(2) / 6586.2
    ends = np.linspace(0, duration, 200001)
    activity = np.exp(-rate * ends)
    average = float(np.interp(-activity.mean(), -activity, ends))
    data.SeriesTime, data.AcquisitionTime = "110000", f"10{int(start) // 60:02d}{int(start) % 60:02d}"
    data.FrameReferenceTime, data.ActualFrameDuration = f"{1000 * (start + average):.1f}", "120000"


def philips(element: int, value: str) -> Change:
    """Give each slice a private element of Philips."""

    def change(data: Dataset, z: int) -> None:
        data.private_block(0x7053, "Philips PET Private Group", create=True).add_new(element, "DS", value)

    return change
