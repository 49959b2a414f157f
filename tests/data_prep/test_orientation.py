"""What states its orientation rules: masks never decide how images lie; sform and qform agree or are refused."""

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations
from scans import LPS, analyze, change, place, prepare, refused, save, scan_arrays, volume, write

from data_prep.files.read import read_grid, read_volume
from hnscc.base.errors import InputError

SHAPE = (16, 20, 6)


def turned(data: np.ndarray, axes: str) -> tuple[np.ndarray, np.ndarray]:
    """The same head (its LPS data) as a file of other axes: values and affine."""
    turn = orientations.ornt_transform(orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(axes))
    return orientations.apply_orientation(data, turn), LPS @ orientations.inv_ornt_aff(turn, data.shape)


def heads(folder, axes: str, masks: str, scans: int = 6):
    """PET and MRI as NIfTI, stored as `axes`; every other scan has a mask, an Analyze pair or a NIfTI file."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(scans):
        pet, mri, _ = scan_arrays(number, SHAPE)
        mask = np.zeros(SHAPE, np.uint8)
        mask[3:6, 12:16, 1:4] = 1
        scan = folder / f"s{number}"
        for name, data in (("pet", pet), ("mri", mri)):
            write(scan / f"{name}.nii.gz", *turned(data, axes))
        data, affine = turned(mask, axes)
        spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0))
        if masks == "analyze":
            analyze(scan / "mask.hdr", data, spacing)
        else:
            write(scan / "mask.nii", data, affine)
        cell = f"s{number}/mask.{'hdr' if masks == 'analyze' else 'nii'}" if number % 2 == 0 else ""
        rows.append([f"P{number}", f"S{number}", f"s{number}/pet.nii.gz", f"s{number}/mri.nii.gz", cell])
    return save(folder, rows), mask


@pytest.mark.quick(2)
@pytest.mark.parametrize("masks", ["analyze", "nifti"])
@pytest.mark.parametrize("axes", ["LPS", "RAS", "LAS", "PIR", "SRA"])
def test_a_mask_does_not_decide_how_images_lie(tmp_path, axes, masks):
    """With an Analyze mask or without, every scan is stored with rows to posterior, columns to the left."""
    manifest, mask = heads(tmp_path, axes, masks)
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1)
    for number, scan in enumerate(store.scans):
        pet, mri, _ = scan_arrays(number, SHAPE)
        images, stored = store.read(scan.scan_id)
        np.testing.assert_allclose(images[:, 0, :, 2:18], pet.transpose(2, 1, 0), rtol=1e-6)
        np.testing.assert_allclose(images[:, 1, :, 2:18], mri.transpose(2, 1, 0), rtol=1e-6)
        expected = mask.transpose(2, 1, 0) * (number % 2 == 0)
        np.testing.assert_array_equal(stored[:, :, 2:18], expected)
        assumed = ["mask"] if masks == "analyze" and number % 2 == 0 else []
        assert scan.placement["assumed"] == assumed
    told = [text for text in store.odd if "states no orientation in 3 of 3 scans" in text]
    assert len(told) == (masks == "analyze") and all("voxel by voxel in file order" in text for text in told)


def test_a_mask_a_little_off_leaves_the_image_bit_for_bit(tmp_path):
    """A mask 0.03 voxels off lies on the image's grid; the image is stored as in a scan without a mask."""
    manifest, _ = heads(tmp_path, "LPS", "nifti", scans=2)
    image = nib.load(tmp_path / "s0" / "mask.nii")
    moved = image.affine.copy()
    moved[:2, 3] += 0.03
    write(tmp_path / "s0" / "mask.nii", np.asarray(image.dataobj), moved)
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1)
    np.testing.assert_array_equal(
        store.read("S0")[0][:, 1, :, 2:18], scan_arrays(0, SHAPE)[1].transpose(2, 1, 0)
    )


