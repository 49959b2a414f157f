"""Codes of sform and qform that say that the modalities of a scan lie in different spaces are told."""

from dataclasses import replace

import nibabel as nib
import numpy as np
from scans import LPS, cohort, prepare
from stores import scan

from data_prep.oddities.taken import odd_codes

ASK = "as their headers say: do they lie on one another?"
SCANNER, ALIGNED, MNI = (
    "in the scanner's space (code 1)",
    "in that of another image that it was aligned to (code 2)",
    "in MNI's template (code 4)",
)


def told(*codes: tuple[str, str]) -> list[tuple]:
    """Of scans of an index alone, pet and mri of these codes (sform, qform); a code of "" is that of DICOM."""
    scans = []
    for number, each in enumerate(codes):
        written = [{"codes": f"sform {code[0]}, qform {code[1]}"} if code else {} for code in each]
        inputs = {name: {"written": own} for name, own in zip(("pet", "mri"), written, strict=True)}
        scans.append(replace(scan(f"p{number}", (0, 4)), placement={"inputs": inputs}))
    return [(odd.scan_id, odd.text, odd.refused) for odd in odd_codes(scans, ["pet", "mri"])]


def test_a_modality_in_a_template_and_another_in_none_is_told():
    expected = f"pet lies {SCANNER}, mri lies {MNI}, {ASK}"
    assert told(("11", "11"), ("11", "41")) == [("p1_a", expected, False)]
    assert told(("01", "40")) == [("p0_a", expected, False)]  # the sform's code where there is one
    assert told(("", "40")) == [] and told(("", "")) == []  # DICOM has no codes


def test_every_code_from_3_on_is_a_template():
    for code, name in ((2, None), (3, "Talairach's template"), (5, "a template")):
        expected = f"pet lies {SCANNER}, mri lies in {name} (code {code}), {ASK}"
        assert told(("11", "11"), ("11", f"{code}1")) == ([("p1_a", expected, False)] if name else [])


def test_what_all_scans_have_is_told_once():
    assert told(*[("11", "41")] * 3) == [
        (None, f"in all scans pet lies {SCANNER}, mri lies {MNI}, {ASK}", False)
    ]


def test_a_scan_of_two_spaces_is_told_where_most_have_one():
    odd = ("p4_a", f"pet lies {SCANNER}, mri lies {ALIGNED}, {ASK}", False)
    assert told(*[("11", "01")] * 4, ("11", "20")) == [odd]
    assert told(*[("11", "20")] * 5) == []  # one program wrote all PET, another all MRI
    assert told(*[("11", "11")] * 3, *[("22", "22")] * 2) == []
    assert told(*[("11", "11")] * 3, ("11", "20")) == []  # of few scans none is compared


def test_a_scan_in_a_template_is_told_where_most_lie_in_none():
    text = f"pet lies {MNI}, mri lies {MNI} by its header; most scans lie in no template"
    assert told(*[("11", "11")] * 4, ("40", "40")) == [("p4_a", text, False)]
    assert told(*[("40", "40")] * 5) == []


def test_prepare_tells_a_code_of_mni(tmp_path):
    manifest = cohort(tmp_path, 2)
    file = tmp_path / "s1" / "mri.nii.gz"
    image = nib.load(file)
    changed = nib.Nifti1Image(np.asarray(image.dataobj), LPS)
    changed.set_sform(LPS, code=4)
    changed.to_filename(file)
    store = prepare(manifest, tmp_path / "s.zarr", size=16, workers=1)
    expected = f"scan S1: pet lies {SCANNER}, mri lies {MNI}, {ASK}"
    assert [text for text in store.odd if "template" in text] == [expected]
