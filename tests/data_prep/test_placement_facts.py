"""Every fact that preparing keeps of a scan is named and explained in hnscc.cohort.placement, and none beside."""

import pytest
from scans import change, cohort, prepare

from hnscc.cohort.placement import (
    WAY_BACK,
    CohortPlacement,
    DrawnFacts,
    FileFacts,
    LesionFacts,
    Placement,
    ValueFacts,
)

# Kept only where there is something to keep.
OPTIONAL = {"lying", "registered", "register", "share_of_whole", "unit", "units"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("facts")
    manifest = cohort(folder, 3)
    for row in (3, 4):
        change(manifest, row, "mask", "none")
    return prepare(manifest, folder / "s.zarr", size=16, workers=1)


def test_the_facts_of_scans_are_those_that_are_explained(store):
    for scan in store.scans:
        told = scan.placement
        assert told.keys() == Placement.__annotations__.keys() - OPTIONAL
        assert told["lesion"].keys() == LesionFacts.__annotations__.keys() - OPTIONAL
        assert told["drawn"].keys() == DrawnFacts.__annotations__.keys()
        for name in ("pet", "mri"):
            assert told["values"][name].keys() == ValueFacts.__annotations__.keys() - OPTIONAL
            assert told["inputs"][name].keys() == FileFacts.__annotations__.keys()
    assert store.placed.keys() == CohortPlacement.__annotations__.keys() - OPTIONAL


def test_the_way_back_is_part_of_them():
    assert set(WAY_BACK) <= Placement.__annotations__.keys()
    assert WAY_BACK == ("reference", "input_shape", "input_affine", "input_axes", "size", "scale", "offset")