def test_images_that_lie_as_their_mask_says_are_refused_beside_others_without(tmp_path):
    """Analyze images whose orientation only the mask states: scans with lesion would be turned, the others not."""
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(4):
        _, mri, mask = scan_arrays(number)
        analyze(tmp_path / f"{number}.hdr", mri, (1.0, 1.0, 3.0))
        write(tmp_path / f"{number}.nii", mask)
        rows.append([f"P{number}", f"S{number}", f"{number}.hdr", f"{number}.nii" if number % 2 else ""])
    manifest = save(tmp_path, rows)
    refused(
        manifest, "mri states no orientation", "as mask (2 of 2 with lesion, 0 of 2 without)", "--accept-odd"
    )
    store = prepare(manifest, tmp_path / "s.zarr", size=16, workers=1, accept_odd="all are stored LPS")
    assert store.odd[-1] == "accepted as it is, with the reason: all are stored LPS"
    for number in (1, 3):
        rows[number + 1][3] = ""
    alike = prepare(save(tmp_path, rows), tmp_path / "alike.zarr", size=16, workers=1)
    assert alike.odd == ("mri states no orientation in any scan; assumed: Analyze's default axes",)


def test_analyze_images_lie_as_another_modality_says(tmp_path):
    """Not as Analyze's default: the MRI of the same shape and spacing states how it lies."""
    pet, mri, mask = scan_arrays()
    data, affine = turned(mri, "RAS")
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"], ["P", "S", "pet.hdr", "mri.nii", "mask.hdr"]]
    analyze(tmp_path / "pet.hdr", turned(pet, "RAS")[0], (1.0, 1.0, 3.0))
    analyze(tmp_path / "mask.hdr", turned(mask, "RAS")[0], (1.0, 1.0, 3.0))
    write(tmp_path / "mri.nii", data, affine)
    for reference in ("pet", "mri"):
        store = prepare(
            save(tmp_path, rows), tmp_path / "s.zarr", size=20, workers=1, reference=reference, overwrite=True
        )
        images, stored = store.read("S")
        np.testing.assert_allclose(images[:, 0, 2:18], pet.transpose(2, 1, 0), rtol=1e-6)
        np.testing.assert_allclose(images[:, 1, 2:18], mri.transpose(2, 1, 0), rtol=1e-6)
        np.testing.assert_array_equal(stored[:, 2:18], mask.transpose(2, 1, 0))
        assert store.scans[0].placement["values"]["pet"]["orientation"] == "as mri"


@pytest.mark.parametrize("also", ["mask", "none"])
def test_a_reference_without_a_place_is_named_where_other_modalities_state_theirs(tmp_path, also):
    """PET was blamed for not covering MRI, which lay by Analyze's default: or lay on it anyhow, where it did cover."""
    pet, mri, mask = scan_arrays()
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"], ["P", "S", "pet.nii", "mri.hdr", "mask.hdr"]]
    rows[1][4] = "mask.hdr" if also == "mask" else ""
    analyze(tmp_path / "mask.hdr", mask, (1.0, 1.0, 3.0))
    for far in (0, 300):
        affine = np.diag([-2.0, -2.0, 3.0, 1.0])
        affine[:3, 3] = far
        write(tmp_path / "pet.nii", pet[::2, ::2], affine)
        analyze(tmp_path / "mri.hdr", mri, (1.0, 1.0, 3.0))
        rows[1][3] = "mri.hdr"
        refused(
            save(tmp_path, rows),
            "row 2, scan S, column mri",
            "The volume does not say where it lies (Analyze), so that pet cannot be laid on it.",
            "Give mri as NIfTI with its place",
            reference="mri",
        )
    write(tmp_path / "pet.nii", pet[::2, ::2], np.diag([2.0, 2.0, 1.0, 1.0]) @ LPS)
    write(tmp_path / "mri.nii", mri)
    rows[1][3] = "mri.nii"
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=16, workers=1, reference="mri")
    assert store.scans[0].has_lesion == (also == "mask")


