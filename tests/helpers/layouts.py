"""Folders of NIfTI files as hospitals lay them out, and the rows that `hnscc scan` makes of them."""

import csv
from collections.abc import Callable
from pathlib import Path

from scans import scan_arrays, write

PET, MRI, LESION = scan_arrays()
KINDS = {"pet": PET, "mri": MRI, "mask": LESION}


def fill(folder: Path, files: dict[str, str]) -> Path:
    """Write tiny volumes. `files`: for each path, whether it is a pet, mri or mask."""
    for number, (path, kind) in enumerate(sorted(files.items())):
        noise = dict(zip(KINDS, scan_arrays(number), strict=True))
        write(folder / path, noise[kind])
    return folder


def rows_of(
    hnscc: Callable[..., tuple[int, str, str]], folder: Path, manifest: Path, *options: object
) -> tuple[list[dict[str, str]], str]:
    code, out, error = hnscc("scan", folder, "--manifest", manifest, *options)
    assert code == 0, error
    return list(csv.DictReader(manifest.read_text().splitlines())), out


LAYOUTS = {
    "a folder for each patient": {
        **{"P01/pet.nii.gz": "pet", "P01/t1.nii.gz": "mri", "P01/mask.nii.gz": "mask"},
        **{"P02/pet.nii.gz": "pet", "P02/t1.nii.gz": "mri", "P02/mask.nii.gz": "mask"},
    },
    "BIDS": {
        "sub-01/ses-1/pet/sub-01_ses-1_trc-FDG_pet.nii.gz": "pet",
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz": "mri",
        "derivatives/manual/sub-01/ses-1/anat/sub-01_ses-1_desc-lesion_mask.nii.gz": "mask",
        "sub-02/ses-1/pet/sub-02_ses-1_trc-FDG_pet.nii.gz": "pet",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz": "mri",
        "derivatives/manual/sub-02/ses-1/anat/sub-02_ses-1_desc-lesion_mask.nii.gz": "mask",
    },
    "nnU-Net": {
        "imagesTr/HN_001_0000.nii.gz": "pet",
        "imagesTr/HN_001_0001.nii.gz": "mri",
        "labelsTr/HN_001.nii.gz": "mask",
        "imagesTr/HN_002_0000.nii.gz": "pet",
        "imagesTr/HN_002_0001.nii.gz": "mri",
        "labelsTr/HN_002.nii.gz": "mask",
    },
    "all in one folder": {
        **{"P01_PET.nii.gz": "pet", "P01_T1.nii.gz": "mri", "P01_GTV.nii.gz": "mask"},
        **{"P02_PET.nii.gz": "pet", "P02_T1.nii.gz": "mri", "P02_GTV.nii.gz": "mask"},
    },
    "HECKTOR": {
        "imagesTr/CHUS001__PT.nii.gz": "pet",
        "imagesTr/CHUS001__MR.nii.gz": "mri",
        "labelsTr/CHUS001.nii.gz": "mask",
        "imagesTr/CHUS002__PT.nii.gz": "pet",
        "imagesTr/CHUS002__MR.nii.gz": "mri",
        "labelsTr/CHUS002.nii.gz": "mask",
    },
    "a folder for each modality": {
        **{"PET/P01.nii": "pet", "MRI/P01.nii": "mri", "masks/P01.nii": "mask"},
        **{"PET/P02.nii": "pet", "MRI/P02.nii": "mri", "masks/P02.nii": "mask"},
    },
    "a mask by its header": {
        **{"P01/suv.nii.gz": "pet", "P01/flair.nii.gz": "mri", "P01/manual.nii.gz": "mask"},
        **{"P02/suv.nii.gz": "pet", "P02/flair.nii.gz": "mri", "P02/manual.nii.gz": "mask"},
    },
}
