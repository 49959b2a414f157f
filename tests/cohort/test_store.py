"""The store: what is written is read back, and nothing damaged passes."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from filled_stores import EYE, make, shard, slices

from hnscc.base.errors import InputError
from hnscc.cohort.store import Store, open_store, verify_store
from hnscc.cohort.store_building import begin_store, write_scan
from hnscc.cohort.store_format import ScanFacts, content_digest


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Store:
    return make(tmp_path_factory.mktemp("original") / "s.zarr")


@pytest.fixture
def store(tmp_path, original) -> Store:
    """A copy to do harm to."""
    return open_store(shutil.copytree(original.location, tmp_path / "s.zarr"))


def test_what_is_written_is_read_back(tmp_path):
    store = make(tmp_path / "s.zarr")
    assert open_store(str(tmp_path / "s.zarr")).scans == store.scans
    assert [scan.scan_id for scan in store.scans] == ["A", "B", "C"]
    images, mask = store.read("A")
    expected_images, expected_mask = slices(1)
    assert images.dtype == np.float32 and mask.dtype == np.uint8
    np.testing.assert_array_equal(images, expected_images)
    np.testing.assert_array_equal(mask, expected_mask)
    scan = store.scans[0]
    assert scan.lesion_px == tuple(expected_mask.sum((1, 2))) and scan.lesion_px[0] == 0
    assert (scan.slices, scan.patient_id, scan.affine, scan.split) == (4, "P1", EYE, None)
    assert verify_store(store) == 12


@pytest.mark.parametrize(
    "wrong",
    [
        lambda images, mask: (images, mask[:, :8]),
        lambda images, mask: (images, mask[:2]),
        lambda images, mask: (images[:, 0], mask),
        lambda images, mask: (images.astype(np.float64), mask),
        lambda images, mask: (images, mask.astype(bool)),
    ],
)
def test_arrays_of_another_shape_or_type_are_not_written(tmp_path, wrong):
    unfinished = begin_store(tmp_path / "s.zarr", overwrite=False)
    facts = {"scan_id": "A", "patient_id": "P", "source_lesion_px": (0,) * 4, "spacing_mm": (4.0, 1.5, 1.5)}
    with pytest.raises(ValueError, match="uint8 of the same slices"):
        write_scan(unfinished.folder, *wrong(*slices(0)), ScanFacts(**facts, affine=EYE, placement={}))


def test_a_notebook_shows_a_store_in_a_line(original):
    assert repr(original) == (
        f"Store(location={original.location!r}, modalities={original.modalities}, size={original.size}, "
        f"digest={original.digest!r})"
    )


def test_layout_is_the_contract(store):
    """One chunk per slice, one shard per scan, a crc32c last on every chunk, the scan's facts as attributes."""
    group = zarr.open_group(store.location, mode="r", zarr_format=3)
    images, mask = group["scans/A/images"], group["scans/A/mask"]
    assert (images.shape, images.chunks, images.shards) == ((4, 2, 16, 16), (1, 2, 16, 16), (4, 2, 16, 16))
    assert (mask.shape, mask.chunks, mask.shards) == ((4, 16, 16), (1, 16, 16), (4, 16, 16))
    for array in (images, mask):
        assert [codec.to_dict()["name"] for codec in array.metadata.codecs[0].codecs][-1] == "crc32c"
    assert {"patient_id", "scan_id", "spacing_mm", "affine", "placement"} <= set(group["scans/A"].attrs)
    assert {"schema_version", "modalities", "size", "placed", "digest"} <= set(group.attrs)
    assert list(group.attrs["modalities"]) == ["pet", "mri"]


def test_digest_is_of_the_content_alone(tmp_path):
    first = make(tmp_path / "one.zarr")
    assert make(tmp_path / "elsewhere" / "two.zarr", order=-1).digest == first.digest
    assert make(tmp_path / "renamed.zarr", scans=("B", "A", "D")).digest != first.digest
    images, mask = slices(0)
    changed = images.copy()
    changed[1, 0, 3, 3] = np.nextafter(changed[1, 0, 3, 3], np.float32(9))
    assert content_digest(changed, mask) != content_digest(images, mask)


def test_digest_of_known_content():
    """Fixed for ever: a store made by an older version must open with the same digest."""
    images = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    digest = content_digest(images, np.array([[[0, 1], [1, 0]]], np.uint8))
    assert digest == DIGEST


DIGEST = "0e5e834a0a8c47ca7488d05ae25489b21a01636018a21ebbf475a8214e5ba7da"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["images", "mask"])
def test_a_flipped_bit_is_found_and_named(store, seed, name):
    path = shard(store, "B", name)
    content = bytearray(path.read_bytes())
    position = random.Random(f"{seed}{name}").randrange(len(content) * 8)
    content[position // 8] ^= 1 << position % 8
    path.write_bytes(content)
    with pytest.raises(InputError, match="scan B"):
        store.read("B")
    with pytest.raises(InputError, match="1 damaged: B"):
        verify_store(store)
    store.read("A")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _rewrite(path: Path, **attributes) -> None:
    content = json.loads(path.read_text())
    content["attributes"] |= attributes
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "harm",
    [
        lambda store: _rewrite(Path(store.location, "scans", "B", "zarr.json"), patient_id="PA"),
        lambda store: shard(store, "B", "images").unlink(),
        lambda store: shard(store, "B", "mask").unlink(),
        lambda store: _truncate(shard(store, "B", "images")),
        lambda store: shard(store, "B", "images").write_bytes(b""),
        lambda store: shutil.copy(shard(store, "A", "images"), shard(store, "B", "images")),
        lambda store: shutil.rmtree(Path(store.location, "scans", "B")),
        lambda store: shutil.rmtree(Path(store.location, "scans", "B", "mask")),
        lambda store: _truncate(Path(store.location, "scans", "B", "zarr.json")),
        lambda store: _truncate(Path(store.location, "scans", "B", "images", "zarr.json")),
        lambda store: Path(store.location, "scans", "B", "zarr.json").write_text("[]"),
    ],
)
def test_harm_to_a_scan_is_found_and_named(store, harm):
    harm(store)
    with pytest.raises(InputError, match="1 damaged: B"):
        verify_store(open_store(store.location))


