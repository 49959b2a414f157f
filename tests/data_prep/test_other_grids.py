"""Masks drawn on the grid of another modality than the reference are brought to it by area."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import LPS, analyze, cohort, dice, place, prepare, refused, scan_arrays, to_itk, volume, write
from scipy.spatial.transform import Rotation

from data_prep.masks.lesions import covered, lesion_on
from data_prep.volumes.volume import Grid, Volume
from hnscc.base.errors import InputError


def finer_pet(folder, number: int, mask: np.ndarray) -> None:
    """PET and its mask on voxels of 0.5 x 0.5 x 1.5 mm in the very place of the MRI's."""
    fine = np.diag([-0.5, -0.5, 1.5, 1.0])
    fine[:3, 3] = (0.25, 0.25, -0.75)
    data = scan_arrays(number, tuple(2 * side for side in mask.shape))[0]
    write(folder / f"s{number}" / "pet.nii.gz", data, fine)
    write(folder / f"s{number}" / "mask.nii.gz", mask.repeat(2, 0).repeat(2, 1).repeat(2, 2), fine)


def test_masks_of_several_grids_are_brought_to_the_reference(tmp_path):
    """Drawn on the MRI in one scan, on its PET, whose voxels are an eighth, in another."""
    manifest = cohort(tmp_path, 4)
    finer_pet(tmp_path, 1, scan_arrays(1)[2])
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1, reference="mri")
    assert [scan.placement["lesion"]["drawn_on"] for scan in store.scans] == ["mri", "pet", "mri", None]
    for scan in store.scans[:3]:
        expected = scan_arrays()[2].transpose(2, 1, 0)
        np.testing.assert_array_equal(store.read(scan.scan_id)[1][:, 2:18], expected)
        assert scan.source_lesion_px == (0, 56, 56, 56, 0)
        assert scan.placement["lesion"]["ml"] == pytest.approx(168 * 3 / 1000)
    assert "masks are drawn 2 on mri, 1 on pet; all are brought to mri, by area" in store.odd
    chosen = prepare(manifest, tmp_path / "chosen.zarr", size=20, workers=1)
    assert chosen.placed["reference"] == "mri"  # the PET of the other scans is the coarser one
    assert chosen.digest == store.digest


def test_a_voxel_is_lesion_where_half_of_it_is_covered():
    """Along x, lesion of 1 mm voxels from 1.5 to 4 mm on voxels of 2 mm: 1/4 of the first, all of the second."""
    lesion = np.zeros((6, 2, 2))
    lesion[1, 0, :], lesion[2:4] = 1, 1
    fine = volume(lesion, np.diag([-1.0, -1, 1, 1]))
    coarse = Grid((3, 1, 1), np.diag([-2.0, -2, 2, 1]), True)
    coarse.affine[:3, 3] = (-0.5, -0.5, 0.5)
    np.testing.assert_allclose(covered(fine, coarse), [[[0.25, 1.0, 0.0]]])
    rng = np.random.default_rng(0)
    grid = np.diag([-2.0, -2, 2, 1])
    grid[:3, 3] = (-0.5, -0.5, 0.5)
    pet = volume(rng.random((3, 3, 3)), grid)
    mask = np.zeros((6, 6, 6))
    mask[2:4, 0:2, 0:2], mask[1, 0, 0:2], mask[2, 2:4, 0:2] = 1, 1, 1
    placed = place(
        {"pet": pet, "mri": volume(rng.random((6, 6, 6)), np.diag([-1.0, -1, 1, 1]))},
        volume(mask, np.diag([-1.0, -1, 1, 1])),
        reference="pet",
        size=3,
    )
    # 2 of 8 parts of the first voxel, all of the second, 4 of 8 of the one behind it.
    np.testing.assert_array_equal(placed.mask[0], [[0, 1, 0], [0, 1, 0], [0, 0, 0]])
    assert placed.source_lesion_px == (2, 0, 0)  # 0.25 + 1 + 0.5, rounded up


