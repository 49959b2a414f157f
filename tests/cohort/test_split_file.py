"""split.json: one typed form, written and read back, and one clear error where it is not that."""

import json

import pytest

from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, write_sealed
from hnscc.cohort.split_file import SplitFile, intact_split, read_split, write_split
from hnscc.study.run_folder import RunFolder

SPLIT = SplitFile(
    fold=0,
    digest="of the slices",
    others_digest="of the others",
    slices="all",
    spacing_mm={"p2-a": (3.0, 1.0, 0.5)},
    store_digest="of the store",
    bounds={"pet": (0.0, 12.5)},
    placing={"reference": "pet", "size": 64, "pixel_mm": None},
    patients={"train": ("p0", "p1"), "validation": ("p2",), "test": ()},
    warnings=("few",),
    odd=(),
    files={"truth.npz": "0" * 64},
)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path).fold(0)


@pytest.mark.parametrize("drawn", [{}, {"p2-a": {"on": "pet", "shape": [3, 4, 4]}}])
def test_what_is_written_is_read(folder, drawn):
    written = SPLIT.model_copy(update={"drawn": drawn})
    write_split(folder, written)
    assert read_split(folder) == intact_split(folder) == written
    kept = json.loads(folder.split.read_text())
    assert kept["others_digest"] == "of the others" and kept["patients"]["train"] == ["p0", "p1"]
    assert ("drawn" in kept) == bool(drawn)


def test_a_file_of_before_others_digest_had_that_name_is_read(folder):
    write_split(folder, SPLIT)
    kept = read_sealed(folder.split)
    write_sealed(folder.split, kept | {"scored": kept.pop("others_digest")})
    assert "others_digest" not in read_sealed(folder.split)
    assert read_split(folder) == intact_split(folder) == SPLIT and not read_split(folder).unsaid


def test_a_file_of_before_placing_and_oddities_were_kept_is_read(folder):
    write_split(folder, SPLIT)
    kept = read_sealed(folder.split)
    write_sealed(folder.split, {name: kept[name] for name in kept if name not in ("placing", "odd")})
    assert read_split(folder) == SPLIT.model_copy(update={"placing": {}})


def test_a_file_of_before_whole_scans_is_one_of_sampled_slices(folder):
    """It was taken for a damaged one: `check` did not tell that the store is another, and `status` refused it."""
    write_split(folder, SPLIT)
    kept = read_sealed(folder.split)
    later = ("others_digest", "slices", "spacing_mm")
    write_sealed(folder.split, {name: kept[name] for name in kept if name not in later})
    sampled = {"others_digest": "", "slices": "sampled", "spacing_mm": {}}
    assert read_split(folder) == intact_split(folder) == SPLIT.model_copy(update=sampled)


CHANGES = {
    "bounds": {"pet": [0.0]},
    "patients": {"train": ["p0"], "validation": ["p2"]},
    "spacing_mm": {"p2-a": [3.0, 1.0]},
    "slices": "some",
    "fold": "0",
    "files": {"truth.npz": None},
}


BY_DEFAULT = ("slices", "spacing_mm")


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_not_of_its_form_is_told_by_name(folder, name):
    """`bounds`, `patients` and `store_digest` were read unchecked: with a traceback, or as if there were none."""
    write_split(folder, SPLIT)
    kept = read_sealed(folder.split)
    without = {each: kept[each] for each in kept if each != name}
    for changed in (kept | {name: CHANGES[name]}, *([] if name in BY_DEFAULT else [without])):
        write_sealed(folder.split, changed)
        for read in (read_split, intact_split):  # written again, what another version knows would be lost
            with pytest.raises(InputError, match="not of the form that this version writes") as told:
                read(folder)
            assert told.value.found.startswith(f"one that lacks `{name}")
            assert told.value.where == "folds/f0"


def test_an_unknown_part_is_told_since_it_would_be_ignored(folder):
    write_split(folder, SPLIT)
    write_sealed(folder.split, read_sealed(folder.split) | {"later": 1})
    for read in (read_split, intact_split):
        with pytest.raises(InputError, match="holds `later`, unknown to this version"):
            read(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"fold": 0}'])
def test_other_content_is_damage(folder, content):
    folder.root.mkdir(parents=True)
    folder.split.write_text(content)
    with pytest.raises(InputError, match="whose content is not what was written"):
        read_split(folder)
    assert intact_split(folder) is None


def test_none_is_there(folder):
    with pytest.raises(InputError, match=r"no split\.json"):
        read_split(folder)
    assert intact_split(folder) is None
