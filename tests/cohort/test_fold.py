import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from stores import make_store, study_of

from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, sha256, write_sealed
from hnscc.base.split_names import SPLITS
from hnscc.cohort.fold import read_folds, write_fold
from hnscc.cohort.same_data import check_same_data
from hnscc.cohort.slices import rows_of_scans
from hnscc.cohort.splits import divide_cohort
from hnscc.cohort.store_building import begin_store, finish_store, write_scan
from hnscc.cohort.store_format import ScanFacts
from hnscc.study.run_folder import RunFolder


def test_slices_are_those_of_the_division_in_order(small):
    store, _, division, data = small
    order = [(split, each) for split in SPLITS for each in division.slices[split]]
    assert data.splits == [split for split, _ in order]
    for row, (_, each) in enumerate(order):
        images, mask = store.read(each.scan_id)
        np.testing.assert_array_equal(data.masks[row], mask[each.z])
        low, high = np.array(list(data.bounds.values()), np.float32).T
        expected = ((images[each.z].T - low) / (high - low)).T.clip(0, 1)
        np.testing.assert_allclose(data.images[row], expected, atol=1e-6)


def test_a_variant_sees_its_own_modalities_in_its_own_order(small):
    data = small[3]
    rows = data.rows["validation"]
    for modalities, channels in ((("mri", "pet"), [1, 0]), (("mri",), [1])):
        found = data.slices(modalities, "validation")
        images, masks = found.batch(np.arange(len(found)))
        np.testing.assert_array_equal(images, data.images[rows][:, channels])
        np.testing.assert_array_equal(masks, data.masks[rows])


def test_slices_that_are_scored_and_not_sampled_come_last_and_are_no_sampled_ones(small, tmp_path):
    """A lesion that is lost in the resize counts for no slice. What an earlier version did not write is no damage."""
    store, study, _, _ = small
    lost = replace(store.scans[1], source_lesion_px=(1,) * 4)
    store = replace(store, scans=(store.scans[0], lost, *store.scans[2:]))
    study, told = study.model_copy(update={"sampling": study.sampling.model_copy(update={"ratio": 0.0})}), []
    division = divide_cohort(store, study, 0)
    data = read_folds(store, study, [division], lambda *each: told.append(each[:2]))[0]
    assert told == [(done, told[-1][1]) for done in range(1, told[-1][1] + 1)]
    assert set(data.spacing_mm) == set(division.whole_scans)
    folder = RunFolder(tmp_path).fold(0)
    write_fold(folder, store, division, data)
    slices = pq.read_table(folder.slices).to_pylist()
    assert [row["used"] for row in slices] == [True] * len(division.order) + [False] * len(division.others)
    assert [row["positive"] for row in slices] == [row["truth_px"] > 0 for row in slices]
    scans = {row["scan_id"]: row["positive_slices"] for row in pq.read_table(folder.scans).to_pylist()}
    assert scans == {scan.scan_id: 4 * (number % 2 == 0) for number, scan in enumerate(store.scans)}
    kept = read_sealed(folder.split)
    write_sealed(folder.split, kept | {"files": {"truth.npz": kept["files"]["truth.npz"]}})
    assert write_fold(folder, store, division, data) == () and read_sealed(folder.split) == kept


def test_uptake_is_in_the_raw_values_of_the_modality_that_is_in_suv(small):
    store, _, division, data = small
    assert data.uptake(np.array([0])) is None
    rows = np.array([len(division.scored) - 1, 2])
    expected = [store.read(each.scan_id)[0][each.z, 1] for _, each in (division.scored[row] for row in rows)]
    np.testing.assert_array_equal(replace(data, in_suv="mri").uptake(rows), expected)


def test_bounds_are_those_of_the_training_slices_alone(small):
    _, _, _, data = small
    training = data.images[data.rows["train"]]
    for channel in range(2):
        assert training[:, channel].min() == 0
        assert training[:, channel].max() == 1
    others = data.images[data.rows["train"].stop :]
    assert others.min() >= 0
    assert others.max() <= 1


