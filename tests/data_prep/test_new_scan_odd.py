"""One new scan is judged beside the numbers that a study keeps of its scans, by the rules of `prepare`."""

import numpy as np
import pytest
from bodies import body
from scans import place, prepare, save, volume, write
from scipy import ndimage
from stores import make_store

from data_prep.oddities.odd import odd_beside
from hnscc.cohort.kept_of_store import usual_of

SCANS, SIZE = 12, 32
CHANGES = {
    "a third as bright": (lambda image: image / 3, "pet is 1/"),
    "upside down": (lambda image: image[::-1], "pet lies turned upside down against most scans"),
    "inverted": (
        lambda image: image.max() - image,
        "pet is bright at its rim and in most voxels, dark in 12 others",
    ),
}


def bright(seed: int) -> np.ndarray:
    """(Z, H, W): a body amid air, so that its values have a scale."""
    image: np.ndarray = ndimage.zoom(body(seed, alike=6.0), (2, 1, 1), order=1)
    return image


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    rows = [["patient_id", "scan_id", "pet", "mask"]]
    for number in range(SCANS):
        write(folder / f"{number}.nii", bright(number + (number == 3) * 90).T)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", ""])
    store = prepare(save(folder, rows), folder / "s.zarr", size=SIZE, workers=1)
    assert store.odd == ()
    return usual_of(store)


def told(image, usual):
    placed = place({"pet": volume(image.T)}, None, reference="pet", size=SIZE)
    return list(odd_beside(placed.images, placed.placement, ["pet"], usual, lesion_known=True))


@pytest.mark.quick(2)
@pytest.mark.parametrize("what", CHANGES)
def test_a_new_scan_that_is_unlike_the_studys_is_told(usual, what):
    change, text = CHANGES[what]
    assert told(bright(50), usual) == []
    found = told(change(bright(50)), usual)
    assert any(each.startswith(f"beside the study's scans, {text}") for each in found), found


def test_where_the_run_folder_keeps_no_numbers_it_is_told_that_nothing_was_compared():
    (text,) = told(bright(50), None)
    assert text.startswith("not compared with the study's scans") and "`hnscc run STUDY` adds that" in text


def test_the_numbers_name_no_scan_and_stand_in_an_order_of_their_own(usual):
    assert set(usual) == {"values", "lying"} and len(usual["values"]["pet"]) == SCANS
    medians = [each["median"] for each in usual["values"]["pet"]]
    assert medians == sorted(medians)
    assert "P1" not in str(usual["values"]) and "S1" not in str(usual["values"])


def test_a_store_of_before_has_no_numbers(tmp_path):
    assert usual_of(make_store(tmp_path)) is None
