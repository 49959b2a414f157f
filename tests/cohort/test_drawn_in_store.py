"""Masks as they were drawn, in a store: read back, and nothing damaged passes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from filled_stores import EYE, shard, slices

from hnscc.base.errors import InputError
from hnscc.cohort.store import Store, verify_store
from hnscc.cohort.store_building import begin_store, finish_store, write_scan
from hnscc.cohort.store_format import DrawnMask, ScanFacts, drawn_digest


def with_drawn(final: Path, voxels: np.ndarray | None) -> Store:
    """A store of one scan, with its mask as drawn, or as earlier versions made it (None)."""
    unfinished = begin_store(final, overwrite=False)
    facts = {"scan_id": "A", "patient_id": "P", "source_lesion_px": (0,) * 4, "spacing_mm": (4.0, 1.5, 1.5)}
    drawn = None if voxels is None else DrawnMask(voxels, EYE, "mri")
    facts = ScanFacts(**facts, affine=EYE, placement={})
    scan = write_scan(unfinished.folder, *slices(0), facts, drawn=drawn)
    return finish_store(unfinished, modalities=("pet", "mri"), size=16, placed={}, scans=[scan])


def test_a_mask_as_drawn_is_read_back_on_a_grid_of_its_own(tmp_path):
    voxels = np.random.default_rng(3).random((7, 5, 3)) > 0.5
    store = with_drawn(tmp_path / "s.zarr", voxels)
    drawn = store.read_drawn("A")
    np.testing.assert_array_equal(drawn.voxels, voxels)
    assert (drawn.affine, drawn.on, drawn.spacing_mm) == (EYE, "mri", (1, 1, 1))
    older = with_drawn(tmp_path / "older.zarr", None)
    assert older.read_drawn("A") is None and verify_store(older) == 4
    assert older.scans[0].digest == store.scans[0].digest, "no training follows from the mask as drawn"
    assert older.digest != store.digest
    voxels[0, 0, 0] ^= True
    assert with_drawn(tmp_path / "other.zarr", voxels).digest != store.digest
    assert drawn_digest(np.zeros((7, 5, 3), np.uint8)) != drawn_digest(np.zeros((5, 7, 3), np.uint8))


def test_spacing_of_a_turned_grid_is_the_length_of_its_steps():
    """A step along x is 1 mm, along y 2 and along z 3; the axes are turned by 30 degrees in the plane."""
    affine = (
        (0.75**0.5, -1.0, 0.0, 7.0),
        (0.5, 3**0.5, 0.0, 8.0),
        (0.0, 0.0, 3.0, 9.0),
        (0.0, 0.0, 0.0, 1.0),
    )
    drawn = DrawnMask(np.zeros((1, 1, 1), bool), affine, None)
    assert drawn.spacing_mm == pytest.approx((3, 2, 1))


@pytest.mark.parametrize("harm", ["lost", "flipped", "exchanged"])
def test_harm_to_a_mask_as_drawn_is_found_and_named(tmp_path, harm):
    voxels = np.random.default_rng(3).random((7, 5, 3)) > 0.5
    store = with_drawn(tmp_path / "s.zarr", voxels)
    path = shard(store, "A", "drawn")
    if harm == "lost":
        path.unlink()
    elif harm == "flipped":
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 4
        path.write_bytes(content)
    else:
        shutil.copy(shard(with_drawn(tmp_path / "other.zarr", ~voxels), "A", "drawn"), path)
    with pytest.raises(InputError, match="scan A"):
        store.read_drawn("A")
    with pytest.raises(InputError, match="1 damaged: A"):
        verify_store(store)
    store.read("A")
