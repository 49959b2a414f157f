"""Scans without lesion: said by `none`, or taken as such and then counted and named."""

import numpy as np
import pytest
from scans import change, cohort, prepare, refused, write

from data_prep.new_scans import list_scans


def test_none_says_that_a_scan_has_no_lesion(tmp_path, hnscc):
    manifest = cohort(tmp_path, 4)
    change(manifest, 5, "mask", "None")
    write(tmp_path / "s1" / "mask.nii.gz", np.zeros((20, 16, 5), np.uint8))
    code, out, _ = hnscc("prepare", manifest, tmp_path / "s.zarr", "--size", 16, "--workers", 1)
    assert code == 0
    assert "taken as free of lesion by none in the manifest: 1 of 4 scans: S3" in out
    assert "taken as free of lesion by a mask without lesion: 1 of 4 scans: S1" in out
    assert "an empty cell" not in out


def test_empty_cells_and_masks_of_zeros_are_counted_and_named(tmp_path, hnscc):
    manifest = cohort(tmp_path, 4)
    change(manifest, 3, "mask", "")
    code, out, _ = hnscc("prepare", manifest, tmp_path / "s.zarr", "--size", 16, "--workers", 1)
    assert code == 0
    assert "taken as free of lesion by an empty cell: 2 of 4 scans: S1, S3" in out
    assert "a mask without lesion" not in out


def test_where_one_row_says_none_an_empty_cell_is_a_forgotten_mask(tmp_path):
    manifest = cohort(tmp_path, 4)
    change(change(manifest, 2, "mask", "none"), 3, "mask", "")
    text = refused(manifest, "2 faults", "`none`", "an empty cell")
    assert "row 3, scan S1, column mask" in text and "row 5, scan S3, column mask" in text
    assert "row 2" not in text
    # Ids that cannot be used may be shifted cells, and are not repeated.
    change(change(manifest, 3, "mask", "s1/mask.nii.gz"), 5, "scan_id", "Jane Doe")
    text = refused(manifest, "2 faults", "row 5, column mask", "row 5, column scan_id")
    assert "Jane" not in text


@pytest.mark.parametrize("word", ["none", "NONE"])
def test_a_cohort_may_have_no_mask_at_all(tmp_path, word):
    manifest = cohort(tmp_path, 2)
    for row in (2, 3):
        change(manifest, row, "mask", word)
    store = prepare(manifest, tmp_path / "s.zarr", size=16, workers=1)
    assert [scan.placement["lesion_free"] for scan in store.scans] == ["none in the manifest"] * 2


@pytest.mark.parametrize("others", ["none", "FILL-IN", "s1/mask.nii.gz"])
def test_a_mask_that_is_to_be_filled_in_is_no_scan_without_lesion(tmp_path, others):
    """Whatever other rows say; and for predictions such a cell says nothing."""
    manifest = change(change(cohort(tmp_path, 2), 2, "mask", "fill-in"), 3, "mask", others)
    text = refused(manifest, "still to be filled in", "row 2, scan S0, column mask", "`none`")
    assert ("row 3, scan S1, column mask" in text) == (others == "FILL-IN")
    first, _ = list_scans(manifest, ["pet", "mri"])
    assert first.mask is None and not first.said_free


def test_a_mask_that_is_not_there_is_told_as_that_alone(tmp_path):
    manifest = cohort(tmp_path, 3)
    change(change(manifest, 4, "mask", "none"), 2, "mask", "s0/gone.nii.gz")
    text = refused(manifest, "does not exist", "row 2")
    assert "missing" not in text
