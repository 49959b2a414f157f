"""No identifier of a patient comes out of this program: planted wherever files have room for one, searched for in every
byte of what all commands write and say, also where they are refused, killed, or their trials fail.

What may hold them is what the user asks for: the manifest that names the files, the file of pseudonyms, and DICOM
written with --keep-identity. DICOM without it refers to the source's UIDs.
"""

import csv
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hospital import ALL, DAMAGES, DICOM, Desk, hospital
from identifiers import (
    PATIENT_AND_STUDY,
    planted,
)
from leaks import found_below, found_in
from moved import body_scan
from scans import save
from stores import study_of
from trained_runs import SIDE

from hnscc.cohort.store import open_store


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
    desk.command("scan", made, "--manifest", whole, "--prefer", planted("file"), code=2)  # it fits no name
    desk.command("scan", made, "--manifest", whole, "--prefer", f"*{planted('file')}*")
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
