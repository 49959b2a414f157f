"""Modalities that do not lie together: refused, or registered; a registration undoes what is known, or is refused."""

from dataclasses import replace

import numpy as np
import pytest
from dicom_drawn import contour, structures
from dicom_files import classic_series
from dicom_files import write as write_series
from moved import MOTIONS, middle, motion_of, move_file, moved, off_by, phantom_scan
from scans import place, prepare, refused, save, scan_arrays, sts, volume

from data_prep.files.read import read_volume
from data_prep.masks.drawn_on import goes_with
from data_prep.new_scans import list_scans, place_new
from data_prep.placing.way_back import to_input_grid
from data_prep.registering.judged import check_registration
from data_prep.registering.registered import laid_together
from data_prep.registering.similarity import mutual_information
from hnscc.base.errors import InputError

FILES = {"pet": "PET", "mri": "MR_T1"}
HEADER = ["patient_id", "scan_id", "pet", "mri", "mask"]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """The folder of a scan of the phantom."""
    return phantom_scan(tmp_path_factory.mktemp("phantom"))


@pytest.fixture(scope="module")
def pair(scan):
    """Its volumes."""
    return {name: read_volume(scan / f"{name}.nii.gz", "S") for name in ("pet", "mri")}


@pytest.mark.parametrize("name", MOTIONS)
def test_a_known_motion_is_undone(pair, name):
    """12 mm and 7 degrees, to within half a voxel of the PET (2 mm) and one degree; the reference stays as it is."""
    known = motion_of(name, middle(pair["mri"]))
    volumes = {"pet": moved(pair["pet"], known), "mri": pair["mri"]}
    laid, mask, facts = laid_together(volumes, None, "mri", "rigid", "S")
    found = np.array(facts["pet"]["motion"])
    mm, degrees = off_by(found, known, middle(pair["mri"]))
    assert mm < 2 and degrees < 1
    assert laid["mri"] is pair["mri"] and mask is None and list(facts) == ["pet"]
    np.testing.assert_allclose(laid["pet"].grid.affine, np.linalg.inv(found) @ volumes["pet"].grid.affine)
    shift, turn = off_by(found, np.eye(4), middle(pair["mri"]))
    assert facts["pet"]["shift_mm"] == pytest.approx(shift, abs=1.5), (
        "of the middle, up to a voxel of the copy"
    )
    assert facts["pet"]["turn_degrees"] == pytest.approx(turn, abs=1e-3)
    assert facts["pet"]["information_after"] > facts["pet"]["information_before"] + 0.1
    if name == "x":
        again = laid_together(volumes, None, "mri", "rigid", "S")
        assert again[2] == facts, "the same bits on every run"


def test_a_pair_that_lies_together_stays(pair):
    _, _, facts = laid_together(pair, None, "mri", "rigid", "S")
    assert facts["pet"]["motion"] == np.eye(4).tolist()
    assert facts["pet"]["information_before"] == facts["pet"]["information_after"] > 0.5


@pytest.mark.parametrize("patient", ["STS_017", "STS_003"])
def test_a_known_motion_of_a_real_pair_is_undone(patient):
    """As far as the registration can tell: from wherever it begins, it ends where it does without the motion."""
    folder = sts() / "nifti" / patient
    real = {name: read_volume(folder / f"{file}_image.nii.gz", "S") for name, file in FILES.items()}
    at = middle(real["mri"])
    without = np.array(laid_together(real, None, "mri", "rigid", "S")[2]["pet"]["motion"])
    known = motion_of("z", at)
    volumes = {"pet": moved(real["pet"], known), "mri": real["mri"]}
    found = np.array(laid_together(volumes, None, "mri", "rigid", "S")[2]["pet"]["motion"])
    mm, degrees = off_by(found, known @ without, at)
    assert mm < real["pet"].grid.spacing.min() / 2 and degrees < 1


def test_a_real_registration_that_ends_worse_than_it_began_is_refused():
    """Two thighs, cut out around a tumour: the search leaves the place where the files lie, and finds none as good."""
    folder = sts() / "nifti" / "STS_001"
    real = {name: read_volume(folder / f"{file}_image.nii.gz", "S") for name, file in FILES.items()}
    with pytest.raises(InputError, match="ended worse than it began") as caught:
        laid_together(real, None, "mri", "rigid", "row 2, scan S")
    assert caught.value.where == "row 2, scan S, column pet"


def facts(**changes):
    fine = {"to": "mri", "information_before": 0.4, "information_after": 0.6, "shift_mm": 12.0}
    return {**fine, "turn_degrees": 7.0, "covered": 1.0, **changes}


