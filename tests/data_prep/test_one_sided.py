"""Properties of files that tell scans with lesion from those without are told, and chance is not."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scans import LPS, prepare, save, scan_arrays
from stores import scan

from data_prep.oddities.one_sided import one_sided, taken_otherwise

PLAIN = {"shape": [200, 180, 24], "spacing": [0.9, 0.9, 4.0], "axes": "LPS", "tilt": 0.0, "lowest": 0.0}
WRITTEN = {
    "kind": "NIfTI",
    "numbers": "int16",
    "scaling": "as stored",
    "codes": "sform 1, qform 1",
    "unit": "mm",
}
TAKEN = {"orientation": "sform and qform", "nan": 0, "padding": None}


def facts(ill: list[dict], free: list[dict]) -> list:
    """Scans of an index alone: with lesion, then without, each with what its mri differs in."""
    found = []
    for number, changed in enumerate([*ill, *free]):
        own = {key: changed.get(key, value) for key, value in PLAIN.items()}
        written = WRITTEN | {key: changed[key] for key in WRITTEN if key in changed}
        own["written"] = {key: word for key, word in written.items() if word is not None}
        placement = {"inputs": {"mri": own}, "absent": {"mri": 0.0}}
        placement["coverage"] = {"mri": changed.get("coverage", 1.0)}
        placement["values"] = {"mri": {name: changed.get(name, value) for name, value in TAKEN.items()}}
        placement["outside"] = {"mri": changed.get("outside", [])}
        found.append(replace(scan(f"p{number}", (0, 4 * (number < len(ill)))), placement=placement))
    return found


def told(ill: list[dict], free: list[dict]) -> str:
    texts = [odd.text for odd in one_sided(facts(ill, free), ["mri"])]
    assert len(texts) <= 1
    return "".join(texts)


CHANGES = {
    "pixels in mm at least 1.8": {"spacing": [1.8, 1.8, 4.0], "shape": [100, 90, 24]},
    "distance of slices in mm at least 8": {"spacing": [0.9, 0.9, 8.0], "shape": [200, 180, 12]},
    "extent from left to right in mm at least 360": {"shape": [400, 180, 24]},
    "extent from front to back in mm at least 360": {"shape": [200, 400, 24]},
    "extent from foot to head in mm at least 192": {"shape": [200, 180, 48]},
    "tilt in degrees at least 12": {"tilt": 12.0},
    "share of the lowest value at least 0.4": {"lowest": 0.4},
    "axes of the file LPS": {"axes": "RAS"},
    "kind of file Analyze": {"kind": "Analyze"},
    "number type float32": {"numbers": "float32"},
    "scaling of values as stored": {"scaling": "scaled"},
    "codes of orientation sform 1, qform 1": {"codes": "sform 4, qform 1"},
    "unit of lengths not stated": {"unit": "unknown"},
}


@pytest.mark.parametrize("text", CHANGES)
def test_what_all_scans_with_lesion_have_and_no_other_is_told(text):
    found = told([CHANGES[text]] * 5, [{}] * 7)
    kept = "0 of 5 with lesion, 7 of 7 without" if text.split()[-1] in ("LPS", "stored", "mm", "1") else None
    assert f"{text} in {kept or '5 of 5 with lesion, 0 of 7 without'}" in found
    assert text in told([{}] * 5, [CHANGES[text]] * 7)


def test_files_of_a_kind_without_a_unit_state_none_as_nifti_files_that_leave_it_out():
    """Analyze files alone were said to state no unit, where the NIfTI files of the others stated none either."""
    analyze = {"kind": "Analyze", "unit": None}
    assert "unit of lengths" not in told([analyze] * 5, [{"unit": "unknown"}] * 7)
    assert "unit of lengths not stated in 5 of 5 with lesion, 0 of 7 without" in told([analyze] * 5, [{}] * 7)
    assert "unit of lengths" not in told([{"kind": "DICOM", "unit": None}] * 5, [{}] * 7)


def test_less_coverage_of_most_scans_without_lesion_is_told():
    """Most scans have it, so that none differs from the cohort's median."""
    found = told([{}] * 6, [{"coverage": 0.71}] * 10 + [{}])
    assert "share of the grid covered at least 1 in 6 of 6 with lesion, 1 of 11 without" in found


def test_a_difference_that_chance_can_give_is_not_told():
    fine = {"spacing": [0.5, 0.5, 4.0]}
    assert told([fine] * 3, [{}] * 3) == ""  # 2 of the 20 ways to part 3 from 3: p = 0.1
    assert told([fine] * 4, [{}] * 4) != ""  # 2 of 70
    assert told([fine] * 2, [{}] * 12) != "" and told([fine], [{}] * 12) == ""  # 1 of 91, 1 of 13
    assert told([fine] * 7 + [{}] * 3, [fine] * 3 + [{}] * 7) == ""  # 70 % against 30 %
    assert told([fine] * 5, []) == "" and told([], [fine] * 5) == ""
    assert told([fine] * 15 + [{}] * 5, [{}] * 20) != "" and told([fine] * 14 + [{}] * 6, [{}] * 20) == ""
    word = {"numbers": "float32"}  # 1 of 21 ways to part 2 from 5, of 18 to part 1 from 17
    assert told([word] * 2, [{}] * 5) != "" and told([word], [{}] * 17) == ""


