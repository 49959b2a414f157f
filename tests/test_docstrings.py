"""Docstrings and comments keep their tables, lists and lines: no tool, and no hand, has broken them by reflowing."""

import re
from pathlib import Path

import pytest
from docstrings import faults

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("hnscc", "rayjobs", "data_prep", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)


def test_nothing_is_broken():
    found = {str(file): faults((ROOT / file).read_text()) for file in FILES}
    assert not {file: broken for file, broken in found.items() if broken}


# A comment at the end of a line that is then too long: the formatter breaks the code for it.
BROKEN_FOR_A_COMMENT = re.compile(r"^\s*[\])]+[:,]*  # (?!fmt: )", re.MULTILINE)


def test_no_code_is_broken_for_a_comment():
    """The comment belongs on a line of its own, above."""
    assert not [str(file) for file in FILES if BROKEN_FOR_A_COMMENT.search((ROOT / file).read_text())]


def _docstring(*lines: str) -> str:
    return "\n".join(['"""' + lines[0], *lines[1:], '"""', ""])


# Each as it once stood here, or nearly.
BROKEN = {
    "a row of a table is run into the row above": (
        _docstring(
            "One Zarr hierarchy holds every slice.",
            "",
            "    scans/<scan>/images   float32 (Z, C, H, W), raw values (SUV for PET); one chunk per slice, one per",
            "    scan scans/<scan>/mask     uint8 (Z, H, W), 1 where lesion",
        ),
        [
            "a line of a table has lost its column: '    scan scans/<scan>/mask     uint8 (Z, H, W), 1 where lesion'"
        ],
    ),
    "what belongs to a row of a table has lost its column": (
        _docstring(
            "The file's keys are these.",
            "",
            "    log    the file to which lines",
            "    are added",
            "    seed   what chances are drawn by",
            "    kill   whether",
        ),
        ["a line of a table has lost its column: '    are added'"],
    ),
    "an item of a list is broken off": (
        _docstring(
            "One grid for all.",
            "",
            "1. The grid is that of the mask (or of the reference modality where a scan has none), its axes turned and",
            "flipped,",
            "   never interpolated, so that slices are transaxial.",
        ),
        ["a line of a list has lost its item: 'flipped,'", "a word has a line of its own: 'flipped,'"],
    ),
    "a word has a line of its own": (
        _docstring(
            "An opened store. `digest` depends on content and settings alone: not on place or number of",
            "workers.",
        ),
        ["a word has a line of its own: 'workers.'"],
    ),
    "a line ends early": (
        _docstring(
            "Outside of it",
            "stands the minimum of the volume, and nothing else is taken into account by it at all.",
        ),
        ["a line ends although the next word fits: 'Outside of it'"],
    ),
    "a backtick stands alone": (
        _docstring("Only where `split is empty."),
        ["a backtick stands alone: 'Only where `split is empty.'"],
    ),
    "the first paragraph breaks off": (
        _docstring("The first row in the manifest's", "", "More of it."),
        ['the first paragraph has no end: "The first row in the manifest\'s"'],
    ),
    "a comment is broken": (
        "# Zarr's default codecs return wrong data on a flipped\n# bit.\nx = 1\n",
        ["a word has a line of its own: 'bit.'"],
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_every_kind_of_break_is_found(kind):
    source, expected = BROKEN[kind]
    assert faults(source) == expected


WHOLE = {
    "a table": _docstring(
        "A table stands here.",
        "",
        "    log           file to which lines are added:",
        "                  `kill PID`",
        "    kill_on_and   a pattern",
        "    seed          of chances",
    ),
    "a list": _docstring(
        "A list stands here.",
        "",
        "1. The first item goes on, and on,",
        "   below its text.",
        "2. The second.",
        "- A third.",
    ),
    "code": _docstring(
        "Code stands here.", "", "    x = 1        # one", "    while x:", "        x = f(x)", "    end()"
    ),
    "a paragraph that pauses": _docstring("It is short.", "And this sentence begins on a line of its own."),
    "comments apart": "# The first says this.\n\n# One.\nx = 1\n",
}


@pytest.mark.parametrize("kind", WHOLE)
def test_nothing_is_found_in_what_is_whole(kind):
    assert faults(WHOLE[kind]) == []
