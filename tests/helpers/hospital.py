"""A hospital's files with identifiers planted wherever there is room, a desk at which a user works with them,
and damages."""

import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest
from dicom_files import classic_series, pet_attributes
from dicom_files import write as write_series
from dicom_masks import box, contour, segmentation, structures
from identifiers import (
    CONTENTS,
    OBSERVATIONS,
    REGIONS,
    SEGMENTS,
    STRUCTURES,
    UID,
    plant,
    planted,
    put,
    write_nifti,
)
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from scans import save
from trained_runs import UPRIGHT, scan_of

from hnscc.commands.cli import run_command

DICOM, ALL = 6, 12  # patients


def hospital(folder: Path) -> tuple[Path, list[list[str]]]:
    """Write the cohort's files: half of the patients in DICOM, each with a mask, and half in NIfTI. Return the folder
    and the rows of a manifest beside it."""
    made = folder / f"{planted('folder of the hospital')}"
    seeds = [seed for seed in range(1, 10) if seed % 3][:DICOM]  # with lesion
    for patient, seed in enumerate(seeds, start=1):
        dicom_patient(
            made / "dicom" / f"{planted('folder of the patient')}_{patient}", patient, scan_of(seed)
        )
    rows = []
    for seed in range(20, 20 + ALL - DICOM):
        own = f"{made.name}/nifti/{planted('folder of the patient')}_{seed}"
        cells = []
        for name, values in scan_of(seed).items():
            cells.append(f"{own}/{name}_{planted('file')}.nii.gz")
            write_nifti(folder / cells[-1], values, UPRIGHT)
        rows.append([f"n{seed}", f"n{seed}_1", *cells, ""])
    return made, rows


def dicom_patient(folder: Path, patient: int, volumes: dict[str, np.ndarray]) -> None:
    """Write PET, MRI and a mask: contours for every second patient, a segmentation for the others."""
    series: dict[str, list[Dataset]] = {}
    for number, (name, modality) in enumerate({"pet": "PT", "mri": "MR"}.items(), start=1):
        stored = np.clip(np.rint(volumes[name] * 100), 0, 60000).astype(np.uint16)
        own: dict[str, Any] = pet_attributes(Units="GML") if modality == "PT" else {}
        lies: dict[str, Any] = {"origin": (0, 0, 0), "pixel": (1.0, 1.0), "slopes": [0.01] * stored.shape[2]}
        slices = classic_series(stored, modality=modality, **lies, **own)
        series[name] = [plant(each, patient, number, at) for at, each in enumerate(slices, start=1)]
        write_series(folder / f"{name}_{planted('file')}", series[name], name=planted("file"))
    file = folder / f"{planted('file')}.dcm"
    mask = volumes["mask"] > 0
    drawn = contoured(file, mask, patient) if patient % 2 else segmented(file, series["mri"], mask)
    plant(drawn, patient, 3, 1).save_as(file, enforce_file_format=True)


def contoured(file: Path, mask: np.ndarray, patient: int) -> Dataset:
    x, y, z = (np.unique(at) for at in np.nonzero(mask))
    outlines = [contour(box(int(x[0]), int(y[0]), len(x), len(y), int(each))) for each in z]
    structures(file, {"GTV": outlines}, frame=f"{UID}.{patient}.2", series=f"{UID}.{patient}.3.2")
    drawn = dcmread(file)
    put(drawn, *STRUCTURES)
    put(drawn.StructureSetROISequence[0], *REGIONS)
    observed = Dataset()
    observed.ObservationNumber = observed.ReferencedROINumber = 1
    put(observed, *OBSERVATIONS)
    drawn.RTROIObservationsSequence = Items([observed])
    return drawn


def segmented(file: Path, images: list[Dataset], mask: np.ndarray) -> Dataset:
    segmentation(file, images, mask)
    drawn = dcmread(file)
    put(drawn, *CONTENTS)
    put(drawn.SegmentSequence[0], *SEGMENTS)
    return drawn


