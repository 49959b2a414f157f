"""The public cohort of soft-tissue sarcoma: its files, each known by its content, and the texts that go with them.

sts.json lists every file with its size, its SHA-256 and its `blob`: the SHA-1 by which git names a content
(`git hash-object`). They were computed from the files themselves, so they hold wherever a copy lies.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LISTED = Path(__file__).with_name("sts.json")
MANIFEST, NOTICE = "manifest.csv", "README.txt"
# What the data set itself calls the files, by the manifest's column.
NAMES = {"pet": "PET_image.nii.gz", "mri": "MR_T1_image.nii.gz", "mask": "MR_T1_mask.nii.gz"}

NOTICE_TEXT = """\
FDG-PET and T1-weighted MR of soft-tissue sarcoma: 34 patients, with lesion masks (on the MR grid)

Source:   the IBSI validation data set, github.com/theibsi/data_sets, which is based on the collection
          Soft-tissue-Sarcoma of The Cancer Imaging Archive
Licence:  Creative Commons Attribution 3.0 Unported, https://creativecommons.org/licenses/by/3.0/
Changes:  none to any file; a subset was taken, and manifest.csv was written

PET is SUV; MR was corrected (N4) and normalised by subcutaneous fat. PET and MR of a patient share one frame of
reference and have different grids. All volumes are cropped to 5 cm around the tumour, which gives its position away,
and no scan is without lesion: say so beside every figure that you make with them. Not a clinical result.

Please cite
- Vallieres M, Freeman CR, Skamene SR, El Naqa I (2015). A radiomics model from joint FDG-PET and MRI texture features
  for the prediction of lung metastases in soft-tissue sarcomas of the extremities. The Cancer Imaging Archive,
  DOI 10.7937/K9/TCIA.2015.7GO2GSKS; and Physics in Medicine and Biology, DOI 10.1088/0031-9155/60/14/5471
- Clark K et al. (2013). The Cancer Imaging Archive (TCIA): maintaining and operating a public information repository.
  Journal of Digital Imaging 26(6), 1045-1057, DOI 10.1007/s10278-013-9622-7
"""


@dataclass(frozen=True)
class PublicFile:
    """One file of the cohort. role: pet, mri or mask, the manifest's column. size: in bytes. sha256, blob: of its
    content, as hexadecimal digits; blob is git's name of it (SHA-1)."""

    patient_id: str
    role: str
    size: int
    sha256: str
    blob: str

    @property
    def path(self) -> str:
        """Where it lies below the cohort's folder."""
        return f"nifti/{self.patient_id}/{NAMES[self.role]}"


def sts_files() -> tuple[PublicFile, ...]:
    """Its 102 files, three of each patient, in the order of the manifest."""
    return tuple(PublicFile(**each) for each in json.loads(LISTED.read_text(encoding="utf-8")))


def manifest_of(files: Sequence[PublicFile]) -> str:
    """Return the manifest of these files, as CSV: a row for each patient, who has one scan of the same name."""
    paths: dict[str, dict[str, str]] = {}
    for file in files:
        paths.setdefault(file.patient_id, {})[file.role] = file.path
    text = io.StringIO()
    table = csv.DictWriter(text, ["patient_id", "scan_id", *NAMES], lineterminator="\n")
    table.writeheader()
    table.writerows({"patient_id": name, "scan_id": name, **row} for name, row in paths.items())
    return text.getvalue()
