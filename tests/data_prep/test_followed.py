"""What a refusal of `prepare` advises works when it is done, and does not lead to one that advises the opposite."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scans import analyze, change, cohort, prepare, refused, save, scan_arrays, write

SIZE = 16


def inner(shape: tuple[int, int, int]) -> np.ndarray:
    """The affine of a volume of 1 mm voxels and slices of 3 mm in the middle of one of 20 x 16 x 5 voxels."""
    affine = np.diag([-1.0, -1.0, 3.0, 1.0])
    affine[:3, 3] = (-4, -3, 0)
    return affine


def row(folder: Path, number: int, smaller: str, mask_on: str, within: bool = False) -> list[str]:
    """A scan in which one modality shows 8 x 8 of the 20 x 16 pixels of the other; the mask lies on `mask_on`, and
    where `within`, it is cut off where the smaller one ends."""
    scan = folder / f"s{number}"
    data = dict(zip(("pet", "mri", "mask"), scan_arrays(number), strict=True))
    if within:
        kept = np.zeros_like(data["mask"])
        kept[4:12, 3:11] = data["mask"][4:12, 3:11]
        data["mask"] = kept
    for name, values in data.items():
        small = name == smaller or (name == "mask" and mask_on == smaller)
        if small:
            write(scan / f"{name}.nii", values[4:12, 3:11], inner(values.shape))
        else:
            write(scan / f"{name}.nii", values)
    return [f"P{number}", f"S{number}", *(f"s{number}/{name}.nii" for name in data)]


def rows(folder: Path, smaller: list[str], mask_on: list[str] | None = None, within: bool = False) -> Path:
    """A cohort: of each scan, which modality shows less, and which one its mask is drawn on (that one unless said);
    within: no mask reaches beyond the smaller one."""
    pairs = enumerate(zip(smaller, mask_on or smaller, strict=True))
    made = (row(folder, number, *each, within) for number, each in pairs)
    return save(folder, [["patient_id", "scan_id", "pet", "mri", "mask"], *made])


def reference_in(text: str) -> str | None:
    """The reference that a refusal advises."""
    found = re.search(r"--reference (\w+)", text)
    return found[1] if found else None


def test_the_reference_that_is_advised_is_taken_by_every_scan(tmp_path):
    manifest = rows(tmp_path, ["pet"] * 3)
    text = refused(manifest, "The volume does not cover", reference="mri", size=SIZE)
    assert reference_in(text) == "pet"
    store = prepare(manifest, tmp_path / "s.zarr", reference="pet", size=SIZE, workers=1, accept_odd="noise")
    assert len(store.scans) == 3


def test_of_two_references_that_each_fail_neither_is_advised(tmp_path):
    """Each error advised the other: `--reference pet` is too small in one scan, `--reference mri` in another."""
    manifest = rows(tmp_path, ["pet", "pet", "mri"])
    faulty = {"mri": ("S0", "S1"), "pet": ("S2",)}
    for reference, scans in faulty.items():
        text = refused(manifest, *scans, reference=reference, size=SIZE)
        assert reference_in(text) is None and "take the scan out" in text
    left = save(tmp_path, [each.split(",") for each in manifest.read_text().splitlines()[:3]])
    store = prepare(left, tmp_path / "s.zarr", reference="pet", size=SIZE, workers=1, accept_odd="noise")
    assert [scan.scan_id for scan in store.scans] == ["S0", "S1"], "with the scan out, as it says"


def test_a_grid_that_would_cut_off_a_lesion_is_not_advised(tmp_path):
    """MRI shows less than PET; the mask of one scan is drawn on PET, and reaches beyond."""
    manifest = rows(tmp_path, ["mri", "mri"], ["mri", "pet"])
    assert reference_in(refused(manifest, "S0", reference="pet", size=SIZE)) is None


@pytest.mark.parametrize("ending", ["nii", "hdr"])
def test_a_grid_that_holds_lesions_drawn_on_another_one_is_advised(tmp_path, ending):
    """Every mask is drawn on PET, of which MRI shows less, but all lesions. The advice was to look whether PET and
    MRI had been exchanged, in every row; of masks that do not say how they lie (Analyze) longer than of others."""
    manifest = rows(tmp_path, ["mri"] * 3, ["pet"] * 3, within=True)
    for number in range(3 if ending == "hdr" else 0):
        folder = tmp_path / f"s{number}"
        analyze(folder / "mask.hdr", np.asanyarray(nib.load(folder / "mask.nii").dataobj), (1, 1, 3))
    manifest.write_text(manifest.read_text().replace("mask.nii", f"mask.{ending}"))
    text = refused(manifest, "The volume does not cover", "S0", "S2", size=SIZE)
    assert reference_in(text) == "mri" and "exchanged" not in text
    store = prepare(manifest, tmp_path / "s.zarr", reference="mri", size=SIZE, workers=1, accept_odd="noise")
    assert len(store.scans) == 3


def test_skewed_axes_do_not_send_from_one_modality_to_the_other(tmp_path):
    """Both are skewed: each error advised the reference that the other refuses."""
    manifest = cohort(tmp_path)
    skewed = np.diag([-1.0, -1.0, 3.0, 1.0])
    skewed[0, 1] = 0.4
    for name, values in zip(("pet", "mri"), scan_arrays(), strict=False):
        write(tmp_path / "s2" / f"{name}.nii.gz", values, skewed)
    for reference in ("pet", "mri"):
        assert "--reference" not in refused(manifest, "S2", "skewed", reference=reference)


def test_cropped_lesions_and_lost_ones_ask_for_more_pixels_alike(tmp_path):
    """One advised larger pixels, the other finer ones: whoever did so came back to the first."""
    manifest = cohort(tmp_path)
    text = refused(manifest, "lies outside of the stored slices", size=8, pixel_mm=0.4)
    assert "a larger --size, or without --pixel-mm" in text and "larger pixels" not in text
    for settings in ({"size": 64, "pixel_mm": 0.4}, {"size": 8}):
        name = f"{settings['size']}.zarr"
        assert prepare(manifest, tmp_path / name, workers=1, accept_odd="noise", **settings).scans


@pytest.mark.parametrize("values, labels", [((1, 2), True), ((0.25, 0.7), False)])
def test_a_label_is_asked_for_where_there_are_labels_alone(tmp_path, values, labels):
    """Of a mask of shares the column `roi` was asked for, which then is refused: a share is no label."""
    manifest = cohort(tmp_path)
    mask = scan_arrays()[2].astype(np.float32)
    mask[6:10] *= values[0]
    mask[10:14] *= values[1]
    write(tmp_path / "s1" / "mask.nii.gz", mask)
    text = refused(manifest, "The mask is not binary", "S1")
    assert ("`roi`" in text) == labels
    if labels:
        header, *below = manifest.read_text().splitlines()
        save(tmp_path, [f"{header},roi".split(","), *(f"{each},".split(",") for each in below)])
        change(manifest, 3, "roi", "label:2")
        assert prepare(manifest, tmp_path / "s.zarr", size=SIZE, workers=1, accept_odd="noise").scans