def test_as_written_bounds_include_validation(small):
    store, _, _, _ = small
    study = study_of(store.location, normalisation={"bounds": "training_and_validation"})
    data = read_folds(store, study, [divide_cohort(store, study, 0)])[0]
    used = data.images[: data.rows["validation"].stop]
    assert (used[:, 0].min(), used[:, 0].max()) == (0, 1)


def test_bounds_of_an_unknown_name_are_not_taken_for_others(small):
    """The schema refuses one: a name that it gains must be known here too."""
    store, study, division, _ = small
    normalisation = study.normalisation.model_copy(update={"bounds": "test"})
    with pytest.raises(KeyError, match="test"):
        read_folds(store, study.model_copy(update={"normalisation": normalisation}), [division])


def test_normalisation_by_hand(tmp_path):
    """Training values 2 to 6; of validation 10 is clipped to 1, of test 1 to 0, 4 becomes 0.5. As written, validation's
    10 becomes 1, and the test value 1 is still below 0."""
    unfinished = begin_store(tmp_path / "s.zarr", overwrite=False)
    scans = []
    for name, values, lesion in (("a", (2, 6), 1), ("b", (2, 6), 1), ("c", (4, 10), 1), ("d", (1, 4), 1)):
        images = np.array(values, np.float32).repeat(16).reshape(2, 1, 4, 4)
        mask = np.full((2, 4, 4), lesion, np.uint8)
        facts = {
            "source_lesion_px": (16, 16),
            "spacing_mm": (1.0,) * 3,
            "affine": ((1.0,) * 4,) * 4,
            "placement": {},
        }
        split = {"a": "train", "b": "train", "c": "validation", "d": "test"}[name]
        scans.append(
            write_scan(
                unfinished.folder,
                images,
                mask,
                ScanFacts(scan_id=name, patient_id=name, split=split, **facts),
            )
        )
    store = finish_store(unfinished, modalities=("pet",), size=4, placed={}, scans=scans)
    study = study_of(store.location, variants={"pet": {"modalities": ["pet"]}})
    data = read_folds(store, study, [divide_cohort(store, study, 0)])[0]
    assert data.bounds == {"pet": (2.0, 6.0)}
    assert data.images[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0.5, 1, 0, 0.5]
    as_written = {"bounds": "training_and_validation"}
    study = study_of(store.location, variants={"pet": {"modalities": ["pet"]}}, normalisation=as_written)
    data = read_folds(store, study, [divide_cohort(store, study, 0)])[0]
    assert data.bounds == {"pet": (2.0, 10.0)}
    assert data.images[:, 0, 0, 0].tolist() == [0, 0.5, 0, 0.5, 0.25, 1, 0, 0.25]


def test_a_constant_modality_is_refused(tmp_path):
    unfinished = begin_store(tmp_path / "s.zarr", overwrite=False)
    scans = [
        write_scan(
            unfinished.folder,
            np.ones((2, 1, 4, 4), np.float32),
            np.ones((2, 4, 4), np.uint8),
            ScanFacts(
                scan_id=name,
                patient_id=name,
                source_lesion_px=(16, 16),
                spacing_mm=(1.0,) * 3,
                affine=((1.0,) * 4,) * 4,
                placement={},
            ),
        )
        for name in "abcdef"
    ]
    store = finish_store(unfinished, modalities=("pet",), size=4, placed={}, scans=scans)
    study = study_of(store.location, variants={"pet": {"modalities": ["pet"]}})
    with pytest.raises(InputError, match="same value in every training pixel"):
        read_folds(store, study, [divide_cohort(store, study, 0)])[0]


