"""Masks of every kind, damaged in a few hundred ways, are refused with one error or read; nothing else happens."""

from pathlib import Path

import mask_damages
import nibabel as nib
import numpy as np
import SimpleITK as sitk
from dicom_damages import counted
from dicom_masks import box, contour, segmentation, series_for_masks, structures
from scans import LPS, to_itk, write

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
