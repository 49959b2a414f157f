"""Values that went through a curve, or fade along an axis, are told by ratios that no factor changes."""

from dataclasses import replace

import numpy as np
import pytest
from facts import PLAIN_NUMBERS, facts
from stores import scan

from data_prep.oddities.curves import curved, fading
from data_prep.oddities.odd import odd_values
from data_prep.placing.found import seen_elsewhere

SCANS = 12


def image(seed: int) -> np.ndarray:
    """(Z, H, W): tissue of three kinds, each of a brightness of its own patient."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, (12, 32, 32))
    return np.array([1.0, 2.0, 6.0])[kinds] * rng.normal(1, 0.04, 3)[kinds] + rng.normal(0, 0.05, kinds.shape)


def told(judge, changes=None, factor: float = 1.0) -> list[tuple[str | None, str]]:
    scans = []
    for number in range(SCANS):
        values = image(number) * (factor if number == 3 else 1)
        values = changes(values) if changes and number == 3 else values
        facts = {
            "first": 0.0,
            "elsewhere": seen_elsewhere(values.astype(np.float32), np.ones(values.shape, bool)),
            "tissue": None,
        }
        scans.append(replace(scan(f"p{number}", (0,)), placement={"values": {"pet": facts}}))
    return [(odd.scan_id, odd.text) for odd in judge(scans, "pet")]


def test_values_as_they_are_and_a_factor_are_not_told():
    for judge in (curved, fading):
        assert told(judge) == [] and told(judge, factor=3.0) == []


@pytest.mark.parametrize("power, how", [(2.0, "farther apart"), (0.5, "nearer to one another")])
def test_a_square_and_a_root_are_told(power, how):
    """Whatever the scale: 1, 2 and 6 become 1, 4 and 36, or 1, 1.4 and 2.4."""
    ((scan_id, text),) = told(curved, lambda values: 7 * np.maximum(values, 0) ** power)
    assert scan_id == "p3_a" and text.startswith(
        f"dark and bright tissue lie {how} in pet than in the other scans"
    )
    about = float(text.split("a power of about ")[1].split(" ")[0])
    assert about == pytest.approx(power, rel=0.15)


def test_a_scan_that_lacks_the_brightest_tissue_went_through_no_curve():
    """One of a small phantom cohort, cut below the brain, was told: of a curve all ratios would tell alike."""
    rng = np.random.default_rng(1)
    usual = {"dark": 0.5, "middle": 0.85, "bright": 1.7, "top": 7.0}
    scans = []
    for number in range(SCANS):
        tissue = {"dark": 0.5, "middle": 0.88, "bright": 1.42, "top": 2.44} if number == 3 else dict(usual)
        if number != 3:
            tissue |= {name: usual[name] * rng.normal(1, 0.03) for name in ("dark", "bright")}
        placement = {"values": {"pet": {"first": 0.0, "elsewhere": tissue, "tissue": None}}}
        scans.append(replace(scan(f"p{number}", (0,)), placement=placement))
    assert list(curved(scans, "pet")) == []


@pytest.mark.parametrize("axis, brighter", [(0, "foot"), (1, "front"), (2, "right")])
def test_a_fade_along_an_axis_is_told_with_the_brighter_side(axis, brighter):
    """From 1 to 0.2 along slices, rows or columns of an image that lies LPS: those run to the head, back and left."""
    gain = np.moveaxis(np.linspace(1, 0.2, image(0).shape[axis])[:, None, None], 0, axis)
    ((scan_id, text),) = told(fading, lambda values: values * gain)
    assert scan_id == "p3_a" and text.startswith(f"pet is brighter to the {brighter} than to the ")


def test_of_a_scan_that_is_cut_short_no_curve_is_told():
    """The other modality's tissue is then that of a part of the body: it was told as raised to a power of 3."""
    changed = {}
    for number in range(SCANS):
        values = np.maximum(image(number), 0) ** (2 if number == 3 else 1)
        tissue = seen_elsewhere(values.astype(np.float32), np.ones(values.shape, bool))
        changed[f"s{number}"] = {"elsewhere": tissue}
    scans = facts(SCANS, **changed)
    assert [odd.scan_id for odd in odd_values(scans, "pet")] == ["p3_a"]
    scans[3].placement["outside"]["mri"] = [0]
    assert odd_values(scans, "pet") == []


