"""Masks are kept as they were drawn, on their own grid, and what is marked on stored slices comes back to that grid;
an image is measured on its own voxels, whatever grid the lesion lies on."""

import nibabel as nib
import numpy as np
import pytest
from scans import LPS, cohort, prepare, scan_arrays, write

from data_prep.placing.way_back import back_as_drawn, lesion_back, own_voxels, save_nifti
from data_prep.volumes.volume import Grid, to_lps
from hnscc.cohort.store import verify_store
from hnscc.cohort.store_format import content_digest


def drawn_on_pet(folder, number: int, mask: np.ndarray, voxel: tuple[float, float, float]) -> None:
    """PET of these voxels where the MRI lies, whose voxels are 1 x 1 x 3 mm, and a mask (x, y, z) on it."""
    affine = LPS @ np.diag([voxel[0], voxel[1], voxel[2] / 3, 1.0])
    affine[:3, 3] = LPS[:3, :3] @ ((np.array([voxel[0], voxel[1], voxel[2] / 3]) - 1) / 2)
    write(folder / f"s{number}" / "pet.nii.gz", scan_arrays(number, mask.shape)[0], affine)
    write(folder / f"s{number}" / "mask.nii.gz", mask, affine)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Masks drawn on the MRI (S0), on a finer PET (S1), on a coarser one (S2), none (S3); slices of the MRI's voxels,
    two more on either side along y."""
    folder = tmp_path_factory.mktemp("drawn")
    cohort(folder, 4)
    mask = scan_arrays()[2]
    drawn_on_pet(folder, 1, mask.repeat(2, 0).repeat(2, 1).repeat(2, 2), (0.5, 0.5, 1.5))
    drawn_on_pet(folder, 2, mask[::2, ::2], (2, 2, 3))
    return folder


@pytest.fixture(scope="module")
def store(folder):
    return prepare(folder / "manifest.csv", folder / "s.zarr", size=20, workers=1, reference="mri")


def in_file(folder, number: int) -> np.ndarray:
    return np.asarray(nib.load(folder / f"s{number}" / "mask.nii.gz").dataobj)


def test_a_mask_is_kept_as_it_was_drawn(folder, store):
    """What any grid but the file's own would lose is kept too: single voxels of a finer one."""
    found = [store.read_drawn(f"S{number}") for number in range(4)]
    assert [each.on for each in found] == ["mri", "pet", "pet", None]
    assert [each.spacing_mm for each in found] == [(3, 1, 1), (1.5, 0.5, 0.5), (3, 2, 2), (3, 1, 1)]
    for number in range(3):
        np.testing.assert_array_equal(found[number].voxels.T, in_file(folder, number) == 1)
        np.testing.assert_allclose(
            found[number].affine, nib.load(folder / f"s{number}" / "mask.nii.gz").affine
        )
    assert found[3].voxels.shape == found[0].voxels.shape and not found[3].voxels.any()
    assert verify_store(store) == 20


def test_trainings_do_not_depend_on_what_is_kept(store):
    """The digest of a scan, from which those of folds and trials follow, is of images and stored mask alone."""
    for scan in store.scans:
        assert content_digest(*store.read(scan.scan_id)) == scan.digest


def test_axes_in_the_file_do_not_matter(tmp_path):
    """Sagittal slices from head to foot, turned by 12 degrees: each voxel stays where it was drawn, in mm."""
    manifest = cohort(tmp_path, 3)
    angle = np.radians(12)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = turn @ LPS[:, [1, 0, 2, 3]]
    mask = np.zeros((16, 20, 5), np.uint8)
    mask[3:6, 4:11, 1:3] = 1
    mask[5, 4, 2] = 0
    affine[:3, 3], affine[:3, 2] = affine[:3, 3] + 4 * affine[:3, 2], -affine[:3, 2]
    mri = scan_arrays(1)[1].transpose(1, 0, 2)
    write(tmp_path / "s1" / "mri.nii.gz", mri, affine)
    write(tmp_path / "s1" / "mask.nii.gz", mask, affine)
    drawn = prepare(manifest, tmp_path / "s.zarr", size=16, workers=1, reference="mri").read_drawn("S1")

    def places(voxels, affine):
        at = np.argwhere(voxels) @ np.array(affine)[:3, :3].T + np.array(affine)[:3, 3]
        return at[np.lexsort(np.round(at, 4).T)]

    np.testing.assert_allclose(places(drawn.voxels.T, drawn.affine), places(mask, affine), atol=1e-5)


def test_what_is_stored_comes_back_to_the_grid_of_the_mask(store):
    """Stored pixels are voxels of the MRI, and voxels of both PET are whole parts or whole numbers of these."""
    for number in range(3):
        scan, drawn = store.scans[number], store.read_drawn(f"S{number}")
        back = back_as_drawn(store.read(scan.scan_id)[1], scan.placement, drawn)
        np.testing.assert_array_equal(back, drawn.voxels)
    scan, drawn = store.scans[3], store.read_drawn("S3")
    marked = np.ones((5, 20, 20), bool)
    np.testing.assert_array_equal(
        back_as_drawn(marked, scan.placement, drawn), lesion_back(marked, scan.placement)
    )
    with pytest.raises(ValueError, match=r"stored slices, \(.*\), not \(.*; give"):
        back_as_drawn(marked[:4], scan.placement, drawn)


