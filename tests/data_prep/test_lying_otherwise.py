"""Scans that lie otherwise than their cohort, and slices in another order, are told by their images alone."""

import numpy as np
import pytest
from bodies import body
from scans import prepare, save, write
from scipy import ndimage
from stores import scan

from data_prep.oddities.orientation import lying_otherwise
from data_prep.oddities.slice_order import odd_order
from data_prep.oddities.twins import means_of, reduced
from hnscc.commands.prepared_cohort import odd_about

SCANS = 10
FRONT, DOWN, QUARTER = "from front to back", "upside down", "by a quarter in the plane of the slices"
TURNS = {
    FRONT: lambda image: image[:, ::-1],
    DOWN: lambda image: image[::-1],
    f"{DOWN} and {FRONT}": lambda image: image[::-1, ::-1],
    QUARTER: lambda image: np.rot90(image, 1, (1, 2)),
}


def told(images: list[np.ndarray], judge=lying_otherwise) -> list[tuple]:
    """Scans S0, S1, ... of an index alone, those of odd number with lesion."""
    scans = [scan(f"p{at}", (0, at % 2)) for at in range(len(images))]
    slices = [reduced(means_of(image[:, None])) for image in images]
    return [(odd.scan_id, odd.text, odd.refused) for odd in judge(scans, ["mri"], slices)]


@pytest.mark.parametrize("way", TURNS)
def test_a_scan_that_is_turned_against_the_others_is_told(way):
    images = [body(seed) for seed in range(SCANS)]
    assert told(images) == []
    images[3] = TURNS[way](images[3])
    ((scan_id, text, refused),) = told(images)
    assert scan_id == "p3_a" and not refused
    assert text.startswith(f"mri lies turned {way} against most scans, though its header says")


def test_all_scans_with_lesion_turned_are_one_sentence_that_says_so():
    """Three of ten, the only ones with lesion but two: they would give lesion away."""
    images = [body(seed) for seed in range(SCANS)]
    for at in (1, 3, 5):
        images[at] = TURNS[FRONT](images[at])
    ((scan_id, text, _),) = told(images)
    assert scan_id is None
    assert text.startswith(
        "in 3 scans (p1_a, p3_a, p5_a), 3 of 5 with lesion, 0 of 5 without, mri lies turned"
    )


def test_where_no_way_is_that_of_most_the_groups_are_named():
    images = [body(seed) if seed % 2 else TURNS[FRONT](body(seed)) for seed in range(SCANS)]
    ((scan_id, text, _),) = told(images)
    assert scan_id is None and "which is right is for you to say" in text
    assert "p1_a, p3_a, p5_a, p7_a, p9_a), 5 of them with lesion" in text
    assert "p0_a, p2_a, p4_a, p6_a, p8_a), 0 of them with lesion" in text


def test_of_a_cohort_without_a_common_image_nothing_is_said():
    """Nothing in common but noise: half of them would agree better turned, by chance."""
    assert told([body(seed, alike=0.0) for seed in range(24)]) == []
    mixed = [body(seed, alike=0.0) for seed in range(12)] + [TURNS[FRONT](body(seed)) for seed in range(3)]
    assert told(mixed) == []


def test_of_few_scans_or_slices_nothing_is_said_that_they_do_not_show():
    few = [body(seed) for seed in range(7)]
    assert told([TURNS[FRONT](few[0]), *few[1:]]) == []
    assert len(told([TURNS[FRONT](few[0]), *few[1:], body(7)])) == 1
    flat = [body(seed)[4:6] for seed in range(SCANS)]
    assert told([flat[0][::-1], *flat[1:]]) == []
    assert [scan_id for scan_id, _, _ in told([TURNS[FRONT](flat[0]), *flat[1:]])] == ["p0_a"]


def alike(common: float, turned: float, as_it_is: float, slices: int = 16, axis: int = 1) -> list[str | None]:
    """Which of ten scans are told to lie otherwise, each a mixture of one image, the root of `common` of it, and of
    noise of its own; turned, as_it_is: the shares of that image in the first scan, turned along an axis or not."""
    rng = np.random.default_rng(0)
    image, *noise = (each / np.linalg.norm(each) for each in rng.normal(size=(11, slices, 16, 16)))
    mixed = [np.sqrt(common) * image + np.sqrt(1 - common) * own for own in noise]
    rest = np.sqrt(1 - turned**2 - as_it_is**2)
    mixed[0] = turned * np.flip(image, axis) + as_it_is * image + rest * noise[0]
    scans = [scan(f"p{at}", (0,)) for at in range(10)]
    patterns = [each[None].astype(np.float32) for each in mixed]
    return [odd.scan_id for odd in lying_otherwise(scans, ["mri"], patterns)]


def test_how_much_scans_must_be_alike_to_be_told_apart_by_hand():
    """Ten with a share s of one image correlate with the mean of the others by s / (s + (1 - s) / 9) ** 0.5: by 0.78 of
    0.6455, and 0.72 of 0.5631, where 0.75 is asked. The one that is turned must by 0.6, and by 0.05 less as it lies."""
    assert alike(0.6455, 0.9, 0.0) == ["p0_a"] and alike(0.5631, 0.9, 0.0) == []
    assert alike(0.95, 0.64, 0.0) == ["p0_a"] and alike(0.95, 0.56, 0.0) == []
    assert alike(0.95, 0.72, 0.65) == ["p0_a"] and alike(0.95, 0.7, 0.68) == []
    assert alike(0.95, 0.9, 0.0, 4, axis=0) == ["p0_a"] and alike(0.95, 0.9, 0.0, 3, axis=0) == []