def test_of_few_scans_nothing_is_said():
    assert list(curved([], "pet")) == [] and list(fading([], "pet")) == []


def of_two(power: float, own: float) -> list:
    """Scan p3_a has tissue raised to a power where the other modality shows the body, and to one where it does."""
    changed = {}
    for number in range(SCANS):
        values = np.maximum(image(number), 0)
        elsewhere = seen_elsewhere(
            (values ** (power if number == 3 else 1)).astype(np.float32), np.ones(values.shape, bool)
        )
        tissue = {"median": 2.0, "upper": 3.0, "last": 6.0, "high": 9.0, "grain": 0.1}
        if number == 3:
            tissue = {name: value**own for name, value in tissue.items()}
        changed[f"s{number}"] = {"elsewhere": elsewhere, "tissue": tissue}
    return facts(SCANS, **changed)


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_a_curve_of_the_other_modality_is_not_told_of_this_one(power):
    """The root of PET shows more air as body, and MRI was told as raised to a power of 3.5: its own tissue is not."""
    assert [odd.scan_id for odd in curved(of_two(power, power), "pet")] == ["p3_a"]
    assert list(curved(of_two(power, 1.0), "pet")) == []


def of_logarithms(changed: set[int], highest: float = 1.0) -> list:
    """PET of SUV 0.25 to 1.5 and a hottest voxel of 12, or more in some. Of the scans that are changed the logarithm of
    1 + SUV, which is as a power of 0.71 to 0.79 on tissue and of 0.5 beyond; of the fourth the highest is another."""
    found = {}
    for number in range(SCANS):
        values = np.maximum(image(number), 0) / 4
        tissue = {"median": 0.5, "upper": 0.75, "last": 1.5, "high": 6.0, "grain": 0.05}
        high = 12.0 * (highest if number == 3 else 1 + 0.02 * number)
        if number in changed:
            values, high = np.log1p(values), float(np.log1p(high))
            tissue = {name: float(np.log1p(value)) for name, value in tissue.items()}
        elsewhere = seen_elsewhere(values.astype(np.float32), np.ones(values.shape, bool))
        found[f"s{number}"] = {"elsewhere": elsewhere, "tissue": tissue, "high": high}
    return facts(SCANS, **found)


def test_logarithms_of_suv_are_told_by_tissue_and_highest_value_together():
    """In two and four of 12 scans. By the tissue alone, or a scan without a hot spot, nothing is told."""
    for changed in ({3, 7}, {0, 3, 7, 9}):
        found = list(curved(of_logarithms(changed), "pet"))
        assert [odd.scan_id for odd in found] == [f"p{number}_a" for number in sorted(changed)]
        assert all("the highest value most of all, as a logarithm leaves them" in odd.text for odd in found)
        assert all(odd.shown == ((odd.scan_id, "pet"),) for odd in found)
    assert list(curved(of_logarithms(set()), "pet")) == []
    # Twice as high as the brightest tissue, 8 times in the others; then log(361) / log(2.5), 6.4 times.
    assert list(curved(of_logarithms(set(), 0.25), "pet")) == []
    assert list(curved(of_logarithms({3}, 30.0), "pet")) == []


@pytest.mark.parametrize(
    "unlike, told", [(("p3_a", "mri"), []), (("p4_a", "mri"), ["p3_a"]), (("p3_a", "mask"), ["p3_a"])]
)
def test_of_a_scan_whose_other_modality_is_turned_or_inverted_no_curve_is_told(unlike, told):
    found = odd_values(of_two(2.0, 2.0), "pet", unlike={unlike})
    assert [odd.scan_id for odd in found if "raised to a power" in odd.text] == told
    # Tissue six times as bright as in the others is told as the curve alone, where that is told.
    assert [odd.scan_id for odd in found] == ["p3_a"]


