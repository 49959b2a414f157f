"""Values outside of the lesions that separate scans with lesion from those without are told: a model could use them."""

import numpy as np
import pytest
from facts import facts, scaled, told
from scans import prepare, save, scan_arrays, write


def separates(scans: list) -> list[str]:
    return [text for scan_id, text, _ in told(scans) if scan_id is None and "separates" in text]


def test_a_factor_in_exactly_the_scans_with_lesion_is_told_however_few_they_are():
    """Two of six: the exact rank test cannot tell them apart (p = 0.13), the clear gap can."""
    scans = facts(6, **scaled([1, 5, 1, 5, 1, 1]), l5={"ml": 0.0})
    scans[5] = scans[4].__class__(**{**scans[5].__dict__, "source_lesion_px": (0, 0)})
    assert separates(scans) == [
        "the brightness of pet outside of the lesions separates scans with lesion from those without: 21 in the 2 "
        "with, 4.3 in the 4 without (area under the curve 1.00): a model could tell them apart by it"
    ]


def test_a_small_factor_needs_many_scans():
    """1.3 times, tissue of 4.0 to 5.3: seven of each side are told (p = 0.0006), four of each are not (p = 0.03)."""
    assert separates(facts(8, **scaled([1, 1.4] * 4))) == []
    assert "area under the curve 1.00" in separates(facts(14, **scaled([1, 1.4] * 7)))[0]


def test_a_small_offset_in_many_scans_is_told():
    """Lowest values of 0.2 beside a brightness of 4.0 to 5.3: about 4 %."""
    found = separates(facts(14, **scaled([1] * 14, lambda number: 0.2 * (number % 2))))
    assert [text.split(" (")[0] for text in found] == ["the lowest value"]
    assert separates(facts(14, **scaled([1] * 14, lambda number: 0.02 * (number % 2)))) == []


def test_a_factor_regardless_of_the_lesion_does_not_separate():
    assert separates(facts(12, **scaled([1, 1, 5, 5] * 3))) == []


@pytest.mark.parametrize(
    "name, number", [("median", 2.0), ("high", 20.0), ("grain", 0.4)], ids=["median", "range", "grain"]
)
def test_spread_and_grain_separate_too(name, number):
    changed = scaled([1] * 12)
    for each in range(1, 12, 2):
        changed[f"s{each}"]["tissue"][name] = number
    assert [text.split(" (")[0].split(" of pet")[0] for text in separates(facts(12, **changed))] == [
        {"median": "the median", "high": "the highest value", "grain": "the grain"}[name]
    ]


def test_a_factor_that_hot_organs_hide_is_told_by_the_median_of_the_body():
    """PET 1.3 times as bright in the scans with lesion, where the bright tenth is 4 to 12 times the rest."""
    changed = scaled([1] * 14)
    for number in range(14):
        factor = 1.3 if number % 2 else 1.0
        changed[f"s{number}"]["tissue"] |= {
            "median": (1 + number / 200) * factor,
            "last": (4 + 8 * (number * 5 % 14) / 13) * factor,
            "high": 20.0,
        }
    assert [text.split(" outside")[0] for text in separates(facts(14, **changed))] == [
        "the median value of pet"
    ]


@pytest.mark.quick(1)
@pytest.mark.parametrize("factor, told_", [(1.0, False), (2.5, True)])
def test_the_lesion_itself_does_not_count(tmp_path, factor, told_):
    """Hot lesions that fill a tenth of the grid, as they are; and PET that is 2.5 times as bright in their scans."""
    rows = [["patient_id", "scan_id", "pet", "mask"]]
    for number in range(12):
        rng, ill = np.random.default_rng(number), number % 2
        pet = rng.gamma(2, 0.5, (40, 32, 5))
        mask = np.zeros(pet.shape, np.uint8)
        mask[6:14, 5:12, 1:4] = 1
        pet = (pet + 9 * mask * ill) * (factor if ill else 1)
        write(tmp_path / f"{number}.nii", pet.astype(np.float32))
        write(tmp_path / f"{number}-mask.nii", mask)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii" if ill else ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=40, workers=1)
    brightness = [text for text in store.odd if "separates" in text]
    assert len(brightness) == told_ and all(text.startswith("the brightness of pet") for text in brightness)


def test_images_of_noise_without_a_difference_are_not_told(tmp_path):
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(8):
        _, mri, mask = scan_arrays(number)
        write(tmp_path / f"{number}.nii", mri)
        write(tmp_path / f"{number}-mask.nii", mask)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii" if number % 2 else ""])
    assert prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=16, workers=1).odd == ()