ORDERS = {
    "every second one first": lambda count: [*range(0, count, 2), *range(1, count, 2)],
    "by name": lambda count: sorted(range(count), key=lambda z: str(z + 1)),
    "in pairs": lambda count: [z ^ 1 for z in range(count)],
}


@pytest.mark.parametrize("order", ORDERS)
def test_slices_that_do_not_follow_one_another_are_told(order):
    """Smooth along the body, as slices of a body are."""
    images = [ndimage.zoom(body(seed), (2, 1, 1), order=1) for seed in range(3)]
    assert told(images, odd_order) == []
    images[1] = images[1][ORDERS[order](len(images[1]))]
    ((scan_id, text, refused),) = told(images, odd_order)
    assert (
        scan_id == "p1_a" and text.startswith("the slices of mri do not follow one another") and not refused
    )


def in_order(order: list[int], alike: float) -> bool:
    """Whether nothing is said of slices in this order; those k apart correlate by the k-th power of `alike`."""
    chain = np.zeros((len(order), 256), np.float32)
    chain[0, 0] = 1
    for at in range(1, len(order)):
        chain[at] = alike * chain[at - 1]
        chain[at, at] = np.sqrt(1 - alike**2)
    patterns = chain[order].reshape(1, len(order), 16, 16)
    return not list(odd_order([scan("p0", (0, 0))], ["mri"], [patterns]))


def test_how_much_longer_the_way_through_the_slices_must_be_by_hand():
    """Slices that correlate by c lie sqrt(2 - 2 c) apart. Two that stand elsewhere make the way 1.1228 times as long as
    from neighbour to neighbour of 24 slices, and 1.1177 times of 25; every second one first 1.25 times of eight."""
    second = ORDERS["every second one first"]
    assert in_order([*range(24)], 0.6) and not in_order(second(8), 0.51)
    assert in_order(second(7), 0.51), "seven slices are too few"
    assert in_order(second(8), 0.49), "of neighbours that correlate by less than a half little is known"
    moved = [*range(3), *range(4, 9), 17, *range(9, 14), 3, *range(14, 17), *range(18, 24)]
    assert not in_order(moved, 0.6) and in_order([*moved, 24], 0.6)


def test_how_many_slices_must_lie_far_from_those_they_belong_beside_by_hand():
    """Three pairs that belong together: the first and the last slice moved inwards make two, 0 and 1, 8 and 9; three
    slices moved on make three: 2 and 3, 5 and 6, 9 and 10."""
    assert in_order([1, 2, 3, 0, 4, 5, 9, 6, 7, 8], 0.6)
    assert not in_order([0, 1, 2, 6, 7, 8, 9, 3, 4, 5, 10, 11], 0.6)


def test_pairs_of_slices_of_which_half_lie_about_one_slice_are_a_symmetric_body_by_hand():
    """Of pairs 0 and 1, 1 and 2, 5 and 6, 6 and 7 the places add up to 5, 6, 8 and 9, two of which are at most 1 from
    the median, 7; then to 7, 8, 10, 11 and 15, as are two of five."""
    assert in_order([0, 2, 6, 3, 4, 1, 5, 7, 8, 9, 10, 11, 12, 13], 0.6)
    assert not in_order([0, 2, 3, 5, 6, 7, 8, 1, 4, 9, 10, 11, 12, 13], 0.6)


def test_slices_of_noise_alone_are_in_no_order():
    assert told([np.random.default_rng(0).random((20, 32, 32), np.float32)], odd_order) == []
    assert told([np.ones((20, 32, 32), np.float32)], odd_order) == []


def test_slices_that_are_not_shown_are_in_no_order():
    """Beside black slices some are half black and half another: they are like others far away."""
    images = ndimage.zoom(body(0), (2, 1, 1), order=1)
    images[[3, 6, 9]] = images[[22, 15, 20]]
    scans = [scan("p0", (0, 0))]
    slices = [reduced(means_of(images[:, None]))]
    assert [odd.scan_id for odd in odd_order(scans, ["mri"], slices)] == ["p0_a"]
    scans[0].placement["outside"] = {"mri": [3, 6, 9]}
    assert list(odd_order(scans, ["mri"], slices)) == []


def test_a_body_that_is_alike_above_and_below_its_middle_is_in_order():
    whole = ndimage.zoom(body(0), (2, 1, 1), order=1)
    assert told([np.concatenate([whole[8:], whole[:7:-1]])], odd_order) == []


def test_prepare_tells_both(tmp_path):
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(8):
        image = body(number)
        image = TURNS[FRONT](image) if number == 2 else image
        image = image[ORDERS["every second one first"](12)] if number == 5 else image
        write(tmp_path / f"{number}.nii", image.T)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=32, workers=1)
    turned = [text for text in store.odd if "lies turned" in text]
    order = [text for text in store.odd if "do not follow" in text]
    assert len(turned) == 1 and turned[0].startswith(f"scan S2: mri lies turned {FRONT}")
    assert len(order) == 1 and order[0].startswith("scan S5: the slices of mri ")
    on_mri = [f"scan S5: {text}" for text in odd_about(store, "S5", "mri")]
    assert order[0] in on_mri, "it was taken for one on the mask"
    assert odd_about(store, "S5", "mask") == odd_about(store, "S4", "mri") == []