def test_of_a_scan_that_was_cut_off_at_its_highest_value_no_curve_is_told():
    scans = of_two(2.0, 2.0)
    scans[3].placement["numbers"] = {"pet": PLAIN_NUMBERS | {"highest": 0.01}}
    assert not any("raised to a power" in odd.text for odd in odd_values(scans, "pet"))


def test_a_scan_of_a_curve_is_refused_all_the_same_where_its_unit_is_another():
    scans = of_two(2.0, 2.0)
    scans[3].placement["values"]["pet"] |= {"last": 2.5e4, "high": 4.5e4}
    assert {("one unit" in odd.text, odd.refused) for odd in odd_values(scans, "pet")} >= {
        (True, True),
        (False, False),
    }


def of_unlike(own_sd: float, told_too: bool = False) -> list:
    """Scan p3_a went through a square wherever it is looked at; the others, alike where the other modality shows the
    body, differ where they show it themselves: the middle and the brightest values lie apart as by powers whose
    logarithms are -1.5 to 1.5 times `own_sd`, evenly spread."""
    changed = {}
    spread = iter(np.linspace(-1.5, 1.5, SCANS - 1))
    for number in range(SCANS):
        values = np.maximum(image(number), 0)
        power = 2.0 if number == 3 else float(np.exp(own_sd * next(spread)))
        values = values ** (2 if number == 3 else 1)
        tissue = {name: value**power for name, value in {"upper": 3.0, "last": 6.0, "high": 9.0}.items()}
        changed[f"s{number}"] = {
            "elsewhere": seen_elsewhere(values.astype(np.float32), np.ones(values.shape, bool)),
            "tissue": {"median": 2.0, "grain": 0.1, **tissue},
        }
    return facts(SCANS, **changed)


def test_where_the_other_scans_own_tissue_differs_no_curve_is_told():
    """Of 6 to 8 limbs chosen at random 1 choice in 12 had a scan told: so few are alike in one ratio by chance. Of
    deviations spread evenly up to 1.5 times s, three quarters lie within 1.2 (of 11, 0.8 * 1.5) times s, so that they
    count as 1.2 / 1.15 s: 0.13 and 0.26, of which 0.15 is the limit."""
    assert [odd.scan_id for odd in curved(of_unlike(0.125), "pet")] == ["p3_a"]
    assert list(curved(of_unlike(0.25), "pet")) == []


def of_powers(*scans: dict[str, float]) -> list[str | None]:
    """The scans that are told of a power or of a logarithm. Their middle and brighter tissue lie 1 apart in logarithms,
    raised to `power`; darker and brightest tissue, what the modality itself shows, and the highest value as if raised
    to powers of their own."""
    changed = {}
    for number, scan_ in enumerate(scans):
        power = scan_.get("power", 1.0)
        dark, top, own = (scan_.get(name, power) for name in ("dark", "top", "own"))
        elsewhere = {"middle": np.exp(-power), "dark": np.exp(-2 * dark)}
        elsewhere |= {"bright": 1.0, "top": np.exp(2 * top - power)}
        tissue = {"median": 0.1, "upper": np.exp(-own), "last": 1.0, "high": scan_.get("high", np.exp(own))}
        highest = float(np.exp(3 * scan_.get("highest", 1.0)))
        changed[f"s{number}"] = {"elsewhere": elsewhere, "tissue": tissue, "high": highest}
    found = curved(facts(len(scans), **changed), "pet")
    return [f"{odd.scan_id} log" if "as a logarithm leaves" in odd.text else odd.scan_id for odd in found]