def test_damage_anywhere_in_an_arrays_metadata_gives_an_input_error_or_the_right_data(tmp_path):
    store = make(tmp_path / "s.zarr", scans=("B",))
    path = Path(store.location, "scans", "B", "images", "zarr.json")
    whole = path.read_bytes()
    expected = store.read("B")[0]
    rng, refused = random.Random(5), 0
    for _ in range(120):
        broken = bytearray(whole)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        try:
            np.testing.assert_array_equal(store.read("B")[0], expected)
        except InputError as error:
            assert "scan B" in str(error)
            refused += 1
    assert refused > 20


def test_damaged_root_metadata_is_refused_wherever_the_bit_flips(store):
    path = Path(store.location, "zarr.json")
    whole = path.read_bytes()
    rng = random.Random(7)
    for _ in range(120):
        broken = bytearray(whole)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        try:
            assert open_store(store.location) == store  # white space, or a part of Zarr's that is not used
        except InputError as error:
            assert "store" in str(error)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        open_store(store.location)


def test_a_scan_put_in_from_elsewhere_is_named(store):
    shutil.copytree(Path(store.location, "scans", "A"), Path(store.location, "scans", "Z"))
    with pytest.raises(InputError, match="1 not in the index: Z"):
        verify_store(store)


def test_absent_foreign_and_other_versions_are_refused(tmp_path, store):
    with pytest.raises(InputError, match="nothing there"):
        open_store(tmp_path / "absent")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="no Zarr"):
        open_store(tmp_path / "folder")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="store"):
        open_store(tmp_path / "file")
    zarr.create_group(str(tmp_path / "other.zarr"), zarr_format=3, attributes={"made_by": "x"})
    with pytest.raises(InputError, match="something else"):
        open_store(tmp_path / "other.zarr")
    zarr.create_array(str(tmp_path / "array.zarr"), shape=(2,), dtype="int8")
    with pytest.raises(InputError, match="store"):
        open_store(tmp_path / "array.zarr")
    with pytest.raises(InputError, match="URL"):
        open_store("gs://bucket/store.zarr")
    path = Path(store.location, "zarr.json")
    _rewrite(path, placed={"pixel_mm": float("nan")})
    with pytest.raises(InputError, match="metadata that do not belong together"):
        open_store(store.location)
    for version in (99, 0):
        _rewrite(path, schema_version=version)
        with pytest.raises(InputError, match=f"schema version {version}"):
            open_store(store.location)


def test_an_unknown_scan_is_named(original):
    with pytest.raises(InputError, match="scan X"):
        original.read("X")
    with pytest.raises(InputError, match="scan X"):
        original.read_drawn("X")


def test_overwriting_needs_a_word_and_never_touches_what_is_not_ours(tmp_path):
    store = make(tmp_path / "s.zarr")
    with pytest.raises(InputError, match="already"):
        make(tmp_path / "s.zarr", scans=("X",))
    assert open_store(store.location).digest == store.digest
    assert [scan.scan_id for scan in make(tmp_path / "s.zarr", scans=("X",), overwrite=True).scans] == ["X"]
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "data.csv").write_text("1")
    with pytest.raises(InputError, match="no store"):
        make(tmp_path / "precious", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "s.zarr"]
    assert (tmp_path / "precious" / "data.csv").exists()


def test_what_stands_beside_a_store_in_its_folder_is_not_deleted_with_it(tmp_path):
    """With --overwrite it was, without a word: a note, or the trials of a run whose --out was the store."""
    make(tmp_path / "s.zarr", scans=("A",))
    (tmp_path / "s.zarr" / "trials").mkdir()
    (tmp_path / "s.zarr" / "note.txt").write_text("mine")
    with pytest.raises(InputError, match=r"found: +2 files or folders that prepare did not write"):
        make(tmp_path / "s.zarr", scans=("X",), overwrite=True)
    assert (tmp_path / "s.zarr" / "note.txt").read_text() == "mine"
    assert [scan.scan_id for scan in open_store(tmp_path / "s.zarr").scans] == ["A"]


def test_progress_of_verify_reaches_its_total(original):
    told = []
    verify_store(original, lambda *step: told.append(step))
    assert [step[:2] for step in told] == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("unit", "suv"),
    [("SUV", "pet"), ("SUV (lean body mass)", "pet"), ("SUV (body surface)", None), ("Bq/ml", None)],
)
def test_pet_is_in_suv_by_the_units_that_preparing_gives_it(original, unit, suv):
    """New scans are asked by the same rule; a unit that only begins so is of another measure."""
    assert replace(original, placed={"units": {"mri": "", "pet": unit}}).in_suv == suv


@pytest.mark.parametrize("below", ["x.zarr", "scans/x.zarr"])
def test_a_store_within_a_store_is_refused(tmp_path, below):
    made = make(tmp_path / "s.zarr")
    with pytest.raises(InputError, match="would lie within another one"):
        begin_store(tmp_path / "s.zarr" / below, overwrite=True)
    assert verify_store(made) > 0
