"""How much a modality must fade, or a field over it differ, for a sentence, by hand, on both sides of each limit."""

from dataclasses import replace

import numpy as np
from stores import scan

from data_prep.oddities.fades import BesideMost, beside_most, faded, fields_apart

# Three of eight lie to either side, so that the robust deviation is 1.4826 times how far they do.
SIDES = (-1, -1, -1, 0, 0, 1, 1, 1)
ENDS = np.array([-1, -1 / 3, 1 / 3, 1])
ALONG = np.stack([each.ravel() for each in np.meshgrid(ENDS, ENDS, ENDS, indexing="ij")], axis=1)


def beside(off: list[np.ndarray]) -> dict[str, BesideMost]:
    """What scans show beside most, (places,) of each, in 4 x 4 x 4 places of one brightness."""
    return {"mri": BesideMost(ALONG, np.ones((len(ALONG), 1)), np.array(off))}


def told(
    slope: float, apart: float = 0.0, usual: float = 0.0, rough: float = 0.0, axis: int = 1, known=()
) -> list[str]:
    """What is said of a scan that is brighter by `slope`, a logarithm, at one end of an axis than at the other, and
    rough from place to place; others slope by `usual`, and three of eight by `apart` more or less."""
    slopes = [slope, *(usual + side * apart for side in SIDES)]
    off = [each / 2 * ALONG[:, axis] for each in slopes]
    off[0] = off[0] + rough * np.sign(ALONG).prod(axis=1)
    scans = [scan(f"p{at}", (0,)) for at in range(len(off))]
    return [f"{odd.scan_id}: {odd.text.partition(', ')[0]}" for odd in faded(scans, beside(off), known)]


def test_a_modality_fades_by_1_5_times_and_three_and_a_half_or_five_robust_deviations():
    ways = ("head to foot", "back to front", "left to right")
    for axis, way in enumerate(ways):
        assert told(np.log(1.51), axis=axis) == [f"p0_a: mri grows darker from {way}"]
        assert told(-np.log(1.51), axis=axis)[0].endswith(" to ".join(reversed(way.split(" to "))))
    assert told(np.log(1.51), known={("p0_a", "mri")}) == []
    # Beside the median scan, which slopes, too.
    assert len(told(0.18 + np.log(1.51), usual=0.18)) == 1 and told(0.18 + np.log(1.49), usual=0.18) == []
    assert told(np.log(1.49)) == told(-np.log(1.49)) == []
    # Of 1.4826 times 0.1, 0.519 or 0.741: the first where the plane explains 0.7 of the differences.
    assert len(told(0.53, 0.1)) == 1 and told(0.51, 0.1) == []
    assert len(told(0.75, 0.1, rough=0.2)) == 1 and told(0.73, 0.1, rough=0.2) == []
    # Places lie 0.5556 from the middle on average, squared: of 0.6, 0.05, of which 0.3 / 0.7 are the square of 0.1464.
    assert len(told(0.6, 0.1, rough=0.144)) == 1 and told(0.6, 0.1, rough=0.149) == []
    # Nothing is said where the robust deviation is larger than 0.3.
    assert len(told(1.1, 0.2)) == 1 and told(1.1, 0.203) == []


def test_a_field_is_brighter_by_a_tenth_at_one_end_or_a_twentieth_at_the_rim():
    scans = [scan(f"p{at}", (0, 4 * (at % 2))) for at in range(14)]

    def fields(way: np.ndarray) -> list[str]:
        off = [way * (at % 2) for at in range(14)]
        return [odd.text.partition(" of the body beside")[0] for odd in fields_apart(scans, beside(off))]

    for axis, end in enumerate(("head", "back", "left")):
        assert fields(0.101 / 2 * ALONG[:, axis]) == [f"the brightness at the {end}"]
        assert fields(0.099 / 2 * ALONG[:, axis]) == []
    rim = (ALONG[:, 1:] ** 2).sum(axis=1)
    assert fields(0.051 * rim) == ["the brightness at the rim"] and fields(0.049 * rim) == []


def places(
    size: int = 12, slices: int = 16, dim: int = 0, value: float = 0.0, scans: int = 8
) -> BesideMost | None:
    """What is found of scans whose values begin at 5, with tissue up to 6; they show a block of so many rows, of 12
    columns and slices, that is half as bright, but some of them are `value` above 5 there."""
    tissue = {"median": 5.5, "upper": 5.7, "last": 6.0, "high": 6.0, "grain": 0.1}
    placement = {"values": {"mri": {"first": 5.0, "last": 6.0, "low": 5.0, "high": 6.0, "tissue": tissue}}}
    means = np.full((scans, 1, 16, 16, 16), 5.0, np.float32)
    means[:, :, :slices, 1 : 1 + size, 1:13] = 5.5
    means[:dim][means[:dim] > 5] = 5 + value
    listed = [replace(scan(f"p{at}", (0,)), placement=placement) for at in range(scans)]
    return beside_most(listed, ["mri"], list(means), {"mri"}).get("mri")


def test_places_are_compared_where_three_quarters_of_the_scans_show_a_twentieth_of_the_brightness():
    """The block less its border in each slice, 10 x 10 x 16; 100 of them are asked."""
    whole = places()
    assert whole is not None and whole.off.shape == (8, 1600) and not whole.off.any()
    assert places(dim=2) is not None and places(dim=3) is None
    assert places(dim=3, value=0.051) is not None and places(dim=3, value=0.049) is None
    assert places(slices=1) is not None and places(11, slices=1) is None and places(scans=4) is None
    dark = places(dim=1, value=0.001)
    assert dark is not None and np.allclose(dark.off[0], np.log(0.01 / 0.5)), "no place counts as darker"