def test_a_voxel_of_the_mask_is_marked_where_half_of_it_is(store):
    """A voxel of the coarse PET is four pixels: one of them is too little, two suffice. On the finer one each is eight
    voxels. Pixels beside the grid, which starts at the third row, mark nothing."""
    marked = np.zeros((5, 20, 20), bool)
    marked[1, 4, 6], marked[2, 4:6, 8], marked[3, 0:2, 4] = True, True, True
    coarse = back_as_drawn(marked, store.scans[2].placement, store.read_drawn("S2"))
    assert np.argwhere(coarse).tolist() == [[2, 1, 4]]
    fine = back_as_drawn(marked, store.scans[1].placement, store.read_drawn("S1"))
    assert fine.sum() == 8 * 3 and fine[2:4, 4:6, 12:14].all() and fine[4:6, 4:8, 16:18].all()


def grid_of(shape, step, origin=(0.0, 0.0, 0.0), turn=None):
    """A grid that lies LPS in the axes of NIfTI; `origin` is where its first voxel lies."""
    affine = np.diag([-step[0], -step[1], step[2], 1.0])
    affine[:3, 3] = origin
    return Grid(shape, (np.eye(4) if turn is None else turn) @ affine, True)


def test_a_voxel_belongs_to_the_lesion_where_it_covers_half_of_it_by_hand():
    """Along x, voxels of 1 mm on voxels of 4 mm: the lesion covers 4 of the 4 parts of the second, 2 of the third."""
    fine, coarse = grid_of((16, 1, 1), (1, 1, 1)), grid_of((4, 1, 1), (4, 1, 1), (-1.5, 0, 0))
    lesion = np.zeros((1, 1, 16), bool)
    lesion[0, 0, 4:10] = True
    assert own_voxels(lesion, fine, coarse).ravel().tolist() == [False, True, True, False]
    lesion[0, 0, 9] = False
    assert own_voxels(lesion, fine, coarse).ravel().tolist() == [False, True, False, False]


def test_a_lesion_smaller_than_half_a_voxel_is_measured_where_most_of_it_lies():
    fine, coarse = grid_of((16, 1, 1), (1, 1, 1)), grid_of((4, 1, 1), (4, 1, 1), (-1.5, 0, 0))
    lesion = np.zeros((1, 1, 16), bool)
    lesion[0, 0, 9] = True
    assert own_voxels(lesion, fine, coarse).ravel().tolist() == [False, False, True, False]


def test_outside_of_the_image_there_is_nothing_and_an_empty_lesion_is_nowhere():
    fine, coarse = grid_of((16, 1, 1), (1, 1, 1)), grid_of((4, 1, 1), (4, 1, 1), (-101.5, 0, 0))
    lesion = np.zeros((1, 1, 16), bool)
    assert not own_voxels(lesion, fine, coarse).any()
    lesion[0, 0, 3] = True
    assert not own_voxels(lesion, fine, coarse).any()


@pytest.mark.parametrize("degrees", [0, 25])
def test_on_the_same_grid_a_lesion_is_itself(degrees):
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    grid = grid_of((9, 8, 7), (2.0, 1.5, 3.0), (5, 6, 7), turn)
    lesion = np.random.default_rng(0).random((7, 8, 9)) < 0.2
    assert (own_voxels(lesion, to_lps(grid), grid) == lesion).all()


@pytest.mark.parametrize("degrees", [0, 3])
def test_a_lesion_of_one_slice_is_measured_on_an_image_that_is_tilted_against_it(degrees):
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    own, image = grid_of((12, 12, 6), (4, 4, 4)), grid_of((12, 12, 6), (4, 4, 4), turn=turn)
    lesion = np.zeros((6, 12, 12), bool)
    lesion[2, 3:6, 4:9] = True
    assert (own_voxels(lesion, own, image) == lesion).all()


@pytest.mark.parametrize("shear, codes", [(0.0, (1, 1)), (0.0003, (1, 0))])
def test_a_written_mask_has_the_affine_of_the_scan_though_a_qform_holds_no_shear(tmp_path, shear, codes):
    """ITK tools may use the qform, and would lay the mask elsewhere than those that use the sform."""
    affine = LPS @ np.array([[2, 40 * shear, 0, 5], [0, 1.5, 0, -7], [0, 0, 1, 9], [0, 0, 0, 1]])
    mask = np.zeros((5, 16, 20), np.uint8)
    mask[1, 2, 3] = 1
    save_nifti(tmp_path / "m.nii.gz", mask, {"input_affine": affine.tolist(), "input_axes": "LPS"})
    written = nib.load(tmp_path / "m.nii.gz")
    np.testing.assert_allclose(written.affine, affine, atol=1e-6)
    assert tuple(int(written.header[f"{form}form_code"]) for form in "sq") == codes
    assert np.argwhere(written.dataobj).tolist() == [[3, 2, 1]]
    assert written.header.get_xyzt_units()[0] == "mm"
