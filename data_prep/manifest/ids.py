"""Ids that were meant to be one: typed by hand or damaged by a spreadsheet, they differ by capitals, leading zeros,
dashes, underscores, dots or a decimal `.0` alone."""

import re
from collections.abc import Iterable, Mapping


def alike(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs (later id, earlier id) that mean one thing: P01, p1 and P.01, 007, 7 and 7.0, 2023-001 and 2023001.

    Where dashes stand between numbers in both ids, they part the same numbers in both, so that P1-11 and P11-1 stay
    two. An id is named once as the later one, with the first that it is like.
    """
    firsts: dict[tuple[str, ...], str] = {}
    undashed: dict[str, list[str]] = {}
    pairs = []
    for each in dict.fromkeys(ids):
        first = firsts.setdefault(_parts(each), each)
        others = undashed.setdefault(_plain(each), [])
        if first == each:  # no earlier id has the same parts, but one may be written with or without dashes
            plain = [other for other in others if 1 in (len(_parts(each)), len(_parts(other)))]
            first = plain[0] if plain else each
        if first != each:
            pairs.append((each, first))
        others.append(each)
    return pairs


def look_alike(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs (later id, earlier id) that look alike and may mean one thing: PO1 and P01, l7 and 17.

    Pairs of `alike` are left out: those are sure.
    """
    firsts: dict[str, str] = {}
    distinct = list(dict.fromkeys(ids))
    sure = {later for later, _ in alike(distinct)}
    pairs = []
    for each in distinct:
        first = firsts.setdefault(_looks(each), each)
        if first != each and each not in sure:
            pairs.append((each, first))
    return pairs


def rows_text(lines: Iterable[int]) -> str:
    """Return 'row 3' or 'rows 3, 5'."""
    numbers = sorted(set(lines))
    return f"row{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def lines_of(ids: Iterable[tuple[str, int]]) -> Mapping[str, list[int]]:
    """Return the lines in which each id stands, in the order of the first; `ids` pairs ids with lines."""
    lines: dict[str, list[int]] = {}
    for each, line in ids:
        lines.setdefault(each, []).append(line)
    return lines


def _parts(text: str) -> tuple[str, ...]:
    """What dashes and underscores between two digits part, each as `_plain` gives it."""
    return tuple(_plain(part) for part in re.split(r"(?<=\d)[-_ ]+(?=\d)", text))


def _plain(text: str) -> str:
    """The text without capitals, dashes, underscores, spaces, the leading zeros of its numbers, and dots but those
    that part two numbers; a spreadsheet's decimal zero (7.0) is no number."""
    text = re.sub(r"(?<=\d)\.0+$", "", text)
    text = re.sub(r"(?<!\d)\.|\.(?!\d)|[-_ ]+", "", text).casefold()
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)


def _looks(text: str) -> str:
    """The plain text with one sign for those that are mistaken for one another: o and 0, i, l and 1."""
    return _plain(text.casefold().translate(str.maketrans("oil", "011")))
