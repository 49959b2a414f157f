"""Lengths that are not in mm, voxels of other sizes than in most scans, and headers that contradict themselves."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scans import LPS, cohort, prepare, refused, save, scan_arrays, write
from stores import scan

from data_prep.files.read import read_grid
from data_prep.manifest.ids import look_alike
from data_prep.oddities.fields import odd_fields, other_lengths
from hnscc.base.errors import InputError

USUAL = ((200, 180, 24), (0.9, 0.9, 4.0))


def told(
    *inputs: tuple, others: int = 6, absent: float = 0.0, usual: float = 0.0, skew: float = 0.0
) -> list[tuple]:
    """What is odd about scans of these (shape, spacing in mm) among usual ones; absent, usual: the shares that the
    first and the others lack."""
    scans = []
    for number, (shape, spacing) in enumerate([*inputs, *[USUAL] * others]):
        facts = {"shape": list(shape), "spacing": list(spacing), "skew": skew if number == 0 else 0.0}
        facts["written"] = {}
        placement = {"inputs": {"mri": facts}, "outside": {"mri": []}}
        placement["absent"] = {"mri": absent if number == 0 else usual}
        scans.append(replace(scan(f"p{number}", (0, 4)), placement=placement))
    return [(odd.scan_id, odd.text, odd.refused) for odd in odd_fields(scans, ["mri"])]


def scaled(times: float) -> tuple:
    return USUAL[0], tuple(step * times for step in USUAL[1])


def test_scans_of_one_kind_are_not_odd():
    assert told() == [] and told(scaled(1.2), ((180, 200, 30), (0.8, 1.1, 3.0))) == []


@pytest.mark.parametrize("times", [0.1, 10.0])
def test_a_scan_in_another_unit_of_length_is_refused(times):
    """180 mm x 0.1 are 18 mm, x 10 are 1800."""
    ((scan_id, text, refused_),) = told(scaled(times), others=2)
    assert scan_id == "p0_a" and refused_
    assert (
        "are its lengths in mm" in text
        and f"{0.9 * times:.3g} x" in text
        and "most scans voxels of 0.9 x" in text
    )


@pytest.mark.parametrize("times", [0.001, 0.004 / 0.9, 100, 40 / 0.9])
def test_what_no_body_has_is_refused_in_every_scan(times):
    found = told(*[scaled(times)] * 4, others=0)
    assert len(found) == 4 and all(refused_ for _, _, refused_ in found)
    assert "which no scan of a body has: are its lengths in mm?" in found[0][1]


def test_a_whole_cohort_in_cm_is_told():
    found = told(*[scaled(0.1)] * 4, others=0)
    text = "mri has voxels of 0.09 x 0.09 x 0.4 mm, 18 x 16.2 x 9.6 mm in all, which is small for a body: "
    assert found == [(f"p{number}_a", text + "are its lengths in mm, not cm?", False) for number in range(4)]


def test_as_many_voxels_of_another_size_are_told():
    (found,) = told(scaled(1.5))
    text = "mri has as many voxels as most scans, but of 1.35 x 1.35 x 6 mm, not 0.9 x 0.9 x 4: is their size right?"
    assert found == ("p0_a", text, False)


@pytest.mark.parametrize(
    "times, sizes",
    [((1, 1, 1.2), "0.9 x 0.9 x 4.8"), ((1, 1, 0.8), "0.9 x 0.9 x 3.2"), ((1.1, 1, 1), "0.99 x 0.9 x 4")],
)
def test_voxels_larger_in_one_direction_than_in_most_scans_are_told(times, sizes):
    found = told((USUAL[0], tuple(np.multiply(USUAL[1], times))))
    text = f"mri has as many voxels as most scans, but of {sizes} mm, not 0.9 x 0.9 x 4: is their size right?"
    assert found == [("p0_a", text, False)]


def test_another_field_of_view_is_not_told():
    """Larger pixels both ways, with slices as thick or thicker."""
    assert (
        told((USUAL[0], (1.05, 1.05, 4.0)), (USUAL[0], (1.05, 1.05, 4.8)), (USUAL[0], (0.9, 0.9, 4.3))) == []
    )


def test_axes_that_are_not_at_right_angles_are_told(tmp_path):
    """PET of which the rows run 0.1 mm to posterior for each mm to the left: 5.7 degrees off a right angle."""
    manifest = cohort(tmp_path)
    skewed = np.diag([2.0, 2.0, 3.0, 1.0]) @ np.array(
        [[1, 0.1, 0, -11], [0, 1, 0, -9], [0, 0, 1, 0], [0, 0, 0, 1]]
    )
    write(tmp_path / "s1" / "pet.nii.gz", scan_arrays(1)[0][:12, :11, :], skewed)
    store = prepare(manifest, tmp_path / "s.zarr", size=16, workers=1, accept_odd="a test")
    assert store.scans[1].placement["inputs"]["pet"]["skew"] == pytest.approx(5.71)
    assert [each[:56] for each in store.odd if "right angles" in each] == [
        "scan S1: the axes of pet do not stand at right angles in"
    ]


@pytest.mark.parametrize(
    ("times", "odd"), [(1.0021, True), (0.955, True), (1.0019, False), (0.95, False), (1.0, False)]
)
def test_modalities_of_nearly_one_grid_are_told(times, odd):
    """A slice distance that is 0.2 to 5 % off, where PET lies on the grid of the MRI; a rounded one, or another."""
    inputs = [
        {"shape": [200, 180, 24], "spacing": [0.9, 0.9, 4.0 * each], "skew": 0.0, "written": {}}
        for each in (1.0, times)
    ]
    placement = {"inputs": dict(zip(("pet", "mri"), inputs, strict=True)), "absent": {"pet": 0.0, "mri": 0.0}}
    found = list(odd_fields([replace(scan("p0", (0, 4)), placement=placement)], ["pet", "mri"]))
    assert [("have as many voxels, of sizes" in each.text, each.refused) for each in found] == [
        (True, False)
    ] * odd


@pytest.mark.parametrize("alike, told_", [(5, ["p0_a"]), (3, [])])
def test_a_modality_with_a_slice_less_is_told_where_most_scans_have_as_many(alike, told_):
    scans = []
    for number in range(6):
        inputs = {
            name: {"shape": [200, 180, slices], "spacing": [0.9, 0.9, 4.0], "skew": 0.0, "written": {}}
            for name, slices in (("pet", 24), ("mri", 24 if number and number <= alike else 23))
        }
        placement = {"inputs": inputs, "absent": {"pet": 0.0, "mri": 0.0}}
        scans.append(replace(scan(f"p{number}", (0, 4)), placement=placement))
    if told_:  # one is of another grid, which has slices of its own
        scans[5].placement["inputs"]["mri"] |= {"shape": [180, 180, 22], "spacing": [1.0, 0.9, 4.0]}
    found = list(odd_fields(scans, ["pet", "mri"]))
    text = "pet has 24 slices and mri 23, in most scans as many as one another: is one missing?"
    assert [(each.scan_id, each.text) for each in found] == [(scan_id, text) for scan_id in told_]


def test_an_extent_of_its_own_is_told():
    ((_, text, refused_),) = told(((200, 180, 75), (0.9, 0.9, 4.0)))
    assert text == "mri has an extent of 300 mm from foot to head, in most scans 96" and not refused_


def test_a_part_of_every_slice_that_shows_nothing_needs_a_reason():
    ((_, text, refused_),) = told(USUAL, absent=0.11)
    assert "shows nothing in 11% of most slices" in text and "(0% in most scans)" in text and refused_
    assert told(USUAL, absent=0.09) == told(USUAL, absent=0.19, usual=0.1) == []


def cubes(*sides: tuple) -> list[str]:
    """What is said of the first of some scans, in short; of each: the number of voxels along each axis, and mm."""
    words = {"no scan of a body": "impossible", "as theirs": "of another unit", "not cm": "small"}
    texts = [text for scan_id, text, _ in told(*[((count,) * 3, mm) for count, mm in sides], others=0)]
    return [name for text in texts[:1] for word, name in words.items() if word in text]


def test_which_lengths_no_body_has_by_hand():
    """All sides of voxels below 0.02 mm or above 20 mm, or an extent below 2 mm or above 2500 mm."""
    for count, mm, impossible in (
        (200, (0.01, 0.01, 0.019), True),
        (200, (0.01, 0.01, 0.021), False),
        (20, (21.0, 21.0, 20.5), True),
        (20, (21.0, 21.0, 19.5), False),
        (19, (0.1, 0.1, 0.1), True),
        (21, (0.1, 0.1, 0.1), False),
        (501, (5.0, 1.0, 1.0), True),
        (499, (5.0, 1.0, 1.0), False),
    ):
        assert ("impossible" in cubes((count, mm))) == impossible


def test_which_lengths_are_in_another_unit_or_small_by_hand():
    """Five times those of two others, voxels and extent alike; an extent below 60 mm of voxels below 1 mm."""
    usual = (20, (1.0, 1.0, 1.0))
    for times in (5.1, 1 / 5.1):
        assert cubes((20, (times,) * 3), usual, usual) == ["of another unit"]
        assert "of another unit" not in cubes((20, (times,) * 3), usual)
    assert cubes((20, (6.2,) * 3), usual, (20, (1.5,) * 3)) == ["of another unit"], "1.22 mm in the middle"
    for count, times in ((20, 4.9), (20, 1 / 4.9), (19, 5.1), (21, 1 / 5.1)):
        assert "of another unit" not in cubes((count, (times,) * 3), usual, usual)
    for count, mm, small in ((66, 0.9, True), (67, 0.9, False), (59, 0.99, True), (59, 1.01, False)):
        assert ("small" in cubes((count, (mm, 0.5, 0.5)))) == small


def test_a_new_scans_lengths_are_five_times_the_studys_in_every_direction_or_a_fifth():
    study = [(4.0, 1.0, 1.0), (4.0, 1.0, 1.0), (6.0, 1.0, 1.0)]
    for way in (1, -1):
        for times, count in (((5.1, 5.1, 5.1), 1), ((5.1, 5.1, 4.9), 0)):
            own = tuple(length * each**way for length, each in zip(study[0], times, strict=True))
            assert len(list(other_lengths(own, study))) == count
            assert list(other_lengths(own, [])) == []


def test_which_voxels_are_of_another_size_by_hand():
    """1.3 times, both ways; 1.05 times in one direction of the plane, and 1.1 times along the slices where pixels are
    the same but for 1.02 times, since another field of view changes these."""
    for within, beyond in (
        ((1.29, 1.29, 1.29), (1.31, 1.31, 1.31)),
        ((1.04, 1, 1), (1.06, 1, 1)),
        ((1, 1, 1.09), (1, 1, 1.11)),
        ((1.03, 1.03, 1.11), (1.01, 1.01, 1.11)),
    ):
        for way in (1.0, -1.0):
            inner, outer = (tuple(np.multiply(USUAL[1], np.power(each, way))) for each in (within, beyond))
            assert told((USUAL[0], inner)) == [] and len(told((USUAL[0], outer))) == 1
    others = ((180, 200, 30), (0.8, 1.1, 3.0)), ((190, 190, 28), (0.9, 1.0, 3.5))
    assert told(scaled(1.31), *others, others=3) == [], "half of the scans are not most"


def test_lengths_beyond_twice_what_most_scans_have_by_hand():
    """1.9 times; where three of eight others lie 0.15 to either side as logarithms, four robust deviations of 1.4826
    times that, 0.89."""
    for times, count in ((1.91, 1), (1.89, 0)):
        assert len(told(((190, 180, 12), (0.9, 0.9, 4 * times)))) == count
    others = [((200, 180, 24), (0.9, 0.9, 4 * np.exp(0.15 * side))) for side in (-1, -1, -1, 0, 0, 1, 1, 1)]
    for log, count in ((0.9, 1), (0.88, 0)):
        assert len(told(((200, 180, 24), (0.9, 0.9, 4 * np.exp(log))), *others, others=0)) == count


def test_axes_are_skewed_from_half_a_degree_on():
    assert told(USUAL, skew=0.49) == []
    ((_, text, _),) = told(USUAL, skew=0.51)
    assert "do not stand at right angles" in text


@pytest.mark.parametrize("times", [0.1, 0.001, 0.0001])
def test_one_scan_in_cm_or_metres_is_refused_by_its_row(tmp_path, times):
    manifest = cohort(tmp_path, 4)
    for name in ("pet", "mri", "mask"):
        image = nib.load(tmp_path / "s1" / f"{name}.nii.gz")
        write(
            tmp_path / "s1" / f"{name}.nii.gz",
            np.asarray(image.dataobj),
            np.diag([times, times, times, 1]) @ image.affine,
        )
    refused(manifest, "row 3, scan S1: mri has voxels of", "lengths in mm", "--accept-odd")


def test_one_modality_in_metres_is_refused_before_it_is_sampled(tmp_path):
    """Its thousand voxels along each of the reference's would be thousands of millions."""
    manifest = cohort(tmp_path, 2)
    image = nib.load(tmp_path / "s0" / "pet.nii.gz")
    write(tmp_path / "s0" / "pet.nii.gz", np.asarray(image.dataobj), np.diag([1e-3] * 3 + [1]) @ image.affine)
    refused(manifest, "row 2, scan S0, column pet", "far smaller than those of mri", "in mm")


