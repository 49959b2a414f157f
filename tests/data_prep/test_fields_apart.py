"""A smooth field over the images of scans with lesion alone, or of those without, is told: a model could use it."""

from functools import cache

import numpy as np
import pytest
from facts import facts, scaled
from heads import AFFINE, SHAPE, head
from scans import prepare, save, write

from data_prep.oddities.fades import beside_most, fields_apart

SCANS = 16


@cache
def means() -> np.ndarray:
    """(scans, z, y, x), the means of squares of heads; of odd scans, which hold a lesion, a bright part on the left."""
    found = np.array(
        [head(number + 1)["mri"].T.reshape(16, 16, 5, 16, 5).mean(axis=(2, 4)) for number in range(SCANS)]
    )
    found[1::2, 6:10, 6:9, 9:12] *= 3
    return found / 1000


def grid(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Along each axis from -1 to 1."""
    return np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")


def told(fields: np.ndarray) -> list[str]:
    """What is said where each scan is multiplied by its field, (scans, z, y, x) or what can be spread to that."""
    scans = facts(SCANS, **scaled([1] * SCANS))
    besides = beside_most(scans, ["pet"], [each[None] for each in means() * fields], {"pet"})
    return [odd.text for odd in fields_apart(scans, besides)]


def in_some(field: np.ndarray, first: int) -> np.ndarray:
    """A field in every second scan, from the first one that is named on."""
    return np.where((np.arange(SCANS) % 2 == first)[:, None, None, None], field, 1.0)


def test_heads_as_they_are_are_not_told_whatever_is_bright_in_their_lesion():
    assert told(np.ones((SCANS, 1, 1, 1))) == []


Z, Y, X = grid((16, 16, 16))


@pytest.mark.parametrize("first", [0, 1], ids=["without", "with"])
@pytest.mark.parametrize(
    "field, where",
    [
        (1 + 0.15 * Z, "the head of the body beside its foot"),
        (1 + 0.15 * Y, "the back of the body beside its front"),
        (1 + 0.2 * X, "the left of the body beside its right"),
        (1 + 0.25 * (X**2 + Y**2 - 0.5), "the rim of the body beside its middle"),
    ],
    ids=["foot to head", "front to back", "right to left", "middle to rim"],
)
def test_a_field_in_one_side_alone_is_told_by_where_it_is_bright(field, where, first):
    (text,) = told(in_some(field, first))
    assert text.startswith(
        f"the brightness at {where} (against most scans) of pet separates scans with lesion"
    )
    with_, without = (
        float(text.split(f" in the 8 {side}")[0].split(" ")[-1]) for side in ("with,", "without")
    )
    assert (with_ > without) == (first == 1)


def test_fields_that_differ_from_scan_to_scan_whatever_the_lesion_are_not_told():
    strong = np.repeat(np.random.default_rng(0).uniform(-0.2, 0.2, SCANS // 2), 2)[:, None, None, None]
    assert told(1 + strong * Y) == []


@pytest.mark.quick(1)
@pytest.mark.parametrize("strong, count", [(0.0, 0), (0.2, 1)])
def test_prepare_tells_it(tmp_path, strong, count):
    field = 1 + strong * grid(SHAPE)[1]
    mask = np.zeros(SHAPE, np.uint8)
    mask[45:55, 35:45, 6:10] = 1
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(SCANS):
        image = head(number + 1)["mri"] * (1 + mask)
        write(tmp_path / f"{number}.nii", (image * (field if number % 2 else 1)).astype(np.float32), AFFINE)
        write(tmp_path / f"{number}-mask.nii", mask, AFFINE)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii" if number % 2 else ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=40, workers=1)
    assert (
        sum("the brightness at the back of the body beside its front" in text for text in store.odd) == count
    )
