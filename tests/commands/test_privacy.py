"""No identifier of a patient comes out of this program: planted wherever files have room for one, searched for in every
byte of what all commands write and say, also where they are refused, killed, or their trials fail.

What may hold them is what the user asks for: the manifest that names the files, the file of pseudonyms, and DICOM
written with --keep-identity. DICOM without it refers to the source's UIDs.
"""

import base64
import csv
import gzip
import io
import os
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import processes
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zarr
from dicom_drawn import box, contour, segmentation, structures
from dicom_files import classic_series, pet_attributes
from dicom_files import write as write_series
from identifiers import (
    CONTENTS,
    OBSERVATIONS,
    PATIENT_AND_STUDY,
    PLACES,
    REGIONS,
    SEGMENTS,
    STRUCTURES,
    UID,
    plant,
    planted,
    put,
    write_nifti,
)
from leaks import found_below, found_in
from moved import body_scan
from PIL import Image, PngImagePlugin
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from scans import save
from stores import study_of
from trained_runs import SIDE, UPRIGHT, scan_of

from hnscc.cohort.store import open_store
from hnscc.commands.cli import main

DICOM, ALL = 6, 12  # patients


def test_every_place_has_an_identifier_of_its_own():
    assert len({planted(place) for place in PLACES}) == len(PLACES) >= 60


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a", content)
    return file.getvalue()


def _parquet(text: str) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": ["b" * 999, text]}), file, compression="zstd")
    return file.getvalue()


def _picture(text: str) -> bytes:
    file, described = io.BytesIO(), PngImagePlugin.PngInfo()
    described.add_text("Title", text, zip=True)
    Image.new("L", (2, 2)).save(file, "png", pnginfo=described)
    return file.getvalue()


KEPT: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "latin-1": lambda text: text.encode("latin-1"),
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "UTF-16 of the other order": lambda text: text.encode("utf-16-be"),
    "capitals": lambda text: text.upper().encode(),
    "gzip in zip": lambda text: _zipped(gzip.compress(text.encode())),
    "Parquet": _parquet,
    "a picture in a page": lambda text: (
        b"<img src='data:image/png;base64,%s'>" % base64.b64encode(_picture(text))
    ),
}


@pytest.mark.parametrize("kept", KEPT)
def test_an_identifier_is_found_however_it_is_kept(kept):
    content = KEPT[kept](f"{'a' * 99}{planted('descrip')}")
    assert found_in(content) == {"descrip"}
    assert found_in(KEPT[kept](f"{UID}.1 20170813")) == {"a UID", "a date"}
    assert found_in(KEPT[kept]("nothing, 9.20170813, 120170813")) == set()


def test_an_identifier_is_found_in_names_and_stores(tmp_path):
    (tmp_path / planted("file")).mkdir()
    group = zarr.open_group(tmp_path / "s.zarr", mode="w")
    values = np.frombuffer(planted("private").encode() + bytes(range(240)), np.uint8)
    group.create_array("a", data=values, compressors=zarr.codecs.GzipCodec())
    found = found_below(tmp_path)
    assert found.pop(planted("file")) == {"file"} and found["s.zarr"] == {"private"}


def hospital(folder: Path) -> tuple[Path, list[list[str]]]:
    """Write the cohort's files: half of the patients in DICOM, a mask in each, and half in NIfTI, with the rows of a
    manifest beside the folder."""
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
    """PET, MRI and a mask: contours of every second patient, a segmentation of the others."""
    series: dict[str, list[Dataset]] = {}
    for number, (name, modality) in enumerate({"pet": "PT", "mri": "MR"}.items(), start=1):
        stored = np.clip(np.rint(volumes[name] * 100), 0, 60000).astype(np.uint16)
        own = pet_attributes(Units="GML") if modality == "PT" else {}
        lies = {"origin": (0, 0, 0), "pixel": (1.0, 1.0), "slopes": [0.01] * stored.shape[2]}
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
    """Where a user works: `own` holds what commands write, and what they said; tmp and home what they leave behind."""

    def __init__(self, folder: Path, capfd, monkeypatch) -> None:
        self.folder, self.capfd, self.monkeypatch = folder, capfd, monkeypatch
        self.own, self.home, self.tmp = (folder / name for name in ("own", "home", "t"))
        for each in (self.own / "said", self.home, self.tmp):
            each.mkdir(parents=True)
        self.environment = {"HOME": str(self.home), "TMPDIR": str(self.tmp)}
        self.said = 0

    def command(self, *arguments: object, code: int = 0) -> None:
        """Give a command in this process; what it says, on whatever way, is kept."""
        self.capfd.readouterr()
        with self.monkeypatch.context() as during, pytest.raises(SystemExit) as ended:
            for name, value in self.environment.items():
                during.setenv(name, value)
            during.setattr(tempfile, "tempdir", None)
            during.setattr(sys, "argv", ["hnscc", *map(str, arguments)])
            main()
        self.keep(arguments, *self.capfd.readouterr())
        assert (ended.value.code or 0) == code, self.last

    def begin(self, module: str, *arguments: object):
        return processes.start(self.home, module, *arguments, environment=self.environment)

    def end(self, process, code: int) -> str:
        out, error = process.communicate(timeout=500)
        self.keep(process.args, out, error)
        assert process.returncode == code, self.last
        return out + error

    def keep(self, arguments, out: str, error: str) -> None:
        self.said += 1
        self.last = f"{arguments}\n{out}{error}"
        (self.own / "said" / f"{self.said:02d}.out").write_text(out)
        (self.own / "said" / f"{self.said:02d}.err").write_text(error)


