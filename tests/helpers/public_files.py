"""Made-up files of a public cohort, as its list of files names them."""

import hashlib

from data_prep.public.sts import PublicFile

CONTENTS = [f"{role} of {patient}".encode() for patient in ("P1", "P2") for role in ("pet", "mri", "mask")]
NAMES = ["PET_image.nii.gz", "MR_T1_image.nii.gz", "MR_T1_mask.nii.gz"]
PATHS = [f"nifti/{patient}/{name}" for patient in ("P1", "P2") for name in NAMES]


def blob_of(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def file_of(patient: str, role: str, content: bytes) -> PublicFile:
    return PublicFile(patient, role, len(content), hashlib.sha256(content).hexdigest(), blob_of(content))


FILES = [
    file_of(patient, role, content)
    for (patient, role), content in zip(
        [(patient, role) for patient in ("P1", "P2") for role in ("pet", "mri", "mask")],
        CONTENTS,
        strict=True,
    )
]
