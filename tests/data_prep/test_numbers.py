"""Values that were spoilt when they were written: wrapped round, cut off at the top, scaled slice by slice."""

from dataclasses import replace

import numpy as np
import pytest
from facts import PLAIN_NUMBERS
from scans import LPS, prepare, refused, save, write
from stores import scan

from data_prep.oddities.highest import odd_highest
from data_prep.oddities.numbers import emptied, odd_numbers, rounded, scaled_by_themselves
from data_prep.placing.numbers import number_facts
from data_prep.volumes.volume import Grid, Volume

SHAPE = (30, 24, 8)
NO_PEAKS = {"peaks": 0, "peak_times": 1.0}


def pet(seed: int = 0) -> np.ndarray:
    """SUV: a body of about 1 in air, and a hot ball of up to 12, of another brightness in each slice."""
    rng = np.random.default_rng(seed)
    x, y, z = np.indices(SHAPE)
    body = (x - 15) ** 2 + (y - 12) ** 2 < 100
    ball = 11 * np.exp(-((x - 12) ** 2 + (y - 12) ** 2 + (2 * (z - 4)) ** 2) / 14)
    return (rng.gamma(4, 0.01, SHAPE) + body * rng.normal(1, 0.05, SHAPE) + ball).astype(np.float32)


def numbers(data: np.ndarray, affine: np.ndarray = LPS) -> dict:
    x, y, z = data.shape
    return number_facts(Volume(data.astype(np.float32), Grid((x, y, z), affine, True)))


def told(*changes: dict) -> list[tuple]:
    """What is odd about scans of an index alone, those of odd number with lesion; each change is of one scan."""
    scans = [
        replace(scan(f"p{at}", (0, at % 2)), placement={"numbers": {"pet": PLAIN_NUMBERS | change}})
        for at, change in enumerate(changes)
    ]
    return [(odd.scan_id, odd.text, odd.refused) for odd in odd_numbers(scans, ["pet"])]


def test_numbers_of_a_few_voxels_are_those_counted_by_hand():
    data = np.arange(6 * 5 * 4, dtype=np.float32).reshape(6, 5, 4)
    lowest = {"lowest": pytest.approx(1 / 120), "gap": pytest.approx((1 + 0.118) / (0.99 * 119))}
    plain = {"highest": 0.0, "below": 0.0, "wrapped": 0, "slices_alike": 0.0, **lowest, **NO_PEAKS}
    assert numbers(data) == plain | {"highest_at": [5, 4, 3]}
    cut = np.minimum(data, 100.0)  # 20 voxels, 5 in each of the four slices
    assert numbers(cut) == {
        "highest": 16 / 120,
        "below": 1 / 120,
        "wrapped": 0,
        "slices_alike": 0.0,
        **lowest,
        **NO_PEAKS,
        "highest_at": [5, 0, 0],
        "gap": pytest.approx(0.01118),
    }


def test_slices_run_from_foot_to_head_whatever_the_order_of_the_axes():
    """Highest values 5 in seven slices of eight; the eighth shows nothing and does not count."""
    data = np.random.default_rng(0).random(SHAPE) * 4
    data[3, 4] = 5
    data[:, :, 7] = 0
    assert numbers(data)["slices_alike"] == 1.0
    sagittal = LPS[:, [2, 0, 1, 3]]
    found = numbers(np.moveaxis(data, 2, 0), sagittal)
    assert found["slices_alike"] == 1.0 and found["highest_at"] == [0, 3, 4]
    data[3, 4, 2] = 4.9
    assert numbers(data)["slices_alike"] == 6 / 7


def test_numbers_that_began_again_are_counted_where_they_touch():
    """Bq/ml in 16 bits: 10 of 12 SUV are 43,000, 22,536 below 0; air beside fat is no overflow."""
    whole = np.rint(pet() * 4300)
    wrapped = whole.astype(np.int64).astype(np.int16)
    assert (wrapped < 0).sum() == (whole > 32767).sum() > 10
    assert numbers(wrapped)["wrapped"] > 10 and numbers(whole)["wrapped"] == 0
    beside_air = np.where(np.indices(SHAPE)[0] < 15, 0.0, 100.0)
    assert numbers(beside_air)["wrapped"] == 0 and numbers(-whole)["wrapped"] == 0


def test_a_scan_that_is_spoilt_is_told_and_one_that_cannot_be_right_is_refused():
    assert told({}, {}, {"wrapped": 2}) == []
    (wrapped,) = told({}, {"wrapped": 3})
    assert wrapped[0] == "p1_a" and wrapped[2] and "pet falls from its highest to its lowest" in wrapped[1]
    (cut,) = told({}, {"highest": 0.01})
    assert cut[0] == "p1_a" and not cut[2] and "pet is cut off at its highest value" in cut[1]
    assert len(told({}, {"highest": 3e-4})) == 1 and told({}, {"highest": 2.9e-4}) == []
    assert len(told({}, {"slices_alike": 0.9})) == 1 and told({}, {"slices_alike": 0.89}) == []
    (slices,) = told({}, {"slices_alike": 0.95})
    assert slices[0] == "p1_a" and not slices[2] and "each slice has a scale of its own" in slices[1]


