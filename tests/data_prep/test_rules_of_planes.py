"""How much of what is no image a plane must hold for a sentence, by hand, on both sides of each limit."""

from dataclasses import replace
from typing import Any

from stores import scan

from data_prep.oddities.planes import odd_planes

PLAIN: dict[str, Any] = {
    "copied": 0.0,
    "streaks": 0.0,
    "mirrored": 0.0,
    "dead": 0,
    "dead_share": 0.0,
    "hot": 0,
}
PLAIN |= {
    "noise": 0.01,
    "flat": 0.0,
    "burnt": 0,
    "step": 0.0,
    "comb": [1.3, 1.3],
    "folded": False,
    "cut": 0.0,
}
STREAKS, COPIED, FOLDED = "goes on in streaks", "holds lines of voxels", "goes on at one border"
BURNT, STEPPED, COMBED = "holds one and the same bright", "is suddenly brighter", "has rows or columns"
DEAD, HOT, NOISE = "has single voxels without", "has single voxels far", "is noise in a part"
FLAT, CUT = "holds one and the same value", "ends at its lowest value"


def told(*changes: dict[str, Any], known=()) -> list[str]:
    scans = [
        replace(scan(f"p{at}", (0, 4)), placement={"planes": {"mri": PLAIN | change}})
        for at, change in enumerate(changes)
    ]
    found = []
    for odd in odd_planes(scans, ["mri"], known):
        (text,) = (text for text in LIMITS if f"mri {text}" in odd.text)
        found.append(text if odd.scan_id == "p0_a" else f"{odd.scan_id}: {text}")
    return found


LIMITS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    STREAKS: ([{"streaks": 0.003}], [{"streaks": 0.0029}]),
    COPIED: ([{"copied": 0.02}, {"mirrored": 0.002}], [{"copied": 0.019, "mirrored": 0.0019}]),
    FOLDED: ([{"folded": True}], []),
    BURNT: ([{"burnt": 10}], [{"burnt": 9}]),
    STEPPED: ([{"step": 0.2}], [{"step": 0.19}]),
    COMBED: ([{"comb": [1.19, 1.5]}, {"comb": [1.5, 1.19]}], [{"comb": [1.21, 2.0]}, {"comb": [1.19, 1.48]}]),
    DEAD: (
        [{"dead": 10, "dead_share": 2e-5}],
        [{"dead": 9, "dead_share": 1.0}, {"dead": 99, "dead_share": 1.9e-5}],
    ),
    HOT: ([{"hot": 5}], [{"hot": 4}]),
    NOISE: ([{"noise": 0.04}], [{"noise": 0.039}]),
    FLAT: ([{"flat": 0.04}], [{"flat": 0.039}]),
    CUT: ([{"cut": 0.5}], [{"cut": 0.49}]),
}


def test_a_scan_is_told_what_it_holds_enough_of():
    for text, (beyond, within) in LIMITS.items():
        for change in beyond:
            assert told(change, {}, {}) == [text]
        for change in within:
            assert told(change, {}, {}) == []


def test_what_is_told_says_what_else_is_not():
    """Streaks are lines twice, too; noise has dead and hot voxels and is no comb, and one value is no letter."""
    assert told({"streaks": 0.003, "copied": 1.0}, {}) == [STREAKS]
    assert told({"flat": 0.04, "burnt": 99}, {}) == [FLAT]
    single = {"dead": 99, "dead_share": 1.0, "hot": 99}
    assert told(single | {"noise": 0.04, "comb": [0.1, 1.0]}, {}, {}) == [NOISE]
    assert told(single, {}) == [DEAD, HOT] and told(single, {}, known={("p0_a", "mri")}) == []
    assert told({"flat": 0.04}, {}, known={("p0_a", "mri")}) == [FLAT]


def test_noise_is_more_than_three_times_as_much_as_in_the_median_scan_and_a_cut_is_of_half_the_scans_at_most():
    noisy = {"noise": 0.02}
    assert told({"noise": 0.061}, noisy, noisy) == [NOISE] and told({"noise": 0.059}, noisy, noisy) == []
    cut = {"cut": 1.0}
    assert told(cut, cut, {}, {}) == [f"None: {CUT}"] and told(cut, cut, cut, {}, {}) == []