def test_how_strong_a_curve_must_be_by_hand():
    """A power of 1.5, or its inverse; of 1.25 by each other ratio and by the tissue that the modality itself shows."""
    usual = [{}] * 8
    for power in (1.51, 1 / 1.51):
        assert of_powers({"power": power}, *usual) == ["p0_a"]
    assert of_powers({"power": 1.49}, *usual) == of_powers({"power": 1 / 1.49}, *usual) == []
    assert of_powers({"power": 2}, *usual[:4]) == ["p0_a"] and of_powers({"power": 2}, *usual[:3]) == []
    for name in ("dark", "top", "own"):
        assert of_powers({"power": 2, name: 1.26}, *usual) == ["p0_a"]
        assert of_powers({"power": 2, name: 1.24}, *usual) == []
    unknown = [{"high": 1.0}, *usual]  # no brighter than the rest, so that there is no ratio
    assert of_powers({"power": 2, "own": 1.0}, *unknown) == ["p0_a"]
    # A logarithm: 1.05 by all of the tissue, and 1.5 by the highest value.
    assert of_powers({"power": 1 / 1.06, "highest": 1 / 1.51}, *usual) == ["p0_a log"]
    assert of_powers({"power": 1 / 1.06, "highest": 1 / 1.49}, *usual) == []
    assert of_powers({"power": 0.5, "highest": 0.5}, *usual) == ["p0_a"], "a root is both"
    for name in ("power", "dark", "top", "own"):
        logarithm = {"power": 1 / 1.06, "highest": 0.5} | {name: 1 / 1.04}
        assert of_powers(logarithm, *usual) == []


def test_how_strong_a_curve_must_be_where_scans_differ_by_hand():
    """Three of eight others lie so far to either side, which makes a robust deviation of 1.4826 times that: five are
    asked, 0.593 of 0.08, and nothing is said from 0.15 on."""

    def beside(power: float, apart: float) -> list[str | None]:
        others = [{"power": float(np.exp(side * apart)), "own": 1.0} for side in (-1, -1, -1, 0, 0, 1, 1, 1)]
        return of_powers({"power": float(np.exp(power))}, *others)

    assert beside(0.6, 0.08) == ["p0_a"] and beside(0.58, 0.08) == []
    assert beside(1, 0.1) == ["p0_a"] and beside(1, 0.102) == []
    # Four robust deviations of 0.1, 0.593, by the highest value.
    highest = [{"highest": float(np.exp(0.1 * side))} for side in (-1, -1, -1, 0, 0, 1, 1, 1)]
    for log, names in ((-0.6, ["p0_a log"]), (-0.58, [])):
        assert of_powers({"power": 1 / 1.06, "highest": float(np.exp(log))}, *highest) == names
    # By tissue of its own, 0.15 of the deviation within which three quarters lie, seven of nine, divided by 1.15.
    for apart, names in ((0.17, ["p0_a"]), (0.175, [])):
        sides = (0, 0.05, -0.05, 0.05, -0.05, apart, -apart, 0.4, -0.4)
        assert of_powers({"power": 2}, *[{"own": float(np.exp(side))} for side in sides]) == names


def test_how_much_brighter_one_half_must_be_by_hand():
    """By 1.35 times; where others differ, by six robust deviations of 1.4826 times 0.05, 0.445 as a logarithm; nothing
    is said from 0.12 on."""

    def told_of(*logs: float) -> list[str]:
        scans = [
            {
                "elsewhere": dict.fromkeys(("foot", "back", "front", "left", "right"), 1.0)
                | {"head": np.exp(each)}
            }
            for each in logs
        ]
        found = fading(facts(len(logs), **{f"s{at}": each for at, each in enumerate(scans)}), "pet")
        return [f"{odd.scan_id}: {odd.text.partition(',')[0]}" for odd in found]

    def beside(log: float, apart: float) -> list[str]:
        return told_of(log, *[side * apart for side in (-1, -1, -1, 0, 0, 1, 1, 1)])

    text = ["p0_a: pet is brighter to the head than to the foot"]
    assert told_of(np.log(1.36), 0, 0, 0, 0) == text
    assert told_of(np.log(1.34), 0, 0, 0, 0) == told_of(1, 0, 0, 0) == []
    assert beside(0.46, 0.05) == text and beside(0.43, 0.05) == []
    assert beside(1, 0.08) == text and beside(1, 0.082) == []
