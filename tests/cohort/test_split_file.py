"""split.json: one typed form, written and read back, and one clear error where it is not that."""

import json

import pytest

from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, write_sealed
from hnscc.cohort.split_file import SplitFile, read_split, whole_split, write_split
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
    assert read_split(folder) == whole_split(folder) == written
    kept = json.loads(folder.split.read_text())
    assert kept["scored"] == "of the others" and kept["patients"]["train"] == ["p0", "p1"]
    assert ("drawn" in kept) == bool(drawn) and "others_digest" not in kept


def test_a_file_of_before_placing_and_oddities_were_kept_is_read(folder):
    write_split(folder, SPLIT)
    kept = read_sealed(folder.split)
    write_sealed(folder.split, {name: kept[name] for name in kept if name not in ("placing", "odd")})
    assert read_split(folder) == SPLIT.model_copy(update={"placing": {}})


CHANGES = {
    "bounds": {"pet": [0.0]},
    "patients": {"train": ["p0"], "validation": ["p2"]},
    "spacing_mm": {"p2-a": [3.0, 1.0]},
    "slices": "some",
    "fold": "0",
    "files": {"truth.npz": None},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_not_of_its_form_is_told_by_name(folder, name):
    """`bounds`, `patients` and `store_digest` were read unchecked: with a traceback, or as if there were none."""
    write_split(folder, SPLIT)
    kept = read_sealed(folder.split)
    for changed in (kept | {name: CHANGES[name]}, {each: kept[each] for each in kept if each != name}):
        write_sealed(folder.split, changed)
        with pytest.raises(InputError, match="missing or damaged") as told:
            read_split(folder)
        assert told.value.found.startswith(f"a split.json that lacks `{name}")
        assert told.value.where == "folds/f0" and whole_split(folder) is None


def test_an_unknown_part_is_told_since_it_would_be_ignored(folder):
    write_split(folder, SPLIT)
    write_sealed(folder.split, read_sealed(folder.split) | {"later": 1})
    with pytest.raises(InputError, match="holds `later`, unknown to this version"):
        read_split(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"fold": 0}'])
def test_other_content_is_damage(folder, content):
    folder.root.mkdir(parents=True)
    folder.split.write_text(content)
    with pytest.raises(InputError, match="whose content is not what was written"):
        read_split(folder)
    assert whole_split(folder) is None


def test_none_is_there(folder):
    with pytest.raises(InputError, match=r"no split\.json"):
        read_split(folder)
    assert whole_split(folder) is None
