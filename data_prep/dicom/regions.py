"""Chooses which regions of a mask file are lesion: by the cell `roi` of the manifest, or the only one."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset

from data_prep.dicom.header import EXPORT_AGAIN, unusable, whole_number
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of

# Spreadsheets and pandas write numbers in a column with empty cells as 3.0, or 3,0 with a decimal comma.
_NUMBER = re.compile(r"(?:label:)?\s*(\d{1,9})(?:[.,]0{1,9})?", re.IGNORECASE)


def region_number(region: str) -> int | None:
    """Return the number in a cell such as `3`, `3,0` or `label:3`; None where it is a name or a pattern."""
    found = _NUMBER.fullmatch(region.strip())
    return int(found[1]) if found else None


def chosen(names: Mapping[int, str], region: str | None, where: str) -> list[int]:
    """Return the numbers of the regions that are the lesion, in the order of `names` (number to name).

    region: a name (`plain_name` says what counts for nothing); a pattern in which `*` stands for any letters and
    `?` for one, of which every match is lesion; a number as 3 or label:3; None takes the only region there is.
    InputError, without the regions' names, which may be those of patients: none or several fit.
    """
    plain = {number: plain_name(name) for number, name in names.items()}
    if region is None:
        found = list(plain)
        if len(found) == 1:
            return found
        raise _refused(
            "The mask holds no region." if not found else "The mask holds several regions.",
            where,
            "one region, or a column `roi` that names the lesion (* and ? stand for any letters)",
            count_of(len(found), "region") if found else "no regions",
        )
    wanted = plain_name(region)
    found = [number for number, name in plain.items() if name == wanted]
    number = region_number(region)
    if not found and number is not None and number in plain:
        found = [number]
    if len(found) > 1:
        raise _refused("Two regions of the mask have that name.", where, "one", str(len(found)))
    if not found and ("*" in wanted or "?" in wanted):
        found = [number for number, name in plain.items() if _fits(name, wanted)]
    if not found:
        raise _refused(
            "The mask holds no such region.",
            where,
            "the name, number or pattern of a region in the column `roi`",
            count_of(len(names), "region of another name", "regions of other names")
            if names
            else "no region at all",
        )
    return found


def plain_name(name: str) -> str:
    """Return a name without what counts for nothing: capitals, outer blanks, and in how many signs a letter with an
    accent is written (macOS takes two)."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def _fits(name: str, pattern: str) -> bool:
    """Return whether a name fits a pattern in which only * and ? are special."""
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(each, re.escape(each)) for each in pattern), name, re.S) is not None


def _refused(problem: str, where: str, expected: str, found: str) -> InputError:
    do = (
        "Look up what the lesion is called (`hnscc scan FOLDER` lists the regions of DICOM), and write that into the "
        "column `roi` of this row; or take the scan out."
    )
    return InputError(problem, where=where, expected=expected, found=found, do=do)


def by_number(items: Sequence[Dataset], keyword: str, most: int, where: str) -> dict[int, Dataset]:
    """Return the items of a sequence by the number, up to `most`, under a keyword.

    InputError is raised where two have the same number, since contours or pixels of one of them would be lost.
    """
    found: dict[int, Dataset] = {}
    for item in items:
        number = whole_number(item, keyword, 0, most, where)
        if number in found:
            problem = f"Two regions bear one number ({keyword})."
            raise unusable(problem, where, "a number of its own for each", "one twice", EXPORT_AGAIN)
        found[number] = item
    return found