def twice_placed(path, move=(0.0, 0.0, 0.0), turn: float = 0.0) -> None:
    """A NIfTI file whose qform lies elsewhere than its sform."""
    image = nib.Nifti1Image(np.random.default_rng(0).random((8, 9, 5), np.float32), LPS)
    image.set_sform(LPS, code=1)
    angle = np.radians(turn)
    around = np.eye(4)
    around[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    qform = around @ LPS
    qform[:3, 3] += move
    image.set_qform(qform, code=1)
    image.to_filename(path)


@pytest.mark.parametrize(
    "how, words",
    [
        ({"move": (20, 0, 0)}, ["(0, 0, 0) mm by sform", "(20, 0, 0) mm by qform", "20 voxels apart"]),
        ({"move": (0, 0, -1.5)}, ["(0, 0, 0) mm by sform", "(0, 0, -1.5) mm by qform", "1.5 voxels apart"]),
        ({"turn": 30}, ["by sform", "by qform", "voxels apart"]),
    ],
)
def test_sform_and_qform_that_disagree_are_refused_with_both_origins(tmp_path, how, words):
    """Moved by 20 mm, by 1.5 mm along the slices, or turned about one origin."""
    twice_placed(tmp_path / "a.nii.gz", **how)
    for read in (read_grid, read_volume):
        with pytest.raises(InputError, match="disagree") as caught:
            read(tmp_path / "a.nii.gz", "manifest row 2, scan S, column pet")
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert "row 2" in str(caught.value) and str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("codes", [(1, 0), (1, 1), (0, 1)], ids=["sform alone", "both", "qform alone"])
@pytest.mark.parametrize("field", ["srow_x", "qoffset_x"])
def test_a_form_that_holds_nan_is_refused_as_that_where_it_counts(tmp_path, field, codes):
    """By both it was said to lie "nan voxels apart", by the sform alone to be a singular matrix."""
    image = nib.Nifti1Image(np.zeros((8, 9, 5), np.float32), LPS)
    image.set_sform(LPS, code=codes[0])
    image.set_qform(LPS, code=codes[1])
    header, form = image.header.copy(), field.replace("srow_x", "sform").replace("qoffset_x", "qform")
    header[field] = [np.nan, 0, 0, 0] if form == "sform" else np.nan
    header.set_data_offset(352)
    content = header.binaryblock + bytes(4) + bytes(4 * 8 * 9 * 5)
    (tmp_path / "a.nii").write_bytes(content)
    if not codes[form == "qform"]:
        assert np.array_equal(read_grid(tmp_path / "a.nii", "S").affine, LPS)
        return
    with pytest.raises(InputError, match=f"The {form} of the volume holds what is no number") as caught:
        read_grid(tmp_path / "a.nii", "S")
    assert "NaN or infinity in 1 of 16" in str(caught.value) and "voxels apart" not in str(caught.value)


def test_sform_and_qform_within_a_voxel_are_taken_by_the_sform(tmp_path):
    twice_placed(tmp_path / "a.nii", move=(0.4, 0, 0))
    grid = read_grid(tmp_path / "a.nii", "S")
    assert grid.stated_by == "sform and qform"
    np.testing.assert_array_equal(grid.affine, LPS)


@pytest.mark.parametrize("form", ["sform", "qform"])
def test_one_form_alone_is_taken(tmp_path, form):
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.float32), LPS)
    image.set_sform(LPS if form == "sform" else np.eye(4), code=int(form == "sform"))
    image.set_qform(LPS if form == "qform" else np.eye(4), code=int(form == "qform"))
    image.to_filename(tmp_path / "a.nii")
    grid = read_grid(tmp_path / "a.nii", "S")
    assert grid.stated_by == form
    np.testing.assert_allclose(grid.affine, LPS, atol=1e-6)


@pytest.mark.parametrize("unit", ["meter", "micron"])
def test_lengths_in_another_unit_than_mm_are_refused(tmp_path, unit):
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.float32), LPS)
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / "a.nii")
    with pytest.raises(InputError, match=unit):
        read_grid(tmp_path / "a.nii", "S")


def spm_pair(path, data, affine) -> None:
    """An Analyze pair as SPM writes it: how it lies stands in a .mat beside it."""
    nib.Spm99AnalyzeImage(data, affine).to_filename(path)