def test_what_was_tried_besides_makes_chance_likelier():
    """Of 3 against 4 scans 1 of 35 choices parts them so, of 3 against 5 1 of 56: of three words one of two is asked
    for half of 0.05, and so it is where another property varies and the word does not part all scans."""
    single, byte = {"numbers": "float32"}, {"numbers": "uint8"}
    assert told([single] * 3, [{}] * 2 + [byte] * 2) == "" != told([single] * 3, [{}] * 3 + [byte] * 2)
    other = {"axes": "RAS"}
    assert "number type" in told([single] * 4 + [{}], [{}] * 4)
    assert told([single | other, single, single | other, single, {}], [other, {}, other, {}]) == ""


def test_numbers_are_compared_by_three_digits():
    assert "pixels in mm at least 0.901 in 5" in told([{"spacing": [0.901, 0.901, 4.0]}] * 5, [{}] * 7)
    assert told([{"spacing": [0.9004, 0.9004, 4.0]}] * 5, [{}] * 7) == ""


DICOM = {"kind": "DICOM", "orientation": "DICOM"}
WAYS = {
    "is placed by its sform alone": {"orientation": "sform"},
    "is placed by its qform alone": {"orientation": "qform"},
    "is read from DICOM": DICOM,
    "held NaN": {"nan": 7},
    "had a value that stands for nothing": {"padding": {"value": -1024.0, "voxels": 9, "filled": True}},
    "does not show all slices": {"outside": [0, 1]},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_way_of_taking_files_is_told_from_half_on_however_few_the_scans(way):
    """1 of 2 against 0 of 2, which chance gives as well; 3 of 7 against 0 of 7 is less than half."""

    def told_ways(ill, free):
        return [odd.text for odd in taken_otherwise(facts(ill, free), ["mri"])]

    told_of = (
        f"mri {way} in 1 of 2 scans with lesion and in 0 of 2 without: a model could tell them apart by it"
    )
    assert told_ways([WAYS[way], {}], [{}, {}]) == [told_of]
    assert told_ways([WAYS[way]] * 3 + [{}] * 4, [{}] * 7) == []
    assert told_ways([WAYS[way]] * 4, []) == told_ways([], [WAYS[way]] * 4) == []


def test_what_is_told_of_the_way_is_not_told_again_as_a_word():
    """The kind of file says the same; where it parts other scans, it says more."""
    assert told([DICOM] * 5, [{}] * 7) == ""
    qform = {"orientation": "qform", "codes": "sform 0, qform 1"}
    assert told([qform] * 5, [{}] * 7) == "" and told([{}] * 5, [qform] * 7) == ""
    found = told([DICOM] * 4 + [{"kind": "Analyze"}] * 2, [{}] * 7)
    assert "kind of file NIfTI in 0 of 6 with lesion, 7 of 7 without" in found
    assert "axes of the file LPS" in told([DICOM | {"axes": "RAS"}] * 5, [{}] * 7)


def test_scanners_that_differ_by_chance_are_seldom_told():
    """Each scan has an extent and a resolution of its own: 40 cohorts of 20 scans, at most 1 in 20 of them."""
    rng = np.random.default_rng(0)
    count = 0
    for _ in range(40):
        scans = [
            {
                "shape": [*map(int, rng.integers(100, 300, 3))],
                "spacing": [*rng.uniform(0.5, 5, 3)],
                "lowest": rng.random(),
            }
            for _ in range(20)
        ]
        count += told(scans[:8], scans[8:]) != ""
    assert count <= 2


def test_half_the_resolution_in_scans_with_lesion_alone_is_told_by_prepare(tmp_path):
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(8):
        _, mri, mask = scan_arrays(number)
        ill = number % 2 == 1
        affine = LPS @ np.diag([2.0, 2.0, 1.0, 1.0]) if ill else LPS
        step = 2 if ill else 1
        for name, data in (("mri", mri), ("mask", mask)):
            nib.Nifti1Image(data[::step, ::step], affine).to_filename(tmp_path / f"{number}-{name}.nii")
        rows.append([f"P{number}", f"S{number}", f"{number}-mri.nii", f"{number}-mask.nii" if ill else ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=16, workers=1)
    texts = [
        text for text in store.odd if "pixels in mm at least 2 in 4 of 4 with lesion, 0 of 4 without" in text
    ]
    assert len(texts) == 1 and texts[0].startswith(
        "mri files differ between scans with lesion and those without"
    )
