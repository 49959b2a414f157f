"""Modalities that do not lie together: refused, or registered; a registration undoes what is known, or is refused."""

from dataclasses import replace

import numpy as np
import pytest
from dicom_files import classic_series
from dicom_files import write as write_series
from dicom_masks import contour, structures
from moved import BODY, MOTIONS, body_pair, body_scan, middle, motion_of, moved, off_by, phantom_scan
from scans import place, prepare, refused, save, scan_arrays, sts, volume

from data_prep.files.read import read_volume
from data_prep.masks.mask_of_cell import goes_with
from data_prep.new_scans import list_scans, place_new
from data_prep.placing.way_back import in_file_order, lesion_back
from data_prep.registering.judged import check_registration
from data_prep.registering.registered import laid_together
from data_prep.registering.rigid import mutual_information
from data_prep.settings import PrepareSettings
from hnscc.base.errors import InputError
from hnscc.cohort.store_format import Placing

FILES = {"pet": "PET", "mri": "MR_T1"}
HEADER = ["patient_id", "scan_id", "pet", "mri", "mask"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The volumes of a scan of the phantom, which lie together."""
    scan = phantom_scan(tmp_path_factory.mktemp("phantom"))
    return {name: read_volume(scan / f"{name}.nii.gz", "S") for name in ("pet", "mri")}


@pytest.mark.quick(1)
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.fixture(scope="module")
def small():
    """A small body's volumes, which lie together: registered quickly, and less exactly than the phantom's."""
    return {name: volume(each, BODY) for name, each in zip(("pet", "mri"), body_pair(0), strict=True)}


def test_images_that_do_not_overlap_show_nothing_or_have_nothing_in_common_are_refused(small):
    away = np.eye(4)
    away[0, 3] = 400
    with pytest.raises(InputError, match="do not overlap") as caught:
        laid_together({**small, "pet": moved(small["pet"], away)}, None, "mri", "rigid", "S")
    assert caught.value.where == "S, column pet"
    with pytest.raises(InputError, match="do not overlap") as caught:  # after another one that is registered
        three = {"ct": small["pet"], **small, "pet": moved(small["pet"], away)}
        laid_together(three, None, "mri", "rigid", "S")
    assert caught.value.where == "S, column pet"
    noise = volume(np.random.default_rng(0).random(small["pet"].data.shape), BODY)
    with pytest.raises(InputError, match=r"next to nothing|worse than it began|further than"):
        laid_together({**small, "pet": noise}, None, "mri", "rigid", "S")
    thin = {name: volume(each.data[:, :, :2], BODY) for name, each in small.items()}
    with pytest.raises(InputError, match="too thin to be registered"):
        laid_together(thin, None, "mri", "rigid", "S")
    flat = volume(np.full(small["pet"].data.shape, 3.0), BODY)
    with pytest.raises(InputError, match="shows nothing"):
        laid_together({**small, "pet": flat}, None, "mri", "rigid", "S")


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


@pytest.mark.slow
def test_the_store_and_new_scans_are_registered_alike_and_to_the_same_bits(tmp_path):
    """As predict asks for them: by the placing that the store tells, which a run folder keeps."""
    body_scan(tmp_path, 0, "x")
    manifest = save(tmp_path, [HEADER, ["P", "S", "pet.nii.gz", "mri.nii.gz", "none"]])
    plain = prepare(manifest, tmp_path / "plain.zarr", size=64, workers=1, reference="mri")
    store = prepare(manifest, tmp_path / "s.zarr", size=64, workers=1, reference="mri", register="rigid")
    assert (
        plain.placing.keys() == store.placing.keys() - {"register"} and store.placing["register"] == "rigid"
    )
    assert plain.digest != store.digest and "registered" not in plain.scans[0].placement
    images, before = store.read("S")[0], plain.read("S")[0]
    assert (images[:, 1] == before[:, 1]).all() and (images[:, 0] != before[:, 0]).any()
    (row,) = list_scans(manifest, ["pet", "mri"])
    new = place_new(row, ["pet", "mri"], Placing.of_kept(store.placing))
    assert (new.images == images).all()
    assert new.placement["registered"] == store.scans[0].placement["registered"]
    assert new.placement["input_affine"] == plain.scans[0].placement["input_affine"], "the grid stays"


@pytest.mark.slow
def test_a_mask_moves_with_the_modality_that_it_was_drawn_on(small):
    pet = moved(small["pet"], motion_of("oblique", middle(small["mri"])))
    drawn = np.zeros(pet.data.shape, np.float32)
    drawn[14:24, 18:26, 4:9] = 1
    volumes = {"pet": pet, "mri": small["mri"]}
    placed = place(volumes, volume(drawn, pet.grid.affine), register="rigid", size=80)
    assert placed.placement["lesion"]["drawn_on"] == "pet"
    mask = in_file_order(lesion_back(placed.mask, placed.placement), placed.placement)
    at, where = np.argwhere(mask).mean(axis=0), np.argwhere(drawn).mean(axis=0)  # as without the motion
    assert np.linalg.norm((at - where) * [4, 4, 5]) < 2
    mask = volume(drawn, BODY)
    assert laid_together(volumes, mask, "mri", "rigid", "S")[1] is mask, "drawn on the reference, it stays"


def series(folder, values, affine, uid, frame):
    """A DICOM series (of MR, whose values are taken as they are) of values (x, y, z): x to the left, y to posterior."""
    itk = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    orientation = [*itk[:3, 0] / 4, *itk[:3, 1] / 4]
    made = classic_series(values, orientation=orientation, origin=itk[:3, 3], pixel=(4, 4), step=itk[:3, 2])
    for each in made:
        each.SeriesInstanceUID, each.FrameOfReferenceUID = uid, frame
    return write_series(folder, made)


@pytest.fixture(scope="module")
def dicom(small, tmp_path_factory):
    """The body as DICOM: PET, moved, in a frame of reference of its own; twice the MRI in another."""
    folder = tmp_path_factory.mktemp("dicom")
    known = motion_of("y", middle(small["mri"]))
    stored = {name: (each.data - each.data.min()) * 50 for name, each in small.items()}
    series(folder / "pet", stored["pet"].astype(np.uint16), known @ BODY, "1.2.1", "1.2.8")
    series(folder / "mri", stored["mri"].astype(np.uint16), BODY, "1.2.2", "1.2.9")
    series(folder / "same", (stored["mri"] / 2 + 7).astype(np.uint16), BODY, "1.2.3", "1.2.9")
    return folder


@pytest.mark.parametrize("register", ["affine", "Rigid", ""])
def test_an_unknown_way_to_register_is_refused_whoever_gives_it(register):
    """It counted as rigid where `hnscc predict` took it from a study."""
    pair = {"pet": volume(np.zeros((4, 4, 4)), np.eye(4)), "mri": volume(np.ones((4, 4, 4)), np.eye(4))}
    for call in (
        lambda: laid_together(pair, None, "mri", register, "S"),
        lambda: PrepareSettings(register=register),
    ):
        with pytest.raises(InputError, match="is unknown") as told:
            call()
        assert told.value.expected == "rigid or none" and told.value.found == register


def test_another_frame_of_reference_is_refused_unless_it_is_to_be_registered(dicom):
    manifest = save(dicom, [HEADER, ["P", "S", "pet", "mri", "none"]])
    options = {"size": 32, "reference": "mri", "accept_odd": "made up"}
    text = refused(manifest, "scan S, column pet", "another frame of reference than mri", **options)
    assert "--register rigid" in text and "--register none" in text and "1.2." not in text
    worse = {"to": "mri", "information_before": 0.5, "information_after": 0.4}
    with pytest.raises(InputError) as told:
        check_registration(worse, "S")
    # Without --register, the other frame would be refused again.
    assert "--register none" in told.value.do and "leave --register out" not in told.value.do
    together = prepare(manifest, dicom / "n.zarr", workers=1, register="none", **options)
    assert together.placing["register"] == "none" and "registered" not in together.scans[0].placement
    store = prepare(manifest, dicom / "s.zarr", workers=1, register="rigid", **options)
    (found,) = store.scans[0].placement["registered"].values()
    assert found["to"] == "mri" and 10 < found["shift_mm"] < 14 and 5 < found["turn_degrees"] < 9


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


def test_contours_drawn_on_a_series_move_with_it(dicom):
    """A box in the PET, whose slices are tilted as its contours are."""
    affine = read_volume(dicom / "pet", "S").grid.affine
    corners = np.array([(12, 14), (26, 14), (26, 24), (12, 24)]) - 0.5
    drawn = []
    for z in range(4, 9):
        at = np.column_stack([corners, np.full(4, z), np.ones(4)]) @ affine.T
        drawn.append(contour((at[:, :3] * [-1, -1, 1]).ravel().tolist()))
    structures(dicom / "rt" / "RS.dcm", {"GTV": drawn}, "1.2.8", "1.2.1")
    manifest = save(dicom, [HEADER, ["P", "S", "pet", "mri", "rt/RS.dcm"]])
    options = {"size": 80, "reference": "mri", "register": "rigid", "accept_odd": "made up"}
    store = prepare(manifest, dicom / "c.zarr", workers=1, **options)
    placement = store.scans[0].placement
    assert placement["lesion"]["drawn_on"] == "pet" and placement["mask_told"] == []
    mask = in_file_order(lesion_back(store.read("S")[1], placement), placement)
    at = (np.array(placement["input_affine"]) @ [*np.argwhere(mask).mean(axis=0), 1])[:3]
    centre = affine @ [18.5, 18.5, 6, 1]
    expected = (np.linalg.inv(np.array(placement["registered"]["pet"]["motion"])) @ centre)[:3]
    assert np.linalg.norm(at - expected) < 1