class Desk:
    """Where a user works. `own` holds what commands write and what they said; tmp and home hold what they
    leave behind."""

    def __init__(
        self, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.folder, self.capfd, self.monkeypatch = folder, capfd, monkeypatch
        self.own, self.home, self.tmp = (folder / name for name in ("own", "home", "t"))
        for each in (self.own / "said", self.home, self.tmp):
            each.mkdir(parents=True)
        self.environment = {"HOME": str(self.home), "TMPDIR": str(self.tmp)}
        self.said = 0

    def command(self, *arguments: object, code: int = 0) -> None:
        """Run a command in this process, and keep what it prints."""
        self.capfd.readouterr()
        with self.monkeypatch.context() as during:
            for name, value in self.environment.items():
                during.setenv(name, value)
            during.setattr(tempfile, "tempdir", None)
            during.setattr(sys, "argv", ["hnscc", *map(str, arguments)])
            ended = run_command()
        self.keep(arguments, *self.capfd.readouterr())
        assert ended == code, self.last

    def begin(self, module: str, *arguments: object) -> subprocess.Popen[str]:
        return processes.start(self.home, module, *arguments, environment=self.environment)

    def end(self, process: subprocess.Popen[str], code: int) -> str:
        out, error = process.communicate(timeout=500)
        self.keep(process.args, out, error)
        assert process.returncode == code, self.last
        return out + error

    def keep(self, arguments: object, out: str, error: str) -> None:
        self.said += 1
        self.last = f"{arguments}\n{out}{error}"
        (self.own / "said" / f"{self.said:02d}.out").write_text(out)
        (self.own / "said" / f"{self.said:02d}.err").write_text(error)


def _file(harmed: Path, among: str) -> Path:
    """Return the first file below whose path holds these letters."""
    return next(each for each in sorted(harmed.rglob("*")) if among in str(each) and each.is_file())


def _cut(harmed: Path) -> None:
    """Cut short a slice, contours, and a NIfTI file."""
    for file in (_file(harmed, "pet_"), _file(harmed, ".dcm"), _file(harmed, ".nii.gz")):
        file.write_bytes(file.read_bytes()[: 2 * file.stat().st_size // 3])


def _vanish(harmed: Path) -> None:
    shutil.rmtree(_file(harmed, "pet_").parent)
    _file(harmed, ".nii.gz").unlink()


def _odd_values(harmed: Path) -> None:
    """Give attributes values that they may not have: pydicom then warns, and shows these values."""
    for file in _file(harmed, "pet_").parent.iterdir():
        content = file.read_bytes()
        content = content.replace(b"20170813", planted("StudyID").encode()[:8]).replace(
            b"19031207", b"Vqxzj000"
        )
        file.write_bytes(content.replace(b"GML ", b"VQXZ"))


def _links(harmed: Path) -> None:
    folder = _file(harmed, "pet_").parent
    (folder / f"{planted('file')}9").symlink_to(folder / planted("file"))
    for name in (f"{planted('file')}8_pet.nii", f"{planted('file')}8_mri.img"):
        (folder.parent / name).symlink_to(name)  # a link to itself


def _cells(harmed: Path) -> None:
    """Write a manifest whose cells name files that are not there, names that no system accepts, and a region of
    a patient."""
    with (harmed / "manifest.csv").open(newline="") as file:
        columns, *rows = csv.reader(file)
    pet, mask, roi = (columns.index(name) for name in ("pet", "mask", "roi"))
    rows[0][pet], rows[1][pet] = f"{planted('file')}" * 99, f"{planted('folder of the patient')}/x.nii.gz"
    rows[2][pet], rows[3][roi] = f"{rows[2][pet].partition('#')[0]}#{UID}", planted("ROIDescription")
    rows[4][mask] = f"~{planted('file')}/a.dcm"
    rows.append([planted("PatientID"), planted("StudyID"), *rows[0][2:]])
    rows.append([f"{planted('PatientName')}\0", "b", *rows[0][2:]])
    save(harmed, [columns, *rows])


DAMAGES = {"cut": _cut, "vanished": _vanish, "odd": _odd_values, "links": _links, "cells": _cells}
