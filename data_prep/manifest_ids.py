"""Ids that were meant to be one: typed by hand, they differ by capitals, leading zeros, dashes or underscores alone."""

import re
from collections.abc import Iterable, Mapping


def alike(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs (later id, earlier id) that mean one thing: P01 and p1, 007 and 7, 2023-001 and 2023001.

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
    """The text without capitals, dashes, underscores, spaces and the leading zeros of its numbers."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[-_ ]+", "", text).casefold())
