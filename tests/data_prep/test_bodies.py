"""Modalities that show the body elsewhere, turned, or another body are told, by the place and shape of its skin."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from stores import scan

from data_prep.oddities.bodies import beside, unlike_bodies
from data_prep.oddities.separating import separating
from data_prep.oddities.turned_bodies import odd_turned
from data_prep.placing.bodies import DIRECTIONS, DISC, largest_filled, placed_bodies

PIXEL = 2.0
ASKED = "are both of this scan?"
TURNS = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS


def body(back=0.0, left=0.0, radius=60.0, turned=0.0, shape=(0.0, 0.0), sheared=0.0, leaning=0.0):
    """A body of 6 slices: an ellipse of 1.15 : 1 with a nose, `shape` of its third harmonic, in air with specks; its
    rows moved along themselves, its slices to the back."""
    if leaning:
        heights = 3.0 * np.arange(-2.5, 3)
        each = [body(back + leaning * height, left, radius, turned, shape, sheared)[:1] for height in heights]
        return np.concatenate(each)
    rows, columns = (np.indices((80, 80)) - 39.5) * PIXEL
    rows, columns = rows - back, columns - left - sheared * rows
    angle = np.arctan2(rows, columns) - np.radians(turned)
    skin = radius * (1 + 0.07 * np.cos(2 * angle) + 0.05 * np.exp(-(((angle + np.pi / 2) / 0.3) ** 2)))
    skin = skin + shape[0] * np.cos(3 * angle) + shape[1] * np.sin(3 * angle)
    found = np.repeat((np.hypot(rows, columns) < skin)[None], 6, axis=0)
    found[:, 40, 40] = False  # a hole
    found[:, 2:4, 2:4] = True  # a speck
    return found


def scans(pet, mri, lesion=lambda at: at % 2):
    """Scans of an index alone, with the bodies that their two modalities show."""
    found = []
    for at, (one, two) in enumerate(zip(pet, mri, strict=True)):
        shown = placed_bodies([body(**one), body(**two)], (3.0, PIXEL, PIXEL))
        values = {name: {"body": body} for name, body in zip(("pet", "mri"), shown, strict=True)}
        placement = {"reference": "mri", "values": values}
        found.append(replace(scan(f"p{at}", (0, 4 * lesion(at))), placement=placement))
    return found


def people(number):
    """Of one kind, each with a place and shape of its own, which PET shows a little smaller and a little elsewhere."""
    rng = np.random.default_rng(3)
    mri = [
        {
            "back": rng.normal(0, 3),
            "left": rng.normal(0, 3),
            "radius": rng.normal(60, 2),
            "shape": rng.normal(0, 2, 2),
        }
        for _ in range(number)
    ]
    return [
        each | {"back": each["back"] + rng.normal(1, 0.3), "radius": each["radius"] - 3} for each in mri
    ], mri


def told(pet, mri):
    found = scans(pet, mri)
    moved = list(beside(found, ["pet", "mri"]))
    odd = [*moved, *unlike_bodies(found, ["pet", "mri"], moved=moved)]
    return [(each.scan_id, each.text) for each in odd]


def test_place_and_radius_of_a_disc_by_hand():
    """A disc of 50 mm whose middle lies 6 mm to the back and 4 mm to the right of that of the slices."""
    rows, columns = (np.indices((80, 80)) - 39.5) * PIXEL
    disc = np.repeat((np.hypot(rows - 6, columns + 4) < 50)[None], 3, axis=0)
    (body,) = placed_bodies([disc], (3.0, PIXEL, PIXEL))
    assert (body["back"], body["left"]) == (pytest.approx(6, abs=0.05), pytest.approx(-4, abs=0.05))
    np.testing.assert_allclose(body["radii"], 50, atol=PIXEL)
    assert np.mean(body["radii"]) == pytest.approx(50, abs=0.6)


def test_slices_without_the_body_in_one_modality_are_not_looked_at():
    """PET ends after three of six slices; the MRI of the others, which lies elsewhere, does not count."""
    pet, mri = body(), np.concatenate([body()[:3], body(back=20)[:3]])
    pet[3:] = False
    one, two = placed_bodies([pet, mri], (3.0, PIXEL, PIXEL))
    assert one == two
    assert placed_bodies([pet, np.zeros_like(pet)], (3.0, PIXEL, PIXEL)) == [None, None]


def test_a_body_goes_on_across_slices_that_a_modality_does_not_show():
    """Three slices of 60 mm, one that MRI does not show, four of 50 mm: as were that slice left out."""
    pet = np.concatenate([body(radius=60)[:4], body(radius=50)[:4]])
    mri = pet.copy()
    mri[3] = False
    one, two = placed_bodies([pet, mri], (3.0, PIXEL, PIXEL))
    assert one == two
    assert np.mean(one["radii"]) == pytest.approx((3 * 60 + 4 * 50) / 7, abs=1)
    (whole,) = placed_bodies([np.delete(pet, 3, axis=0)], (3.0, PIXEL, PIXEL))
    assert {name: one[name] for name in ("back", "left", "radii")} == {
        name: whole[name] for name in ("back", "left", "radii")
    }


def test_bodies_as_they_are_are_not_told():
    assert told(*people(12)) == []


def test_bodies_that_nearly_fit_are_not_told_however_well_the_others_do():
    """T1 and T2, say: 20 scans whose bodies are the same in both, and one that is 1 mm wider."""
    _, mri = people(21)
    assert told([each | {"radius": each["radius"] + (at == 5)} for at, each in enumerate(mri)], mri) == []


def test_of_few_scans_a_body_that_lies_apart_is_chance():
    """One lesion-free scan of five, whose body lies 12 mm to the back."""
    pet, mri = people(5)
    pet[0], mri[0] = (each | {"back": each["back"] + 12} for each in (pet[0], mri[0]))
    found = with_values(scans(pet, mri, lesion=lambda at: at > 0))
    assert not [odd for odd in separating(found, "mri") if "of the body" in odd.text]


def test_a_modality_that_is_moved_is_told():
    pet, mri = people(12)
    pet[4] = pet[4] | {"back": pet[4]["back"] + 20}
    ((scan_id, text),) = told(pet, mri)
    assert scan_id == "p4_a"
    assert re.match("pet shows the body (19|20|21) mm beside where mri shows it", text)


@pytest.mark.parametrize("degrees", [-16, 12])
def test_a_modality_that_is_turned_is_told(degrees):
    pet, mri = people(12)
    pet[7] = pet[7] | {"turned": degrees}
    ((scan_id, text),) = told(pet, mri)
    assert scan_id == "p7_a"
    assert text.startswith(f"pet shows the body turned by {abs(degrees)} degrees")


@pytest.mark.parametrize(
    ("how", "way"), [("leaning", "from slice to slice"), ("sheared", "in the plane of the slices")]
)
def test_a_modality_whose_voxels_are_sheared_is_told_however_few_scans_there_are(how, way):
    """By 0.2 mm per mm, 11 degrees, of six scans; of four nothing is said."""
    for number, names in ((6, ["p2_a"]), (4, [])):
        pet, mri = people(number)
        assert told(pet, mri) == []
        pet[2] = pet[2] | {how: 0.2}
        found = told(pet, mri)
        assert [scan_id for scan_id, _ in found] == names
        for _, text in found:
            assert re.match(
                rf"pet shows a body of another shape than mri, .* sheared {way} by 0\.(1[5-9]|2[0-5]) mm per mm",
                text,
            )


def test_a_modality_that_is_mirrored_is_not_called_sheared():
    """A face that looks a little to one side, 15 mm beside the middle, mirrored: its rows run the other way, as a shear
    would move them."""
    pet, mri = people(12)
    pet[4], mri[4] = ({**each[4], "sheared": 0.1, "left": 15.0, "shape": (5.0, 0.0)} for each in (pet, mri))
    assert told(pet, mri) == []
    pet[4] |= {"sheared": -0.1, "left": -15.0, "shape": (-5.0, 0.0)}
    found = [text for scan_id, text in told(pet, mri) if scan_id == "p4_a"]
    assert found and not any("sheared" in text for text in found)


def test_a_modality_of_another_size_is_told_however_few_scans_there_are():
    pet, mri = people(6)
    pet[3] = pet[3] | {"radius": 1.25 * pet[3]["radius"]}
    ((scan_id, text),) = told(pet, mri)
    assert scan_id == "p3_a" and re.match(
        r"pet shows the body 1\.2[3-7] times as wide beside mri as in the other", text
    )


def test_a_disc_that_leans_and_one_that_is_sheared_by_hand():
    (leaning,) = placed_bodies([body(leaning=0.3)], (3.0, PIXEL, PIXEL))
    assert (leaning["lean_back"], leaning["lean_left"]) == (pytest.approx(0.3, abs=0.05), 0.0)
    (flat,) = placed_bodies([body(leaning=0.3)[:4]], (3.0, PIXEL, PIXEL))
    assert (flat["lean_back"], flat["lean_left"]) == (0.0, 0.0)


def test_exchanged_files_are_told_of_both_scans():
    pet, mri = people(12)
    pet[2], pet[9] = pet[9], pet[2]
    assert told(pet, mri) == [
        (
            f"p{at}_a",
            f"pet shows a body that does not fit that of mri, but that of scan p{of}_a: are both of this scan?",
        )
        for at, of in ((2, 9), (9, 2))
    ]


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"back": 12}, "the place in mm, from front to back, of the body of mri separates scans with lesion"),
        (
            {"left": -12},
            "the place in mm, from right to left, of the body of mri separates scans with lesion",
        ),
        ({"radius": 5}, "the mean radius in mm of the body of mri separates scans with lesion"),
        ({"turned": 12}, "the turn in degrees of the body of mri separates scans with lesion"),
    ],
)
def test_bodies_that_lie_otherwise_in_scans_with_lesion_are_told(change, text):
    """12 of 24 scans are moved, widened or turned, images and masks alike: a model could learn that."""
    pet, mri = people(24)
    assert not [odd for odd in separating(with_values(scans(pet, mri)), "mri")]
    for at in range(1, 24, 2):
        for each in (pet, mri):
            each[at] = each[at] | {name: each[at].get(name, 0) + by for name, by in change.items()}
    (odd,) = separating(with_values(scans(pet, mri)), "mri")
    assert odd.text.startswith(text)


def with_values(found):
    for each in found:
        for facts in each.placement["values"].values():
            facts |= {
                "first": 0.0,
                "median": 1.0,
                "last": 4.0,
                "low": 0.0,
                "rim": 0.0,
                "tissue": None,
                "high": 9.0,
            }
            facts |= {"signal": {"step": 0.5, "values": 1000, "cut": 0.0}}
    return found


def test_a_body_is_filled_as_scipy_opens_fills_and_numbers_its_slices():
    rng = np.random.default_rng(0)
    for _ in range(60):
        noise = rng.standard_normal(rng.integers(1, [6, 50, 50]))
        shown = ndimage.gaussian_filter(noise, (1, *[rng.uniform(0.3, 8)] * 2)) > rng.uniform(-0.1, 0.1)
        thick = [ndimage.binary_opening(slice_, DISC) for slice_ in shown]
        pieces, number = ndimage.label([ndimage.binary_fill_holes(slice_) for slice_ in thick])
        largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])) if number else 1
        assert (largest_filled(shown) == (pieces == largest)).all()


def turned_by(
    *turns: float, waves: int = 3, other: float = 0.0, high: float = 5.0
) -> list[tuple[str | None, str]]:
    """What is said of scans whose skin waves so many times round the body, so high, in both modalities, in one turned
    by so many degrees; other: of the first scan, the share of another wave in that shape, which is not turned."""

    def shape(degrees: float) -> np.ndarray:
        angle = TURNS - np.radians(degrees)
        return (np.cos(waves * angle) + 0.3 * np.cos(angle)) / np.sqrt(1.09)

    found = []
    for at, degrees in enumerate(turns):
        share = 0.0 if at else other
        mixed = np.sqrt(1 - share**2) * shape(degrees) + share * np.cos(5 * TURNS)
        radii = [{"radii": [*(60 + high * each)]} for each in (mixed, shape(0))]
        found.append((scan(f"p{at}", (0, 4)), *radii))
    return [(odd.scan_id, odd.text.partition(" in the plane")[0]) for odd in odd_turned(found, "pet", "mri")]


def test_a_body_is_turned_by_more_than_8_degrees_beside_four_others_by_hand():
    """A shape of n waves, and 0.3 of one, correlates with itself turned by t by (cos n t + 0.09 cos t) / 1.09:
    at 12 degrees that of three by 0.18 less, of two by 0.08 less, where 0.1 less is asked."""
    assert turned_by(12, 0, 0, 0, 0) == [("p0_a", "pet shows the body turned by 12 degrees")]
    assert turned_by(12, 0, 0, 0) == turned_by(12, 0, 0, 0, 0, waves=2) == []
    assert turned_by(8, 0, 0, 0, 0, waves=4) == turned_by(0, 0, 0, 0, 0, high=0) == []
    assert turned_by(-12, 12, 12, 12, 16) == [("p0_a", "pet shows the body turned by 24 degrees")]
    # Beyond 90 degrees nothing is known, nor where the best correlation is less than 0.85.
    assert turned_by(88, 0, 0, 0, 0, waves=1) == [("p0_a", "pet shows the body turned by 88 degrees")]
    assert turned_by(92, 0, 0, 0, 0, 0, waves=1) == []
    assert turned_by(12, 0, 0, 0, 0, 0, other=0.5) == [("p0_a", "pet shows the body turned by 12 degrees")]
    assert turned_by(12, 0, 0, 0, 0, 0, other=0.55) == []
