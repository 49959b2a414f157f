"""Values outside of the lesions that separate scans with lesion from those without are told: a model could use them."""

import numpy as np
import pytest
from facts import facts, scaled, told
from scans import prepare, save, scan_arrays, write
from stores import scan

from data_prep.oddities.separating import Property, separates


def separating_of(scans: list) -> list[str]:
    return [text for scan_id, text, _ in told(scans) if scan_id is None and "separates" in text]


def test_a_factor_in_exactly_the_scans_with_lesion_is_told_however_few_they_are():
    """Two of six: the exact rank test cannot tell them apart (p = 0.13), the clear gap can."""
    scans = facts(6, **scaled([1, 5, 1, 5, 1, 1]), l5={"ml": 0.0})
    scans[5] = scans[4].__class__(**{**scans[5].__dict__, "source_lesion_px": (0, 0)})
    assert separating_of(scans) == [
        "the brightness of pet outside of the lesions separates scans with lesion from those without: 21 in the 2 "
        "with, 4.3 in the 4 without (area under the curve 1.00): a model could tell them apart by it"
    ]


def test_a_small_factor_needs_many_scans():
    """1.3 times, tissue of 4.0 to 5.3: seven of each side are told (p = 0.0006), four of each are not (p = 0.03)."""
    assert separating_of(facts(8, **scaled([1, 1.4] * 4))) == []
    assert "area under the curve 1.00" in separating_of(facts(14, **scaled([1, 1.4] * 7)))[0]


def test_a_small_offset_in_many_scans_is_told():
    """Lowest values of 0.05 or 0.045 beside a median brightness of 4.7, of which 0.01 is asked."""
    found = separating_of(facts(14, **scaled([1] * 14, lambda number: 0.05 * (number % 2))))
    assert [text.split(" (")[0] for text in found] == ["the lowest value"]
    assert separating_of(facts(14, **scaled([1] * 14, lambda number: 0.045 * (number % 2)))) == []


def test_a_factor_regardless_of_the_lesion_does_not_separate():
    assert separating_of(facts(12, **scaled([1, 1, 5, 5] * 3))) == []


@pytest.mark.parametrize(
    "name, number", [("median", 2.0), ("high", 20.0), ("grain", 0.4)], ids=["median", "range", "grain"]
)
def test_spread_and_grain_separate_too(name, number):
    changed = scaled([1] * 12)
    for each in range(1, 12, 2):
        changed[f"s{each}"]["tissue"][name] = number
    assert [text.split(" (")[0].split(" of pet")[0] for text in separating_of(facts(12, **changed))] == [
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
    assert [text.split(" outside")[0] for text in separating_of(facts(14, **changed))] == [
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


def parts(with_: list[float], without: list[float], **changed: bool) -> bool:
    """Whether a property of these values separates scans with lesion from those without."""
    of = {f"p{at}_a": value for at, value in enumerate([*with_, *without])}
    scans = [scan(f"p{at}", (0, 4 * (at < len(with_)))) for at in range(len(of))]
    return (
        separates(scans, "pet", Property("x", lambda each, _: of[each.scan_id], True, **changed)) is not None
    )


def test_how_well_a_property_must_part_scans_by_hand():
    """The area under the curve is 0.8525 where 17 of 20 lie above all 20 others, and one of the rest above one of them;
    0.8475 where one of the 17 lies below one of them."""
    without = [float(at) for at in range(20)]
    assert parts([30.0] * 17 + [0.5, -1, -1], without) and not parts(
        [30.0] * 16 + [18.5, -1, -1, -1], without
    )
    # Of 20, those without that are as high count half: 0.875 with 5 of them, 0.825 with 7.
    assert parts([1.0] * 20, [1.0] * 5 + [0.0] * 15) and not parts([1.0] * 20, [1.0] * 7 + [0.0] * 13)
    # By rank, all of 5 above all of 9 are one of 2002 choices, and of 4 above 12 one of 1820; both ways, 1 in 1000.
    assert parts([0.2] * 5, [0.0] * 9) is parts([0.0] * 5, [0.2] * 9) is True
    assert parts([0.2] * 4, [0.0] * 12) is False
    # An eleventh as a logarithm; where scans are few, a gap of 0.4 between exactly those with and those without.
    assert parts([0.101] * 7, [0.0] * 7) and not parts([0.099] * 7, [0.0] * 7)
    assert (
        parts([0.41] * 2, [0.0] * 3) and not parts([0.39] * 2, [0.0] * 3) and not parts([0.41] * 2, [0.0] * 2)
    )
    assert not parts([0.41] * 2, [0.0] * 3, of_body=True)


ANGLES = 2 * np.pi * np.arange(90) / 90


def of_bodies(
    back: float = 0.0, left: float = 0.0, radius: float = 60.0, turn: float = 0.0, wave: float = 3.0
) -> bool:
    """Whether a body of seven scans with lesion is told, beside one in the middle, of 60 mm, of seven without; its skin
    waves twice round it, turned to either side by half of `turn`."""
    changed = {}
    for at in range(14):
        ill = at % 2
        angles = ANGLES - np.radians(turn / 2) * (1 if ill else -1)
        radii = (radius if ill else 60) + wave * np.cos(2 * angles)
        changed[f"s{at}"] = {"body": {"back": ill * back, "left": ill * left, "radii": [*map(float, radii)]}}
    return any("of the body" in text for text in separating_of(facts(14, **changed)))


def test_how_far_bodies_must_lie_apart_by_hand():
    """5 mm, 0.04 as a logarithm of the radius, 5 degrees, where the longer axis differs by 1 of 100 from the other."""
    assert not of_bodies()
    assert (
        of_bodies(back=5.01)
        and not of_bodies(back=4.99)
        and of_bodies(left=-5.01)
        and not of_bodies(left=-4.99)
    )
    assert of_bodies(radius=60 * np.exp(0.041)) and not of_bodies(radius=60 * np.exp(0.039))
    assert of_bodies(turn=5.02) and not of_bodies(turn=4.98)
    assert of_bodies(turn=20, wave=0.61) and not of_bodies(turn=20, wave=0.59)
