"""Finds ids that are the same date of birth, written in different ways."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

FIRST_YEAR = 1900
PARTED = (
    re.compile(r"(?P<year>(?:19|20)\d\d)(?P<sign>[-_./ ])(?P<one>\d{1,2})[-_./ ](?P<other>\d{1,2})"),
    re.compile(r"(?P<one>\d{1,2})(?P<sign>[-_./ ])(?P<other>\d{1,2})[-_./ ](?P<year>(?:19|20)?\d\d)"),
)
# Dates of digits alone; of six digits, the year may be the first or the last two.
WHOLE = (
    re.compile(r"(?P<year>\d{4})(?P<one>\d\d)(?P<other>\d\d)"),
    re.compile(r"(?P<one>\d\d)(?P<other>\d\d)(?P<year>\d{4})"),
)
SHORT = (
    re.compile(r"(?P<year>\d\d)(?P<one>\d\d)(?P<other>\d\d)"),
    re.compile(r"(?P<one>\d\d)(?P<other>\d\d)(?P<year>\d\d)"),
)

# The last two digits of the year, then day and month, the smaller one first.
Date = tuple[int, int, int]


def as_birthday(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return pairs (later id, earlier id) that are one date in two forms: 1961-03-07, 07.03.61, 19610307,
    03/07/1961, 070361.

    Two ids in the same form are two dates, even if only day and month are exchanged. Digits alone must be a date from
    1900 to today; two ids of six digits are not compared, since each can be read in three ways.
    """
    today = datetime.now(UTC).date()
    firsts: dict[Date, dict[str, str]] = {}
    for each in ids:
        for way, read in _read(each, today):
            others = firsts.setdefault(read, {})
            first = next((other for their, other in others.items() if their != way and other != each), None)
            if first is not None:
                yield each, first
            others.setdefault(way, each)


def _read(text: str, today: date) -> Iterator[tuple[str, Date]]:
    """Yield the dates that a text may be, each with the form in which it is written."""
    for at, pattern in enumerate(PARTED):
        if found := pattern.fullmatch(text):
            yield f"{at} {found['sign']} {len(found['year'])}", _date(found)
    for at, pattern in enumerate(WHOLE):
        if (found := pattern.fullmatch(text)) and _valid(found, today, int(found["year"])):
            yield f"{at} whole", _date(found)
    for pattern in SHORT:
        if found := pattern.fullmatch(text):
            years = (century + int(found["year"]) for century in (1900, 2000))
            if any(_valid(found, today, year) for year in years):
                yield "short", _date(found)


def _date(found: re.Match[str]) -> Date:
    day, month = sorted((int(found["one"]), int(found["other"])))
    return int(found["year"]) % 100, day, month


def _valid(found: re.Match[str], today: date, year: int) -> bool:
    """Return whether the match is a day of that year, with either number as the month."""
    one, other = int(found["one"]), int(found["other"])
    return any(_is_day(year, month, day, today) for month, day in ((one, other), (other, one)))


def _is_day(year: int, month: int, day: int, today: date) -> bool:
    if not (FIRST_YEAR <= year <= today.year and 1 <= month <= 12):
        return False
    last = (date(year + month // 12, month % 12 + 1, 1) - date(year, month, 1)).days
    return 1 <= day <= last and date(year, month, day) <= today