@pytest.mark.parametrize("sizes", [(1.8, 1.8, 8.0), (1.0, 1.0, 6.0), (1.2, 1.0, 3.0)])
def test_voxel_sizes_that_contradict_the_sform_are_refused(tmp_path, sizes):
    """ITK tools take the one, nibabel and SPM the other. 0.2 mm each are 3.8 voxels over 20."""
    image = nib.Nifti1Image(scan_arrays()[1], LPS)
    image.set_sform(LPS, 1)
    image.set_qform(None, 0)
    image.header["pixdim"][1:4] = sizes
    image.to_filename(tmp_path / "a.nii")
    with pytest.raises(InputError) as caught:
        read_grid(tmp_path / "a.nii", "manifest row 3")
    text = str(caught.value)
    assert "The sform and the header's voxel sizes (pixdim) disagree." in text and "manifest row 3" in text
    assert (
        "1 x 1 x 3 mm by sform" in text
        and f"{' x '.join(f'{each:g}' for each in sizes)} mm by pixdim" in text
    )


def test_voxel_sizes_that_are_rounded_are_not(tmp_path):
    image = nib.Nifti1Image(scan_arrays()[1], LPS)
    image.set_sform(LPS, 1)
    image.set_qform(None, 0)
    image.header["pixdim"][1:4] = (1.04, 0.97, 3.0)
    image.to_filename(tmp_path / "a.nii")
    assert read_grid(tmp_path / "a.nii", "here").stated_by == "sform"


