"""Masks of every kind, damaged in a few hundred ways, are refused with one error or read; nothing else happens."""

import gzip
from pathlib import Path

import mask_damages
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_damages import counted
from dicom_masks import box, contour, segmentation, series_for_masks, structures
from scans import LPS, to_itk, write

from data_prep.files.read import read_grid
from hnscc.base.errors import InputError

SHAPE = (20, 16, 6)


def sound_masks(folder: Path) -> Path:
    """A folder with one lesion in each kind of file, and the image that it is drawn on."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[6:14, 5:12, 1:4] = 1
    images = series_for_masks(folder.parent / "series", SHAPE, pixel=(1, 1))
    write(folder / "mri.nii.gz", np.zeros(SHAPE, np.float32), LPS)
    structures(folder / "contours.dcm", {"GTV": [contour(box(6, 5, 8, 7, z)) for z in (1, 2, 3)], "Body": []})
    segmentation(folder / "bits.dcm", images, mask > 0)
    segmentation(folder / "shares.dcm", images, mask.astype(float), kind="FRACTIONAL")
    # It compresses to more than a header.
    noise = (np.random.default_rng(1).random(SHAPE) > 0.5).astype(np.uint8)
    for name, compressed in (("a.nrrd", True), ("b.nrrd", False), ("a.mha", True), ("b.mha", False)):
        sitk.WriteImage(to_itk(noise, LPS), folder / name, useCompression=compressed)
    nib.MGHImage(noise, LPS).to_filename(folder / "a.mgz")
    return folder


def test_damaged_masks_are_refused_or_read_and_nothing_else(tmp_path):
    folder = sound_masks(tmp_path / "sound")
    refused, read, mebibytes = counted(mask_damages, folder, 400, 5)
    assert refused + read == 400 and refused > 150 and read > 50
    assert mebibytes < 2000


def test_an_mgz_that_ends_within_its_header_is_told(tmp_path):
    """It ended in a TypeError of NumPy's."""
    nib.MGHImage(np.zeros(SHAPE, np.uint8), LPS).to_filename(tmp_path / "a.mgz")
    begin = gzip.decompress((tmp_path / "a.mgz").read_bytes())[:40]
    (tmp_path / "a.mgz").write_bytes(gzip.compress(begin))
    with pytest.raises(InputError, match="cut short or damaged"):
        read_grid(tmp_path / "a.mgz", "S")
