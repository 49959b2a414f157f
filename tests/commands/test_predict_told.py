"""`hnscc predict` tells of a scan what the user should know before trusting its mask."""

import re
import shutil

import numpy as np
import pytest
from trained_runs import SIDE, UPRIGHT, scan_of, write_scans

import hnscc
from hnscc.base.errors import InputError
from hnscc.study.run_folder import RunFolder

PLACING = {"reference": "pet", "size": SIDE, "pixel_mm": None, "suv": "bw", "units": {}}


def test_a_scan_unlike_the_studys_is_told(trained, tmp_path):
    volumes = {name: data for name, data in scan_of(1).items() if name != "mask"}
    scans = {
        "alike": volumes,
        "bq": volumes | {"pet": volumes["pet"] * 5000},
        "small": volumes | {"pet": volumes["pet"] / 1000},
    }
    found = hnscc.predict(
        trained.root, write_scans(tmp_path / "new", scans), tmp_path / "out", variant="pet_mri"
    )
    told = {scan["scan_id"]: scan for scan in found.facts["scans"]}
    assert told["alike"]["told"] == []
    assert told["bq"]["intensities"]["pet"]["outside"] == 1.0
    assert "100.0% of the pixels lie outside" in told["bq"]["told"][0]
    assert any("another unit of values" in line for line in told["small"]["told"])


@pytest.mark.parametrize("times, told", [(0.1, 1), (1000, 1), (0.5, 0), (3, 0)])
def test_lengths_in_another_unit_are_told(trained, tmp_path, times, told):
    """As of a scan whose header is in cm: its sizes in ml would be a thousandth."""
    affine = UPRIGHT @ np.diag([times, times, times, 1])
    manifest = write_scans(tmp_path / "new", {"a": scan_of(1)}, affine)
    scan = hnscc.predict(trained.root, manifest, tmp_path / "out", variant="pet").facts["scans"][0]
    found = [text for text in scan["told"] if "lengths in mm" in text]
    assert len(found) == told and all("theirs of 1 x 1 x 3 mm" in text for text in found)


def test_a_hot_lesion_makes_no_other_scale_of_a_scan_without_a_mask(trained, tmp_path):
    """Of the study's scans the lesion is left out, and of new ones without a mask nothing was. Another scale moves the
    other tissue too, and is told."""
    scans = {name: scan_of(1) for name in ("marked", "unmarked", "dim")}
    for name in ("marked", "unmarked"):
        scans[name]["mask"][3:11, 3:11, 1:] = 1
        scans[name]["pet"] = scans[name]["pet"] + 20 * scans[name]["mask"]
    scans["dim"]["pet"] /= 3
    manifest = write_scans(tmp_path / "new", scans)
    manifest.write_text(re.sub("(unmarked|dim)/mask.nii.gz", "", manifest.read_text()))
    found = hnscc.predict(trained.root, manifest, tmp_path / "out", variant="pet")
    marked, unmarked, dim = (
        [line for line in each["told"] if "median" in line] for each in found.facts["scans"]
    )
    assert marked == unmarked == [] and len(dim) == 1


def test_a_run_folder_without_placing_asks_its_store(trained, tmp_path):
    """Folds that were written before they kept how the scans were placed."""
    from hnscc.base.files import read_sealed, write_sealed

    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained.root, run.root)
    for fold in (0, 1):
        split = read_sealed(run.fold(fold).split)
        assert split.pop("placing") == PLACING
        write_sealed(run.fold(fold).split, split)
    manifest = write_scans(tmp_path / "new", {"a": scan_of(1)})
    found = hnscc.predict(run.root, manifest, tmp_path / "out")
    assert found.facts["placing"] == PLACING
    write_sealed(run.fold(0).split, read_sealed(run.fold(0).split) | {"store_digest": "of another store"})
    with pytest.raises(InputError, match="its store is another one by now"):
        hnscc.predict(run.root, manifest, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_scan_is_judged_beside_the_studys_where_the_run_folder_keeps_what_these_are_like(trained, tmp_path):
    """PET a third as bright as in the study. A run folder of before says that nothing was compared."""
    from hnscc.base.files import read_sealed, write_sealed

    dim = scan_of(1)
    dim["pet"] = dim["pet"] / 3
    manifest = write_scans(tmp_path / "new", {"a": dim, "b": scan_of(2)})
    one, two = hnscc.predict(trained.root, manifest, tmp_path / "out", variant="pet").facts["scans"]
    assert any(text.startswith("beside the study's scans, pet is 1/") for text in one["told"])
    assert not any("the study's scans" in text for text in two["told"])
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained.root, run.root)
    split = read_sealed(run.fold(0).split)
    del split["usual"]
    write_sealed(run.fold(0).split, split)
    for scan in hnscc.predict(run.root, manifest, tmp_path / "old", variant="pet").facts["scans"]:
        assert [text[:36] for text in scan["told"] if "the study's scans" in text] == [
            "not compared with the study's scans:"
        ]