def test_images_of_few_values_are_not_cut_off():
    assert told({"highest": 0.01, "below": 0.004}) == []
    assert (
        len(told({"highest": 0.012, "below": 0.004})) == 1 and told({"highest": 0.012, "below": 0.0041}) == []
    )
    assert [text for _, text, _ in told({"highest": 0.01, "slices_alike": 1.0}) if "slice" in text] == []


def test_several_scans_are_one_sentence_that_says_how_many_hold_lesion():
    (cut,) = told({}, *[{"highest": 0.01}] * 2, {})
    assert cut[0] is None
    assert cut[1].startswith("in 2 scans (p1_a, p2_a), 1 of 2 with lesion, 1 of 2 without, pet is cut off")


def prepared(folder, change, scans: int = 3, words: tuple[str, ...] = ("highest",)) -> list[str]:
    rows = [["patient_id", "scan_id", "pet", "mask"]]
    for number in range(scans):
        data = pet(number)
        write(folder / f"{number}.nii", change(data) if number == 1 else data)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", ""])
    store = prepare(save(folder, rows), folder / "s.zarr", size=32, workers=1)
    return [text for text in store.odd if any(word in text for word in words)]


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda data: data, ""),
        (
            lambda data: np.rint(np.clip(data, 0, 3) / 3 * 255).astype(np.float32) / 85,
            "cut off at its highest",
        ),
        (lambda data: data / data.max((0, 1)) * 5, "a scale of its own"),
    ],
    ids=["as it is", "through a window", "slice by slice"],
)
def test_prepare_tells_what_was_spoilt(tmp_path, change, text):
    found = prepared(tmp_path, change)
    assert len(found) == bool(text) and all(
        each.startswith("scan S1: pet") and text in each for each in found
    )


def test_prepare_refuses_numbers_that_began_again(tmp_path):
    write(tmp_path / "0.nii", np.rint(pet() * 4300).astype(np.int64).astype(np.int16))
    manifest = save(tmp_path, [["patient_id", "scan_id", "pet", "mask"], ["P0", "S0", "0.nii", ""]])
    refused(manifest, "row 2, scan S0", "too large for the file's number type", "--accept-odd")


def test_scans_of_far_fewer_values_than_most_are_told():
    """PET in whole numbers of SUV has about ten; a twentieth of the median 500 is 25, and is enough."""

    def told(counts):
        placements = [
            {"values": {"pet": {"signal": {"values": count}}}, "numbers": {"pet": PLAIN_NUMBERS}}
            for count in counts
        ]
        scans = [replace(scan(f"p{at}", (0, at % 2)), placement=each) for at, each in enumerate(placements)]
        return [(odd.scan_id, odd.text) for odd in rounded(scans, ["pet"])]

    usual = [450, 480, 500, 520, 600, 610]
    assert told([*usual, 500]) == told([*usual, 25]) == []
    ((one, text),) = told([*usual, 24])
    assert one == "p6_a" and "it was rounded" in text
    ((both, text),) = told([*usual, 10, 9])
    assert both is None and "2 scans (p6_a, p7_a)" in text
    assert len(told([100] * 4 + [4])) == 1 and told([99] * 4 + [4]) == told([500, 500, 500, 1]) == []


def test_voxels_far_above_all_others_are_counted():
    """The brightest voxels but for these are 10: 1e6 is 1e5 times that, 80 is 8 times."""
    data = np.minimum(pet(), 9)
    data[12, 12, 3:5], low = 10, float(data.min())
    for voxels, high, expected in ((1, 1e6, 1), (9, 1e6, 9), (10, 1e6, 0), (1, 80, 0), (0, 0, 0)):
        changed = data.copy()
        changed[15, 10, 0:voxels] = high
        changed[16, 10, 0 : max(0, voxels - 8)] = high
        found = numbers(changed)
        assert found["peaks"] == expected
        assert found["peak_times"] == (pytest.approx((high - low) / (10 - low)) if expected else 1)


def test_a_voxel_far_above_all_others_is_told_alone(tmp_path):
    """It was told that PET did not show most slices, which seemed to be of one value beside it, and was rounded."""

    def damaged(data):
        data[15, 10, 2] = 1e10
        return data

    (text,) = prepared(tmp_path, damaged, scans=6, words=("holds", "does not show", "rounded", "reaches"))
    assert text.startswith(
        "scan S1: pet holds up to 1e+10 in 1 voxel (at (15, 10, 2) of the file, from 0 on), "
    )
    assert " times as high as all others" in text and text.endswith("; not sampled beside it: 7 of 8 slices")