def test_fold_files_vouch_for_each_other(small, tmp_path):
    store, _, division, data = small
    folder = RunFolder(tmp_path).fold(0)
    write_fold(folder, store, division, data)
    split = json.loads(folder.split.read_text())
    for name, digest in split["files"].items():
        assert sha256((folder.root / name).read_bytes()) == digest
    slices = pq.read_table(folder.slices).to_pydict()
    truth = np.load(folder.truth)["masks"]
    assert split["slices"] == "all", "all slices of whole scans, of which none is left over here"
    assert slices["truth_px"] == truth.sum(axis=(1, 2)).tolist()
    assert slices["positive"] == [px > 0 for px in slices["truth_px"]]
    scans = pq.read_table(folder.scans).to_pylist()
    assert sum(row["used_positive"] + row["used_negative"] for row in scans) == len(truth)
    for row in scans:
        own = [each.with_lesion for each in division.slices[row["split"]] if each.scan_id == row["scan_id"]]
        assert (row["used_positive"], row["used_negative"]) == (own.count(True), own.count(False))
    assert sum(row["slices"] for row in scans) == sum(scan.slices for scan in store.scans)


def test_a_fold_is_written_once_and_another_is_refused(small, tmp_path):
    store, _, division, data = small
    folder = RunFolder(tmp_path).fold(0)
    write_fold(folder, store, division, data)
    before = folder.split.stat().st_mtime_ns
    write_fold(folder, store, division, data)
    assert folder.split.stat().st_mtime_ns == before
    other_study = study_of(store.location, seed=8)
    other_division = divide_cohort(store, other_study, 0)
    other = read_folds(store, other_study, [other_division])[0]
    with pytest.raises(InputError, match="other data or another division"):
        write_fold(folder, store, other_division, other)
    write_fold(folder, store, other_division, other, replace=True)
    assert json.loads(folder.split.read_text())["digest"] == other.digest


def test_a_kept_file_that_may_not_be_read_is_told(small, tmp_path):
    store, study, division, data = small
    folder = RunFolder(tmp_path).fold(0)
    write_fold(folder, store, division, data)
    folder.slices.unlink()
    folder.slices.symlink_to(folder.slices.name)  # root, too, may not read what links to itself
    now = make_store(tmp_path / "now", patients=10, slices=4, size=32)
    with pytest.raises(InputError, match="A file may not be read"):
        check_same_data(folder, now, divide_cohort(now, study, 0))
    with pytest.raises(InputError, match="A file may not be read"):
        write_fold(folder, store, division, data)


@pytest.mark.parametrize("name", ["slices.parquet", "scans.parquet", "truth.npz", "split.json"])
def test_a_lost_or_damaged_fold_file_is_written_again_and_named(small, tmp_path, name):
    store, _, division, data = small
    folder = RunFolder(tmp_path).fold(0)
    assert write_fold(folder, store, division, data) == ()
    path = folder.root / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert write_fold(folder, store, division, data) == (name,)
    assert path.read_bytes() == content
    path.unlink()
    # Without split.json nothing tells a fold that lost it from one whose making was cut short.
    assert write_fold(folder, store, division, data) == ((name,) if name != "split.json" else ())
    assert path.read_bytes() == content
    assert write_fold(folder, store, division, data) == ()


def test_the_rows_of_each_scan_are_those_that_a_look_at_every_slice_finds():
    rng = np.random.default_rng(1)
    scan, z = rng.choice(["a", "b", "c10", "c9"], 200), rng.permutation(200) // 2
    split = rng.choice(SPLITS, 200)
    found = rows_of_scans(("c9", "absent", "a", "b"), scan, z, split)
    assert list(found) == ["c9", "absent", "a", "b"], "in the order asked for"
    for name, rows in found.items():
        seen = [row for row in range(200) if scan[row] == name and split[row] != "train"]
        assert rows.tolist() == sorted(seen, key=lambda row: (z[row], row))
    assert len(rows_of_scans(["a"], scan[:0], z[:0], split[:0])["a"]) == 0