@pytest.mark.quick(2)
@pytest.mark.parametrize("axes", ["RAS", "LAS", "LPS", "PIR"])
def test_a_mask_lies_as_the_mat_of_spm_beside_it_says(tmp_path, axes):
    """In file order it would be mirrored in the scans whose mask has other axes than the images."""
    manifest, mask = heads(tmp_path, "LPS", "nifti")
    spm_pair(tmp_path / "s2" / "mask.img", *turned(mask, axes))
    change(manifest, 4, "mask", "s2/mask.img")
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1)
    np.testing.assert_array_equal(store.read("S2")[1][:, :, 2:18], mask.transpose(2, 1, 0))
    assert store.scans[2].placement["lesion"]["orientation"] == "SPM's .mat"
    assert store.scans[2].placement["assumed"] == [] and "orientation" not in " ".join(store.odd)


def test_a_mat_that_contradicts_the_header_is_refused(tmp_path):
    manifest, mask = heads(tmp_path, "LPS", "nifti")
    spm_pair(tmp_path / "s2" / "mask.img", mask, LPS)
    content = bytearray((tmp_path / "s2" / "mask.hdr").read_bytes())
    content[80:92] = np.array([2, 2, 3], "<f4").tobytes()  # pixdim[1:4]
    (tmp_path / "s2" / "mask.hdr").write_bytes(content)
    change(manifest, 4, "mask", "s2/mask.img")
    refused(manifest, "row 4", "SPM's .mat and the header's voxel sizes", "2 x 2 x 3 mm by pixdim")


def test_an_orientation_in_an_analyze_header_is_named_and_not_used(tmp_path):
    manifest, mask = heads(tmp_path, "LPS", "analyze")
    content = bytearray((tmp_path / "s2" / "mask.hdr").read_bytes())
    content[252] = 3
    (tmp_path / "s2" / "mask.hdr").write_bytes(content)
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1)
    (text,) = [text for text in store.odd if "hist.orient" in text]
    assert text.startswith(
        "scan S2: the Analyze header of the mask says hist.orient 3 (transverse, flipped), which is not"
    )
    np.testing.assert_array_equal(store.read("S2")[1][:, :, 2:18], mask.transpose(2, 1, 0))


def test_columns_exchanged_in_one_row_are_blamed_on_it_alone(tmp_path):
    """Its mask is on what stands under pet; PET of 16 voxels of 4 mm does not cover the grid of MRI."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(5):
        pet, mri, _ = scan_arrays(number, SHAPE)
        scan = tmp_path / f"s{number}"
        coarse = np.diag([-4.0, -4.0, 4.0, 1.0])
        coarse[:3, 3] = (16, 10, -4)
        write(scan / "pet.nii", pet, coarse)
        write(scan / "mri.nii", mri)
        lesion = np.zeros(SHAPE, np.uint8)
        lesion[4:12, 5:13, 1:5] = 1
        write(scan / "mask.nii", lesion)
        cells = [f"s{number}/{name}.nii" for name in (("mri", "pet") if number == 0 else ("pet", "mri"))]
        rows.append([f"P{number}", f"S{number}", *cells, f"s{number}/mask.nii"])
    text = refused(
        save(tmp_path, rows),
        "row 2, scan S0, column pet",
        "Look whether the columns pet and mri were exchanged in that row",
        "of the grid of pet lies within that of mri",
        size=20,
    )
    assert "--reference" not in text, "the other rows would refuse it"
    assert not any(f"row {row}" in text for row in range(3, 7))


@pytest.mark.parametrize("column", ["ct", "pet", "mask"])
def test_of_three_modalities_and_a_mask_the_one_that_fits_nowhere_is_named_alone(column):
    """For a day the error named the columns before it, too."""
    fits, fits_not = (np.full(shape, 1, np.float32) for shape in ((6, 6, 4), (5, 6, 4)))
    given = {
        name: volume(fits_not if name == column else fits, oriented=name == "mri")
        for name in ("mri", "ct", "pet", "mask")
    }
    with pytest.raises(InputError, match=r"[Oo]ff the grid|not on the grid|another grid") as caught:
        place(given, given.pop("mask"), scan="row 2, scan S")
    assert caught.value.where == f"row 2, scan S, column {column}"