def test_a_few_voxels_far_above_all_other_scans_are_told_and_not_as_cut_off(tmp_path):
    """27 voxels of 200, where PET reaches 12: of one value they were said to be a window's. Training would have seen
    all others as nearly black."""

    def hot(data):
        data[14:17, 10:13, 2:5] = 200
        return data

    (text,) = prepared(tmp_path, hot, scans=6, words=("highest", "reaches", "rounded", "cut off"))
    assert text.startswith("scan S1: pet reaches 200 (at (14, 10, 2) of the file")
    assert " times as high as all other scans: " in text


def test_scans_of_one_highest_value_are_told():
    """PET whose scale factor was lost, so that each scan reaches to 32767; not where values are cut off at the top, nor
    where one scan has another highest value, nor of few scans."""

    def told(highs, top=0.0):
        scans = [
            replace(
                scan(f"p{at}", (0, at % 2)),
                placement={"values": {"pet": {"high": high}}, "numbers": {"pet": {"highest": top}}},
            )
            for at, high in enumerate(highs)
        ]
        return [odd.text for odd in scaled_by_themselves(scans, ["pet"])]

    (text,) = told([32767.0] * 8)
    assert "the same highest value in all 8 scans, 3.277e+04" in text
    assert told([32767.0] * 7 + [32766.0]) == told([3071.0] * 8, top=0.01) == told([1.0] * 2) == []


def test_scans_whose_low_values_were_set_to_one_are_told():
    """PET below half of the tissue's brightness set to 0, in two scans of eight; none where all scans are so."""
    emptied_pet = [np.where(pet(at) > 0.5, pet(at), 0) if at in (2, 5) else pet(at) for at in range(8)]
    scans = [
        replace(scan(f"p{at}", (0, at % 2)), placement={"numbers": {"pet": numbers(data)}})
        for at, data in enumerate(emptied_pet)
    ]
    (odd,) = emptied(scans, ["pet"])
    assert odd.text.startswith(
        "in 2 scans (p2_a, p5_a), 1 of 4 with lesion, 1 of 4 without, pet holds no low values"
    )
    assert not list(emptied([scans[2]] * 8, ["pet"])) and not list(emptied([scans[0]] * 8, ["pet"]))


def test_how_much_a_scan_without_low_values_lacks_by_hand():
    """The lowest value in 2 of 100 voxels, all others 1 of 100 of the way to the brightest above it, and 20 times as
    far as in the median scan."""

    def told(lowest: float, gap: float, others: int = 4, usual: float = 1e-4, known=()) -> list[str | None]:
        numbers = [{"lowest": lowest, "gap": gap}, *[{"lowest": 0.0, "gap": usual}] * others]
        scans = [
            replace(scan(f"p{at}", (0,)), placement={"numbers": {"pet": each}})
            for at, each in enumerate(numbers)
        ]
        return [odd.scan_id for odd in emptied(scans, ["pet"], known)]

    assert told(0.02, 0.01) == ["p0_a"] and told(0.019, 0.01) == told(0.02, 0.0099) == []
    assert told(0.02, 0.0201, usual=1e-3) == ["p0_a"] and told(0.02, 0.0199, usual=1e-3) == []
    assert told(0.02, 0.01, others=3) == told(0.02, 0.01, known={("p0_a", "pet")}) == []


def reaching(*heights: float, bright: float = 5.0) -> list[tuple[str | None, str]]:
    """What is said of scans that reach from 0 so high; bright: of the first one's tissue, of the others 5."""
    scans = [
        replace(
            scan(f"p{at}", (0, 4)),
            placement={
                "values": {
                    "pet": {"low": 0, "high": high, "first": 0, "tissue": {"last": 5 if at else bright}}
                }
            },
        )
        for at, high in enumerate(heights)
    ]
    return [(odd.scan_id, odd.text.partition(":")[0]) for odd in odd_highest(scans, "pet")]


def test_scans_that_reach_three_times_as_high_as_all_others_are_told_by_hand():
    """Of five at most two; also relative to the tissue's brightness. Scans that show nothing are none of them."""
    assert reaching(30, 10, 10, 10, 9) == [("p0_a", "pet reaches 30, 3 times as high as all other scans")]
    assert reaching(29.9, 10, 10, 10, 9) == reaching(30, 10, 10, 9) == []
    assert reaching(30, 10, 10, 10, 9, bright=5.1) == reaching(30, 10, 10, 10, 9, bright=0) == []
    ((scan_id, text),) = reaching(30, 10, 10, 90, 9)
    assert scan_id is None and text.startswith("in 2 scans (p0_a, p3_a), ")
    assert text.endswith(" pet reaches 90, 3 times as high as all other scans")
    assert reaching(90, 10, 30, 30, 9) == [("p0_a", "pet reaches 90, 3 times as high as all other scans")]