@pytest.mark.parametrize(
    "changes, problem, found",
    [
        ({"information_after": 0.39}, "ended worse than it began", "0.390 nats"),
        ({"shift_mm": 50.1}, "further than is plausible", "50.1 mm and 7.0 degrees"),
        ({"turn_degrees": 20.1}, "further than is plausible", "12.0 mm and 20.1 degrees"),
        ({"information_before": 0.0, "information_after": 0.04}, "next to nothing", "0.040 nats"),
    ],
)
def test_what_is_not_to_be_trusted_is_refused(changes, problem, found):
    check_registration(facts(), "scan S, column pet")
    with pytest.raises(InputError, match=problem) as caught:
        check_registration(facts(**changes), "scan S, column pet")
    assert caught.value.where == "scan S, column pet" and caught.value.found == found
    assert "take the scan out" in caught.value.do


def test_images_that_do_not_overlap_or_have_nothing_in_common_are_refused(pair):
    away = np.eye(4)
    away[0, 3] = 400
    with pytest.raises(InputError, match="do not overlap") as caught:
        laid_together({**pair, "pet": moved(pair["pet"], away)}, None, "mri", "rigid", "S")
    assert caught.value.where == "S, column pet"
    noise = volume(np.random.default_rng(0).random(pair["pet"].data.shape), pair["pet"].grid.affine)
    with pytest.raises(InputError, match=r"next to nothing|worse than it began|further than"):
        laid_together({**pair, "pet": noise}, None, "mri", "rigid", "S")


def test_an_image_that_shows_nothing_is_refused(pair):
    flat = volume(np.full(pair["pet"].data.shape, 3.0), pair["pet"].grid.affine)
    with pytest.raises(InputError, match="shows nothing"):
        laid_together({**pair, "pet": flat}, None, "mri", "rigid", "S")


def test_mutual_information_is_that_of_the_definition():
    """Of an image with itself its entropy; of independent ones none, whatever their number."""
    values = np.repeat(np.array([0.1, 0.5, 0.9, 0.9], np.float32), 25_000)
    entropy = -(0.25 * np.log(0.25) * 2 + 0.5 * np.log(0.5))
    assert mutual_information(values, values) == pytest.approx(entropy, abs=1e-3)
    assert mutual_information(values, 1 - values) == pytest.approx(entropy, abs=1e-3)
    rng = np.random.default_rng(0)
    for size in (3_000, 100_000):
        one, other = rng.random((2, size), np.float32)
        assert abs(mutual_information(one, other)) < 0.02


def manifest_of(scan, tmp_path, name="x", mask="none"):
    """A manifest of the scan, its PET moved; and the motion."""
    mri = read_volume(scan / "mri.nii.gz", "S")
    known = motion_of(name, middle(mri))
    move_file(scan / "pet.nii.gz", tmp_path / "pet.nii.gz", known)
    (tmp_path / "mri.nii.gz").symlink_to(scan / "mri.nii.gz")
    return save(tmp_path, [HEADER, ["P", "S", "pet.nii.gz", "mri.nii.gz", mask]]), known


def test_the_store_and_new_scans_are_registered_alike_and_to_the_same_bits(scan, tmp_path):
    """As predict asks for them: by the placing that the store tells, which a run folder keeps."""
    manifest, _ = manifest_of(scan, tmp_path)
    plain = prepare(manifest, tmp_path / "plain.zarr", size=64, workers=1, reference="mri")
    store = prepare(manifest, tmp_path / "s.zarr", size=64, workers=1, reference="mri", register="rigid")
    assert (
        plain.placing.keys() == store.placing.keys() - {"register"} and store.placing["register"] == "rigid"
    )
    assert plain.digest != store.digest and "registered" not in plain.scans[0].placement
    images, before = store.read("S")[0], plain.read("S")[0]
    assert (images[:, 1] == before[:, 1]).all() and (images[:, 0] != before[:, 0]).any()
    (row,) = list_scans(manifest, ["pet", "mri"])
    new = place_new(row, modalities=["pet", "mri"], **store.placing)
    assert (new.images == images).all()
    assert new.placement["registered"] == store.scans[0].placement["registered"]
    assert new.placement["input_affine"] == plain.scans[0].placement["input_affine"], "the grid stays"


def test_a_mask_moves_with_the_modality_that_it_was_drawn_on(pair):
    known = motion_of("oblique", middle(pair["mri"]))
    pet = moved(pair["pet"], known)
    drawn = np.zeros(pet.data.shape, np.float32)
    drawn[24:36, 24:36, 12:20] = 1
    volumes = {"pet": pet, "mri": pair["mri"]}
    placed = place(volumes, volume(drawn, pet.grid.affine), register="rigid", size=100)
    assert placed.placement["lesion"]["drawn_on"] == "pet"
    mask = to_input_grid(placed.mask, placed.placement)
    at = (pair["mri"].grid.affine @ [*np.argwhere(mask).mean(axis=0), 1])[:3]
    where = (pair["pet"].grid.affine @ [29.5, 29.5, 15.5, 1])[:3]  # as it would lie without the motion
    assert np.linalg.norm(at - where) < 2
    on_mri = np.zeros(pair["mri"].data.shape, np.float32)
    on_mri[90:110, 90:110, 8:12] = 1
    mask = volume(on_mri, pair["mri"].grid.affine)
    assert laid_together(volumes, mask, "mri", "rigid", "S")[1] is mask


