"""What is odd about scans against their cohort: told and kept in the store, refused where it cannot be right."""

from dataclasses import replace

import numpy as np
import pytest
from facts import facts, scaled, told
from scans import LPS, cohort, prepare, refused, save, scan_arrays, write
from stores import scan

from data_prep.oddities.odd import odd_borders, shows_lesion
from data_prep.placing.found import body, smoothed


def images(folder, count: int, change=lambda number, pet: pet, lesion=lambda number: number % 2 == 0):
    """Scans of one grid: PET in SUV, a uniform background with a hot lesion in every other scan."""
    rows = [["patient_id", "scan_id", "pet", "mask"]]
    for number in range(count):
        rng = np.random.default_rng(number)
        _, _, mask = scan_arrays()
        mask *= lesion(number)
        pet = (rng.gamma(2, 0.5, mask.shape) + 6 * mask).astype(np.float32)
        write(folder / f"{number}.nii", change(number, pet))
        write(folder / f"{number}-mask.nii", mask)
        rows.append(
            [f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii" if lesion(number) else ""]
        )
    return save(folder, rows)


@pytest.mark.quick(3)
@pytest.mark.parametrize("factor", [5000, 1 / 5000])
@pytest.mark.parametrize("others", [(3, 7), (1,), (0, 2, 4, 6)])
def test_units_that_differ_are_refused_with_range_and_median(tmp_path, factor, others):
    """Bq/ml in every fourth scan, in one, or in half of them; SUV in the others. Or the reverse."""
    manifest = images(tmp_path, 8, lambda number, pet: pet * (factor if number in others else 1))
    text = refused(manifest, "pet cannot be in one unit of values with", "median", "--accept-odd")
    if len(others) < 4:
        assert all(f"scan S{number}: pet cannot" in text for number in others)
        assert text.count("cannot be in one unit of values") == len(others)


def test_a_reason_accepts_them_and_is_kept(tmp_path):
    manifest = images(tmp_path, 4, lambda number, pet: pet * (5000 if number == 3 else 1))
    refused(manifest, "a reason is missing".capitalize(), accept_odd="  ")
    store = prepare(manifest, tmp_path / "s.zarr", size=16, workers=1, accept_odd="phantom in Bq/ml")
    assert store.placed["accepted"] == "phantom in Bq/ml"
    assert any(
        text.startswith("scan S3: pet cannot be in one unit of values with 3 others") for text in store.odd
    )
    assert store.odd[-1] == "accepted as it is, with the reason: phantom in Bq/ml"


def test_values_are_kept_with_the_scan(tmp_path):
    store = prepare(images(tmp_path, 2), tmp_path / "s.zarr", size=16, workers=1, accept_odd="not needed")
    for number, kept in enumerate(store.scans):
        values = kept.placement["values"]["pet"]
        pet = np.random.default_rng(number).gamma(2, 0.5, (20, 16, 5)) + 6 * scan_arrays()[2] * (number == 0)
        expected = [pet.min(), np.median(pet), pet.max()]
        np.testing.assert_allclose([values[name] for name in ("low", "median", "high")], expected, rtol=1e-6)
    assert store.odd == () and store.placed["accepted"] is None
    lesion = store.scans[0].placement["lesion"]
    assert lesion["ml"] == pytest.approx(168 * 3 / 1000)  # voxels of 1 x 1 x 3 mm
    assert lesion["share_of_grid"] == pytest.approx(168 / 1600)


def test_a_cohort_of_one_kind_has_nothing_odd():
    assert told(facts(8)) == []


def test_a_scan_of_another_scale_or_level_is_told_against_the_cohort():
    """The ranges of most voxels are 4.0, 4.1, 4.2, 17.4, 4.4, 4.5, 4.6 and 4.7, their median 4.45."""
    scans = facts(8, s3={"last": 17.4, "high": 30.0}, s5={"low": 3.0, "first": 4.0, "last": 8.5})
    assert told(scans) == [
        ("p3_a", "pet is 3.91 times the cohort's median", False),
        ("p5_a", "pet begins elsewhere than in most scans: 3 to 9, median 1", False),
    ]


def test_a_small_offset_that_no_other_scan_has_is_told():
    """0.5 of 4.45, where the others begin at 0; where they begin anywhere, it is nothing."""
    offset = {"low": 0.5, "first": 0.5, "last": 4.9}
    assert told(facts(8, s3=offset)) == [
        ("p3_a", "pet begins elsewhere than in most scans: 0.5 to 9, median 1", False)
    ]
    anywhere = {f"s{at}": {"first": 0.1 * at, "last": 4.4 + 0.1 * at} for at in range(8) if at != 3}
    assert told(facts(8, s3=offset, **anywhere)) == []


def test_less_coverage_than_in_other_scans_is_told():
    assert told(facts(6, c2=0.89)) == [("p2_a", "pet covers 89% of the grid, in most scans 100%", False)]
    assert told(facts(6, c2=0.91)) == []


def test_a_hot_lesion_alone_is_no_other_unit():
    """The whole range is 30 times as large, that of most voxels is not. It is told as what it is, from 3 times on."""
    ((scan_id, text, refused),) = told(facts(8, s3={"high": 270.0}))
    assert text.startswith("pet reaches 270 (at (2, 3, 1) of the file, from 0 on), 30 times as high as all")
    assert scan_id == "p3_a" and not refused
    ((_, text, _),) = told(facts(8, s3={"high": 270.0}, s5={"high": 90.0}, s6={"high": 40.5}))
    assert text.startswith(
        "in 3 scans (p3_a, p5_a, p6_a), 2 of 4 with lesion, 1 of 4 without, pet reaches 270, 4.5 "
    )
    assert told(facts(8, s3={"high": 26.0})) == told(facts(4, s3={"high": 270.0})) == []


def test_a_scan_whose_mask_is_inverted_is_not_said_to_be_of_another_scale():
    """The lesion and what surrounds it are all that the mask leaves of the tissue: 3.2 times as bright in PET."""
    changed = scaled([1] * 12 + [3.2])
    assert [text for _, text, _ in told(facts(13, **changed))] == ["pet is 3.62 times the cohort's median"]
    ((_, text, _),) = told(facts(13, **changed, l12={"share_of_body": 0.9, "ml": 1119.0}))
    assert text == "90% of the body is lesion (1119 ml): is the mask inverted?"


@pytest.mark.parametrize("part", ["grid", "body"])
@pytest.mark.parametrize("share, refused_", [(0.25, False), (0.26, True), (0.98, True)])
def test_more_than_a_quarter_of_lesion_is_refused(part, share, refused_):
    """Of the grid, or of the body: no lesion is so large."""
    found = told(facts(8, l1={f"share_of_{part}": share, "ml": 1119.0}))
    text = f"{share:.0%} of the {part} is lesion (1119 ml): is the mask inverted?"
    assert found == ([("p1_a", text, True)] if refused_ else [])


def test_what_holds_for_scans_with_lesion_alone_is_told():
    """Odd ones hold lesion: sform there, qform in the others, NaN in three of four."""
    scans = facts(8, **{f"s{number}": {"orientation": "qform"} for number in range(0, 8, 2)})
    forms = [text for _, text, _ in told(scans)]
    assert [text.split(" in ")[0] for text in forms] == [
        "pet is placed by its sform alone",
        "pet is placed by its qform alone",
    ]
    assert "in 4 of 4 scans with lesion and in 0 of 4 without" in forms[0]
    found = told(facts(8, **{f"s{number}": {"nan": 5} for number in (1, 3, 5)}))
    assert found[0][:2] == (
        None,
        "pet held NaN in 3 of 4 scans with lesion and in 0 of 4 without: a model could tell them apart by it",
    )


@pytest.mark.parametrize("assumed", ["as mask", "as mri", "Analyze's default axes"])
def test_orientations_assumed_on_one_side_only_are_refused(assumed):
    one_sided = facts(8, **{f"s{number}": {"orientation": assumed} for number in (1, 3)})
    found = told(one_sided)
    assert found[0][2] and f"assumed: {assumed} (2 of 4 with lesion, 0 of 4 without)" in found[0][1]
    on_both = facts(8, **{f"s{number}": {"orientation": assumed} for number in (1, 4)})
    found = told(on_both)
    assert [(scan_id, refused_) for scan_id, _, refused_ in found] == [(None, False)]
    assert f"assumed: {assumed} (1 of 4 with lesion, 1 of 4 without)" in found[0][1]


@pytest.mark.parametrize("stated", ["MGH", "SPM's .mat", "a format that is new"])
def test_what_states_its_orientation_is_told_as_assumed_in_no_format(stated):
    """Reading decides whether a file states it; no list of formats has to be kept beside."""
    changed = {f"{part}{number}": {"orientation": stated} for number in range(8) for part in "sl"}
    assert told(facts(8, **changed)) == []


def test_an_inverted_mask_is_refused(tmp_path):
    manifest = cohort(tmp_path, 4)
    write(tmp_path / "s1" / "mask.nii.gz", 1 - scan_arrays()[2])
    refused(manifest, "row 3", "scan S1", "90% of the grid is lesion", "inverted")


def test_a_mask_inverted_within_the_body_is_refused(tmp_path):
    """A head of 6 % of the grid, amid noisy air: the inverted mask is 5 % of the grid and most of the head."""
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    x, y = np.indices((64, 64)) - 31.5
    head = np.broadcast_to(((x**2 + y**2) < 9**2)[:, :, None], (64, 64, 5))
    lesion = np.broadcast_to(((x**2 + y**2) < 4**2)[:, :, None], (64, 64, 5))
    for number in range(3):
        rng = np.random.default_rng(number)
        air = np.hypot(*rng.normal(0, 20, (2, 64, 64, 5)))
        write(tmp_path / f"{number}.nii", (air + 800 * head).astype(np.float32), LPS)
        drawn = head & ~lesion if number == 1 else lesion
        write(tmp_path / f"{number}-mask.nii", drawn.astype(np.uint8), LPS)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii"])
    refused(save(tmp_path, rows), "row 3", "of the body is lesion", size=64)


def test_the_body_is_what_some_modality_shows():
    """Squares of 8 x 8 pixels, and 2 pixels around them, where a mean of 5 x 5 holds at least one of them (4 %)."""
    image = np.zeros((2, 2, 40, 40), np.float32)
    image[:, 0, 4:12, 4:12], image[:, 1, 20:28, 20:28] = 100, 7
    expected = np.zeros((2, 40, 40), bool)
    expected[:, 2:14, 2:14], expected[:, 18:30, 18:30] = True, True
    found = np.any([body(smoothed(each)) for each in image.swapaxes(0, 1)], axis=0)
    np.testing.assert_array_equal(found, expected)


def test_a_modality_of_one_value_is_refused(tmp_path):
    manifest = images(tmp_path, 4, lambda number, pet: pet * 0 + 3 if number == 1 else pet)
    refused(manifest, "row 3, scan S1: pet is 3 everywhere")


def with_borders(lost: int):
    """PET falls by its brightness across the border of each mask but one's."""
    edges = {
        number: {"own": 1 + number / 50 if number != lost else 0.0, "sides": {"head": 1.0}, "elsewhere": {}}
        for number in range(1, 16, 2)
    }
    for each in edges.values():
        each["elsewhere"] = {"moved 8 mm to the head": 0.1}
    return facts(16, **{f"l{number}": {"edges": {"pet": each}} for number, each in edges.items()})


def test_a_mask_is_not_compared_with_an_image_that_is_told_to_be_turned_or_not_to_show_it():
    """The mask was told not to belong there, and to lack a part, beside what was wrong with the image."""
    scans = with_borders(3)
    (odd,) = odd_borders(scans, ["pet"])
    assert odd.scan_id == "p3_a" and odd.text.startswith("the lesion does not stand out on pet")
    assert odd_borders(scans, ["pet"], {("p3_a", "pet")}) == []
    scans[3].placement["outside"]["pet"] = [1]
    assert odd_borders(scans, ["pet"]) == []


def test_two_units_of_values_are_refused_and_one_that_some_files_do_not_state_is_told():
    units = {f"s{at}": {"unit": "SUV"} for at in range(8)}
    assert told(facts(8, **units)) == []
    some = {name: unit for name, unit in units.items() if name in ("s0", "s3", "s4")}
    text = (
        "pet is in SUV in 3 of 8 scans, as DICOM says; the files of the other 5 state no unit of values, and count as "
        "SUV too"
    )
    assert told(facts(8, **some)) == [(None, text, False)]
    text = "pet is of several units of values: Bq/ml in 1, SUV in 7 of 8 scans"
    assert told(facts(8, **units | {"s2": {"unit": "Bq/ml"}})) == [(None, text, True)]


def test_a_modality_that_shows_no_slice_whole_is_refused():
    for outside, refused_ in (([0], False), ([0, 1], True)):
        scans = facts(8)
        scans[2].placement["outside"]["pet"] = outside
        text = f"pet does not show {len(outside)} of 2 slices whole, which are not sampled"
        assert told(scans) == [("p2_a", text, refused_)]


def test_a_modality_shows_a_lesion_where_it_shows_its_slices_and_those_beside_these():
    for unseen, shown in ((0, True), (1, False), (2, False), (3, False), (4, True)):
        placement = {"outside": {"pet": [unseen]}}
        assert shows_lesion(replace(scan("p0", (0, 0, 4, 0, 0)), placement=placement), "pet") == shown