@given(
    factors=st.tuples(*[st.integers(1, 4)] * 3),
    shape=st.tuples(*[st.integers(1, 4)] * 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_shares_are_means_of_whole_voxels(factors, shape, seed):
    """SimpleITK's BinShrink of the mask, for any factors."""
    lesion = np.random.default_rng(seed).random(tuple(np.multiply(factors, shape))) > 0.5
    affine = np.diag([-1.1, -0.9, 1.3, 1.0])
    oracle = sitk.BinShrink(to_itk(lesion.astype(np.float32), affine), factors)
    coarse = affine @ np.diag([*map(float, factors), 1.0])
    coarse[:3, 3] = affine[:3, :3] @ ((np.array(factors) - 1) / 2)
    share = covered(volume(lesion, affine), Grid(shape, coarse, True))
    np.testing.assert_allclose(share, sitk.GetArrayFromImage(oracle), atol=1e-6)


@pytest.mark.parametrize("angle, spacing", [(7, 0.8), (25, 2.0), (25, 0.5), (40, 3.1)])
def test_tilted_grids_keep_the_lesion_where_it_is(angle, spacing):
    """A ball of 16 mm on voxels of 1 mm: its volume stays, and the distance from its middle tells the shares."""
    at = np.indices((40, 40, 40)) - 19.5
    ball = (at**2).sum(axis=0) <= 8**2
    fine = np.diag([-1.0, -1, 1, 1])
    fine[:3, 3] = (19.5, 19.5, -19.5)
    affine = np.eye(4)
    turn = Rotation.from_euler("zx", [angle, angle], degrees=True).as_matrix()
    affine[:3, :3] = np.diag([-1, -1, 1]) @ turn * spacing
    count = int(24 / spacing)
    affine[:3, 3] = -affine[:3, :3] @ np.full(3, (count - 1) / 2)
    share = covered(volume(ball, fine), Grid((count,) * 3, affine, True))
    assert share.sum() * spacing**3 == pytest.approx(ball.sum(), rel=0.03)
    away = spacing * np.sqrt(((np.indices((count,) * 3) - (count - 1) / 2) ** 2).sum(axis=0))
    half = spacing * np.sqrt(3) / 2 + 1
    assert (share[away < 8 - half] == 1).all() and (share[away > 8 + half] == 0).all()
    assert dice(share >= 0.5, away <= 8) > 0.9


@pytest.mark.parametrize("offset", [0.35, 0.65])
def test_a_lesion_keeps_its_volume_on_slices_tilted_by_one_degree(offset):
    """A slab of 6 slices, on slices as thick that lie `offset` of one beside them and are tilted by a degree about x.

    A plane at height h above the middle of a voxel whose edges it does not cross leaves a share of 0.5 + h below it.
    """
    slab = np.zeros((20, 20, 14))
    slab[:, :, 4:10] = 1
    tilt = np.radians(1)
    turned = np.diag([-1.0, -1, 1, 1])
    turned[:3, :3] = Rotation.from_euler("x", 1, degrees=True).as_matrix() @ turned[:3, :3]
    turned[:3, 3] = np.array([0, 0, 6.5 + offset]) - turned[:3, :3] @ [9.5, 9.5, 6.5]
    source = np.diag([-1.0, -1, 1, 1])
    source[:3, 3] = (9.5, 9.5, 0)
    share = covered(volume(slab, source), Grid((20, 20, 14), turned, True))
    slices, rows = np.meshgrid(np.arange(14) - 6.5, np.arange(20) - 9.5, indexing="ij")
    height = 6.5 + offset + slices * np.cos(tilt) - rows * np.sin(tilt)
    expected = np.clip(10 - height, 0, 1) - np.clip(4 - height, 0, 1)
    amid = share[:, 2:18, 2:18]
    assert np.abs(amid - expected[:, 2:18, None]).max() <= 0.11  # half of one of five parts, and the edges
    assert (amid >= 0.5).sum() == pytest.approx(6 * 16 * 16, rel=0.03)


def test_on_coarse_tilted_voxels_less_than_half_is_no_lesion():
    """Voxels of 3 mm, tilted by so little that it moves nothing, on a slab of which they hold 0.45 and 0.55 along z."""
    slab = np.zeros((12, 12, 12))
    slab[:, :, :6] = 1
    for share, expected in ((0.45, False), (0.55, True)):
        affine = np.diag([-3.0, -3, 3, 1])
        affine[:3, :3] = Rotation.from_euler("x", 1e-3, degrees=True).as_matrix() @ affine[:3, :3]
        affine[:3, 3] = (-1, -1, 5.5 + 3 * (0.5 - share))
        found = covered(volume(slab, np.diag([-1.0, -1, 1, 1])), Grid((4, 4, 1), affine, True))
        assert np.abs(found - share).max() <= 0.5 / 7
        assert ((found >= 0.5) == expected).all()


@pytest.mark.parametrize("shape", [(6, 5, 4), (6, 5, 1)])
def test_a_lesion_that_fills_its_volume_keeps_the_outer_halves_of_its_voxels(shape):
    """On a finer, tilted grid, as a prediction is brought to the grid of a mask: the whole of it, or one slice."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ Rotation.from_euler("x", 6, degrees=True).as_matrix()
    affine[:3, 3] = -affine[:3, :3] @ np.full(3, 11.5)
    coarse = np.diag([-3.0, -3, 3, 1])
    coarse[:3, 3] = -coarse[:3, :3] @ ((np.array(shape) - 1) / 2)
    share = covered(volume(np.ones(shape), coarse), Grid((24, 24, 24), affine, True))
    assert share.sum() == pytest.approx(27 * np.prod(shape), rel=0.01)
    assert (share >= 0.5).sum() == pytest.approx(27 * np.prod(shape), rel=0.1)


def test_an_analyze_mask_on_the_other_modality_takes_its_grid(tmp_path):
    manifest = cohort(tmp_path, 3)
    finer_pet(tmp_path, 1, scan_arrays(1)[2])
    mask = scan_arrays(1)[2].repeat(2, 0).repeat(2, 1).repeat(2, 2)
    analyze(tmp_path / "s1" / "mask.hdr", mask, (0.5, 0.5, 1.5))
    text = manifest.read_text().replace("s1/mask.nii.gz", "s1/mask.hdr")
    manifest.write_text(text)
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1, reference="mri")
    np.testing.assert_array_equal(store.read("S1")[1][:, 2:18], scan_arrays()[2].transpose(2, 1, 0))
    assert store.scans[1].placement["lesion"]["orientation"] == "as pet"


def two_grids(mask: np.ndarray):
    """An MRI of 6 x 6 x 6 voxels of 1 mm and a PET of 4 x 4 x 4 of 4 mm around it; a mask on the MRI."""
    rng = np.random.default_rng(0)
    coarse = np.diag([-4.0, -4, 4, 1])
    coarse[:3, 3] = (3.5, 3.5, -3.5)
    return {
        "pet": volume(rng.random((4, 4, 4)), coarse),
        "mri": volume(rng.random((6, 6, 6)), np.diag([-1.0, -1, 1, 1])),
    }, volume(mask, np.diag([-1.0, -1, 1, 1]))


def test_a_lesion_that_the_reference_loses_is_refused():
    mask = np.zeros((6, 6, 6))
    mask[2, 2, 2] = 1
    volumes, drawn = two_grids(mask)
    volumes["mri"] = volume(np.random.default_rng(1).random((6, 6, 6)), np.diag([-1.0, -1, 1, 1]))
    with pytest.raises(InputError, match="half of no voxel"):
        _on_pet(volumes, drawn)


def _on_pet(volumes, drawn):
    grids = {name: each.grid for name, each in volumes.items()}
    return lesion_on(drawn, grids, "pet", "row 2, scan S, column mask")


def test_a_lesion_outside_of_the_reference_is_refused():
    volumes, _ = two_grids(np.zeros((6, 6, 6)))
    mask = np.zeros((30, 6, 6))
    mask[24:28] = 1
    affine = np.diag([-1.0, -1, 1, 1])
    volumes["mri"] = volume(np.zeros((30, 6, 6)), affine)
    with pytest.raises(InputError, match="outside of the slices' grid"):
        _on_pet(volumes, Volume(mask.astype(np.float32), volumes["mri"].grid))


def test_a_mask_on_no_modality_is_refused(tmp_path):
    manifest = cohort(tmp_path, 3)
    off = LPS.copy()
    off[0, 3] += 0.5
    write(tmp_path / "s1" / "mask.nii.gz", scan_arrays(1)[2], off)
    for options in ({}, {"reference": "mri"}):
        refused(manifest, "row 3", "scan S1", "column mask", **options)