def series(folder, values, grid, uid, frame, **options):
    """A DICOM series (of MR, whose values are taken as they are) of a volume that lies LPS, axes level."""
    flip = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    way = flip[:3, :3] / grid.spacing
    x, y = (float(each) for each in grid.spacing[:2])
    orientation = [*way[:, 0], *way[:, 1]]
    made = classic_series(
        values, orientation=orientation, origin=flip[:3, 3], pixel=(x, y), step=flip[:3, 2], **options
    )
    for each in made:
        each.SeriesInstanceUID, each.FrameOfReferenceUID = uid, frame
    return write_series(folder, made)


@pytest.fixture(scope="module")
def dicom(pair, tmp_path_factory):
    """The scan as DICOM: PET, moved, in a frame of reference of its own; contours that refer to it."""
    folder = tmp_path_factory.mktemp("dicom")
    known = motion_of("y", middle(pair["mri"]))
    pet = pair["pet"]
    stored = np.rint(pet.data[::-1, ::-1] * 1000).astype(np.uint16)  # from RAS to LPS
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    turn[:2, 3] = np.array(pet.grid.shape[:2]) - 1
    lps = replace(pet.grid, affine=known @ pet.grid.affine @ turn)
    series(folder / "pet", stored, lps, "1.2.1", "1.2.8")
    series(folder / "mri", pair["mri"].data.astype(np.uint16), pair["mri"].grid, "1.2.2", "1.2.9")
    series(folder / "same", pair["mri"].data.astype(np.uint16) // 2 + 7, pair["mri"].grid, "1.2.3", "1.2.9")
    return folder


def test_another_frame_of_reference_is_refused_unless_it_is_to_be_registered(dicom):
    manifest = save(dicom, [HEADER, ["P", "S", "pet", "mri", "none"]])
    options = {"size": 64, "reference": "mri", "accept_odd": "made up"}
    text = refused(manifest, "scan S, column pet", "another frame of reference than mri", **options)
    assert "--register rigid" in text and "1.2." not in text
    store = prepare(manifest, dicom / "s.zarr", workers=1, register="rigid", **options)
    (found,) = store.scans[0].placement["registered"].values()
    assert found["to"] == "mri" and 10 < found["shift_mm"] < 14 and 6 < found["turn_degrees"] < 8


def test_the_same_frame_of_reference_is_resliced_and_not_registered(dicom):
    manifest = save(dicom, [HEADER, ["P", "S", "same", "mri", "none"]])
    store = prepare(manifest, dicom / "r.zarr", workers=1, register="rigid", size=32, reference="mri")
    assert "registered" not in store.scans[0].placement


def test_a_mask_of_dicom_goes_with_the_series_that_it_refers_to():
    """Also where the grid of another modality is the same in numbers, which says nothing in another frame."""
    one, other = volume(scan_arrays()[0]).grid, volume(scan_arrays()[1]).grid
    grids = {"mri": replace(one, series="1.1"), "pet": replace(other, series="1.2")}
    assert goes_with(replace(one, series="1.2"), grids, "mri") == "pet"
    assert goes_with(one, grids, "mri") == "mri" and goes_with(one, grids, "pet") == "pet"
    assert goes_with(replace(one, affine=np.eye(4)), grids, "mri") is None


def test_contours_drawn_on_a_series_move_with_it(dicom, pair):
    """A box around the middle of the PET, whose slices are tilted as its contours are."""
    read = read_volume(dicom / "pet", "S")
    corners = np.array([(20, 20), (40, 20), (40, 40), (20, 40)])
    drawn = []
    for z in range(12, 20):
        at = np.column_stack([corners, np.full(4, z), np.ones(4)]) @ read.grid.affine.T
        drawn.append(contour((at[:, :3] * [-1, -1, 1]).ravel().tolist()))
    structures(dicom / "rt" / "RS.dcm", {"GTV": drawn}, "1.2.8", "1.2.1")
    manifest = save(dicom, [HEADER, ["P", "S", "pet", "mri", "rt/RS.dcm"]])
    store = prepare(
        manifest,
        dicom / "c.zarr",
        workers=1,
        register="rigid",
        size=100,
        reference="mri",
        accept_odd="made up",
    )
    placement = store.scans[0].placement
    assert placement["lesion"]["drawn_on"] == "pet" and placement["mask_told"] == []
    mask = to_input_grid(store.read("S")[1], placement)
    at = (np.array(placement["input_affine"]) @ [*np.argwhere(mask).mean(axis=0), 1])[:3]
    centre = read.grid.affine @ [30, 30, 15.5, 1]
    expected = (np.linalg.inv(np.array(placement["registered"]["pet"]["motion"])) @ centre)[:3]
    assert np.linalg.norm(at - expected) < 1