@pytest.mark.parametrize(
    "pair", [("P01", "PO1"), ("P01", "P0l"), ("P10", "PI0"), ("P02", "P0Z"), ("P5-1", "PS-1"), ("S8", "SB")]
)
def test_ids_that_look_alike_are_told(tmp_path, pair):
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number, patient in enumerate((*pair, "P33")):
        write(tmp_path / f"{number}.nii", scan_arrays(number)[1])
        rows.append([patient, f"S{number}", f"{number}.nii", ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=16, workers=1)
    assert store.odd == (f"patients {pair[1]} and {pair[0]} look alike: are they one patient?",)


def test_visits_in_the_ids_of_patients_are_told_in_one_sentence(tmp_path):
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number, patient in enumerate(("P05_pre", "P06_t1", "P05_post", "P06_t2")):
        write(tmp_path / f"{number}.nii", scan_arrays(number)[1])
        rows.append([patient, f"S{number}", f"{number}.nii", ""])
    (odd,) = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=16, workers=1).odd
    assert odd.startswith("patients P05_pre, P05_post; P06_t1, P06_t2 differ by what may be a visit alone")


def test_ids_of_letters_that_are_no_digits_do_not_look_alike():
    sites = [f"{site}{number:02}" for site in "ABSZOI" for number in range(1, 30)]
    assert look_alike([*sites, *(f"P{number}" for number in range(200)), "A5", "AC", "A6", "AG"]) == []