@pytest.fixture
def desk(capfd, monkeypatch):
    with tempfile.TemporaryDirectory(prefix="p-", dir="/tmp") as folder:  # short, for the sockets of Ray
        yield Desk(Path(folder), capfd, monkeypatch)


@pytest.mark.slow
def test_nothing_of_a_patient_comes_out(desk):
    """A study of 12 patients from their files to exported models, with all that may go wrong on the way."""
    made, more = hospital(desk.folder)
    manifest, key = desk.folder / "manifest.csv", desk.folder / "key.csv"
    desk.command("scan", made, "--json")
    whole = desk.folder / "whole.csv"
    desk.command("scan", made, "--manifest", whole, "--prefer", planted("file"))
    assert planted("file") in whole.read_text() and len(whole.read_text().splitlines()) == 1 + ALL
    whole.unlink()
    desk.command("scan", made / "dicom", "--manifest", manifest, "--pseudonyms", key)
    assert found_in(manifest.read_bytes()) and found_in(key.read_bytes()), (
        "what users ask for names files, patients"
    )
    with manifest.open(newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 1 + DICOM
    columns = rows[0]
    ordered = [
        dict(zip(("patient_id", "scan_id", "pet", "mri", "mask", "roi"), row, strict=True)) for row in more
    ]
    save(desk.folder, [*rows, *([row[name] for name in columns] for row in ordered)])
    store, run = desk.own / "cohort.zarr", desk.own / "run"
    desk.command("prepare", manifest, store, "--size", SIDE, "--workers", 2)
    registered(desk, made, manifest)
    refusals(desk, made, manifest, store)
    study_to_its_end(desk, store, run)
    predictions(desk, run, manifest)
    allowed = {"own/masks": {"a UID"}, "own/kept": {"a UID", "a date", *PATIENT_AND_STUDY}}
    for path in (manifest, key, made):
        (shutil.rmtree if path.is_dir() else Path.unlink)(path)
    leaks = {}
    for path, places in found_below(desk.folder).items():
        of = path.rpartition("/")[0] if path.endswith(".dcm") else ""
        if more_than := places - allowed.get(of, set()):
            leaks[path] = more_than
    assert leaks == {}
    assert list(desk.tmp.glob("ray/session_*")), "Ray's session is among what was searched"
    for folder in ("masks", "kept"):
        assert len(list(desk.own.glob(f"{folder}/*.seg.dcm"))) == DICOM
        assert list(desk.own.glob(f"{folder}/*.rtstruct.dcm"))


def registered(desk: Desk, made: Path, manifest: Path) -> None:
    """Images that state no frame of reference are laid on one another, where they can be: noise cannot."""
    rigid = ("--size", 32, "--reference", "mri", "--register", "rigid")
    desk.command("prepare", manifest, desk.own / "no.zarr", *rigid, code=2)
    own = made / "body" / planted("folder of the patient")
    body_scan(own, 0, "x")
    one = manifest.with_name("one.csv")
    cells = (str((own / f"{name}.nii.gz").relative_to(one.parent)) for name in ("pet", "mri"))
    one.write_text(f"patient_id,scan_id,pet,mri,mask\nb,b_1,{','.join(cells)},none\n")
    desk.command("prepare", one, desk.own / "laid.zarr", *rigid)
    assert "registered" in open_store(desk.own / "laid.zarr").scans[0].placement
    shutil.rmtree(own.parent)
    one.unlink()


def study_to_its_end(desk: Desk, store: Path, run: Path) -> None:
    """Trained while a worker is killed; the trials of one variant fail."""
    desk.command("verify", store)
    desk.command("init", store, desk.own / "begun.yaml")
    variants = {
        "pet": {"modalities": ["pet"]},
        "pet_mri": {"modalities": ["pet", "mri"]},
        "broken": {"modalities": ["mri"], "training": {"learning_rate": 1e30}},
    }
    settings = {"variants": variants, "training": {"epochs": 40, "patience": 40}}
    study = desk.own / "study.yaml"
    study.write_text(yaml.safe_dump(study_of(store, **settings).model_dump(mode="json"), sort_keys=False))
    desk.command("check", study)
    running = desk.begin("hnscc.commands.cli", "run", study, "--out", run)
    kill_one(running.pid, "ray::", lambda: list(run.glob("trials/pet*/checkpoint/*")))
    said = desk.end(running, code=1)
    assert "failed: broken-f0-r00" in said and "4 trials completed" in said
    for command in ("aggregate", "report", "status", "tables", "plan"):
        desk.command(command, run)
    for table in ("cohort", "scans", "patients"):
        desk.command("query", run, f"SELECT * FROM {table}", "--format", "csv")
    desk.command("export", run, "--out", desk.own / "model", "--variant", "pet_mri")


def predictions(desk: Desk, run: Path, manifest: Path) -> None:
    all_of_it = ("--rtstruct", "--probabilities", "--disagreement", "--ensemble", "--variant", "pet_mri")
    desk.command("predict", run, manifest, "--out", desk.own / "masks", *all_of_it)
    desk.command("predict", run, manifest, "--out", desk.own / "kept", *all_of_it, "--keep-identity")
    desk.command("prune", run)


def refusals(desk: Desk, made: Path, manifest: Path, store: Path) -> None:
    """What is refused, and a process that is killed, leave no store; what is there already stays."""
    new = desk.own / "no.zarr"
    desk.command("prepare", manifest, store, code=2)
    running = desk.begin("hnscc.commands.cli", "prepare", manifest, new, "--size", SIDE, "--workers", 2)
    kill_one(running.pid, "spawn_main", lambda: True)
    desk.end(running, code=1)
    for damage in DAMAGES.values():
        harmed = desk.folder / "harmed"
        shutil.copytree(made, harmed / made.name)
        shutil.copy(manifest, harmed)
        damage(harmed)
        desk.command("prepare", harmed / "manifest.csv", new, "--size", SIDE, "--workers", 1, code=2)
        desk.command("scan", harmed)
        shutil.rmtree(harmed)
    assert not new.exists()


def kill_one(parent: int, named: str, when: Callable[[], object]) -> None:
    """Kill the youngest of the processes below another whose command holds these words, once it is time."""
    until = time.monotonic() + 300
    while not (found := when() and below(parent, named)):
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(found[-1], signal.SIGKILL)


def below(parent: int, named: str) -> list[int]:
    """The processes that a process has begun, and those that these have, whose command holds these words."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            commands[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ProcessLookupError):
            continue
    family = {parent}
    while more := {pid for pid, of in parents.items() if of in family} - family:
        family |= more
    return sorted(pid for pid in family if pid in commands and named in commands[pid])


def _file(harmed: Path, among: str) -> Path:
    """The first file below whose path holds these letters."""
    return next(each for each in sorted(harmed.rglob("*")) if among in str(each) and each.is_file())


def _cut(harmed: Path) -> None:
    """A slice, contours, and a NIfTI file cut short."""
    for file in (_file(harmed, "pet_"), _file(harmed, ".dcm"), _file(harmed, ".nii.gz")):
        file.write_bytes(file.read_bytes()[: 2 * file.stat().st_size // 3])


def _vanish(harmed: Path) -> None:
    shutil.rmtree(_file(harmed, "pet_").parent)
    _file(harmed, ".nii.gz").unlink()


def _odd_values(harmed: Path) -> None:
    """Attributes that hold what theirs may not, at which pydicom warns with their text."""
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
        (folder.parent / name).symlink_to(name)  # that leads to itself


def _cells(harmed: Path) -> None:
    """A manifest whose cells name what is not there, with names that no system takes, and a region of a patient."""
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
