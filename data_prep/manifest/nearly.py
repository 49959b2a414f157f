"""Says why a cell names nothing although its file may exist, by a look at the folder, without repeating a name."""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from data_prep.files.read import VOLUME_ENDINGS, ending_of
from data_prep.manifest.columns import LESION_FREE

# Words that say that there is none.
_WORDS = ("na", "n/a", "nan", "null", "nil", "no", "-", "0", "false", "empty", "negative")
_FORMULA = re.compile(r"#(N/A|NV|DIV/0!|[A-Z]+[!?])")  # what spreadsheets show for a formula that fails
_QUOTES = "'\"`\u2018\u2019\u201c\u201d"


def nothing_there(cell: str, path: Path) -> str:
    """Return what is found where a cell names nothing, in words: a file with nearly that name, or what the cell is.

    No part of the cell's text is repeated. path: what the cell was taken to name. OSError is raised where a folder
    denies access.
    """
    if cell.casefold() in _WORDS:
        return f"a word, and no file of that name (a scan without lesion says `{LESION_FREE}`)"
    if _FORMULA.match(cell):
        return "nothing there: the cell holds what a spreadsheet shows of a formula that fails"
    if cell[0] in _QUOTES or cell[-1] in _QUOTES:
        return "nothing there: the cell holds quotation marks, which count as part of the name"
    if "://" in cell or cell.startswith("file:"):
        return "nothing there: the cell is an address, as of a browser, and no path"
    if cell.startswith(("$", "%")):
        return "nothing there: the cell begins with a variable, which only a shell would replace"
    if any(each.is_symlink() and not each.exists() for each in (path, *path.parents)):
        return "a link to something that is not there"
    if other := _other_ending(path):
        return f"nothing there, but a file of that name with the ending {other}"
    if _spelled(path, str.casefold):
        return "nothing there, but a name that differs by capitals alone, which count on this machine"
    if _spelled(path, lambda name: unicodedata.normalize("NFC", name)):
        return (
            "nothing there, but a name whose letters with accents are written in other signs, as macOS does"
        )
    return "nothing there"


def _other_ending(path: Path) -> str:
    """Return the ending of a volume that exists under another ending than the path's; "" where there is none."""
    own = ending_of(path.name)
    stem = path.name[: len(path.name) - len(own)]
    others = [each for each in VOLUME_ENDINGS if own and each != own]
    return next((each for each in others if path.with_name(stem + each).exists()), "")


def _spelled(path: Path, alike: Callable[[str], str]) -> bool:
    """Return whether each part of a path that does not exist has a similar name beside it."""
    at = Path(path.anchor) if path.is_absolute() else Path()
    for part in path.relative_to(at).parts if path.is_absolute() else path.parts:
        if not (at / part).exists() and part != "..":
            same = (
                [each.name for each in at.iterdir() if alike(each.name) == alike(part)] if at.is_dir() else []
            )
            if not same:
                return False
            part = same[0]
        at /= part
    return True
