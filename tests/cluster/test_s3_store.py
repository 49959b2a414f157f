"""Stores on a real S3 server: written, cut short, damaged."""

import csv
import json
import random
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from on_s3 import harmed, objects, run, start, until
from stores import make_store

from hnscc.base.errors import InputError
from hnscc.base.files import write_bytes
from hnscc.base.locations import ZARR_ROOT, locate
from hnscc.cohort.store import open_store, verify_store
from hnscc.cohort.store_format import UNFINISHED

pytestmark = pytest.mark.usefixtures("server")


def cohort(folder: Path, scans: int) -> Path:
    rows = [["patient_id", "scan_id", "pet", "mask"]]
    for number in range(scans):
        rng = np.random.default_rng(number)
        mask = np.zeros((20, 16, 5), np.uint8)
        mask[6:14, 5:12, 1:4] = number % 2
        for name, data in (("pet", rng.random(mask.shape, np.float32)), ("mask", mask)):
            image = nib.Nifti1Image(data, np.diag([-1.0, -1.0, 3.0, 1.0]))
            image.to_filename(folder / f"{name}{number}.nii.gz")
        last = f"mask{number}.nii.gz" if number % 2 else ""
        rows.append([f"p{number}", f"p{number}_a", f"pet{number}.nii.gz", last])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


def test_prepare_and_verify_a_store_on_s3(there, tmp_path):
    manifest = cohort(tmp_path, scans=3)
    prepare = ("prepare", manifest, there / "c.zarr", "--size", 16, "--workers", 1)
    out, _ = run("hnscc", *prepare)
    assert f"`store: {there}/c.zarr`" in out
    run("hnscc", "prepare", manifest, tmp_path / "c.zarr", "--size", 16, "--workers", 1)
    local, remote = open_store(tmp_path / "c.zarr"), open_store(str(there / "c.zarr"))
    assert (remote.digest, remote.scans) == (local.digest, local.scans)
    here = {path.relative_to(tmp_path / "c.zarr").as_posix() for path in (tmp_path / "c.zarr").rglob("*")}
    assert set(objects(there / "c.zarr")) <= here  # the same files: no lock and no mark is left
    out, _ = run("hnscc", "verify", there / "c.zarr", "--json")
    assert json.loads(out)["digest"] == local.digest
    _, error = run("hnscc", *prepare, code=2)
    assert "--overwrite" in error

    (tmp_path / "less").mkdir()
    run("hnscc", "prepare", cohort(tmp_path / "less", 2), *prepare[2:], "--overwrite")
    assert [scan.scan_id for scan in open_store(str(there / "c.zarr")).scans] == ["p0_a", "p1_a"]
    assert not any("p2_a" in name for name in objects(there / "c.zarr"))
    run("hnscc", "verify", there / "c.zarr")


def test_what_is_not_ours_is_never_replaced(there, tmp_path):
    manifest = cohort(tmp_path, scans=1)
    for name in ("data.csv", "zarr.json"):
        write_bytes(there / name.partition(".")[0] / name, b'{"precious": 1}')
        before = objects(there)
        target = there / name.partition(".")[0]
        run("hnscc", "prepare", manifest, target, "--size", 16, "--workers", 1, "--overwrite", code=2)
        assert objects(there) == before


def test_an_upload_cut_short_is_no_store_and_the_same_command_goes_on(there, tmp_path):
    """Kill -9 in the middle of the upload; its lock is waited for with the real LEASE_SECONDS."""
    manifest = cohort(tmp_path, scans=12)
    command = ("prepare", manifest, there / "c.zarr", "--size", 16, "--workers", 1)
    process = start(
        "hnscc", *command, set_up="import hnscc.cohort.store_building as s; s.UPLOADS_AT_ONCE = 1"
    )
    until((there / "c.zarr" / UNFINISHED).is_file, process)
    process.kill()
    process.communicate()
    left = set(objects(there / "c.zarr"))
    assert ZARR_ROOT not in left and UNFINISHED in left, "killed too late to show anything"
    _, error = run("hnscc", "verify", there / "c.zarr", code=2)
    assert "cut short" in error
    began = time.monotonic()
    _, error = run("hnscc", *command)
    assert "waiting 30 s" in error
    assert 30 < time.monotonic() - began < 60
    out, _ = run("hnscc", "verify", there / "c.zarr")
    assert "12 scans" in out
    assert not {UNFINISHED, ".lock"} & set(objects(there / "c.zarr"))


def test_every_damage_of_a_store_is_found_or_harmless(there, bucket):
    """Bits flipped, ends cut off, objects deleted: a scan that is read all the same is what was written."""
    store = make_store(there, patients=4, slices=2, size=16)
    arrays = {scan.scan_id: store.read(scan.scan_id) for scan in store.scans}
    prefix = locate(store.location)
    names = sorted(objects(prefix))
    rng = random.Random(3)
    found = 0
    harms = [(name, harm) for name in names for harm in ("flip", "flip", "cut", "delete")]
    for name, harm in harms:
        file = prefix / name
        content = file.read_bytes()
        if harm == "delete":
            bucket.delete(file.key)
        else:
            bucket.put(file.key, harmed(content, harm, rng))
        try:
            verify_store(open_store(store.location))
        except InputError as error:
            assert "damaged" in str(error) or "no store" in str(error)
            found += 1
        else:
            again = open_store(store.location)
            for scan_id, (images, mask) in arrays.items():
                now = again.read(scan_id)
                np.testing.assert_array_equal(now[0], images)
                np.testing.assert_array_equal(now[1], mask)
        file.write_bytes(content)
    assert found > 0.7 * len(harms), (found, len(harms))
    assert verify_store(open_store(store.location)) == 8
