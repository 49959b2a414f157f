"""Moments as DICOM writes them (DA, TM, DT), all on one clock: that of the file's dates and times of day."""

import re
from datetime import datetime, timedelta, timezone

from pydicom.dataset import Dataset

from data_prep.dicom.header import text_of, unusable

_MOMENT = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})(\d{2}):?(\d{2}):?(\d{2})?(\.\d{1,6})?([+-]\d{4})?")
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2}):?(\d{2})?(\.\d{1,6})?")


def moment_at(text: str) -> datetime | None:
    """Return the moment of a date and time written behind each other, with its UTC offset where one stands behind it.

    None where they are none.
    """
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, part, offset = found.groups()
    try:
        whole = datetime(int(year), int(month), int(day), int(hour), int(minute), min(int(second or 0), 59))
        zone = _zone(offset) if offset else None
    except ValueError:
        return None
    return (whole + timedelta(seconds=float(part or 0))).replace(tzinfo=zone)


def _zone(offset: str) -> timezone | None:
    """The clock of an offset such as +0100; None where the text is none. ValueError from a whole day on."""
    found = _OFFSET.fullmatch(offset)
    if found is None:
        return None
    sign, hours, minutes = found.groups()
    ahead = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(ahead if sign == "+" else -ahead)


def on_clock(moment: datetime, header: Dataset, keyword: str, where: str) -> datetime:
    """Return a moment on the clock of the file's other times, which TimezoneOffsetFromUTC tells, without an offset.

    One that bears no offset is on it already. InputError, which names the attribute `keyword`, where the moment bears
    one and the file does not say its own: an hour makes half as much again of the activity of F-18.
    """
    if moment.tzinfo is None:
        return moment
    try:
        own = _zone(text_of(header, "TimezoneOffsetFromUTC", where))
    except ValueError:
        own = None
    if own is None:
        raise unusable(
            f"The attribute {keyword} bears a UTC offset, and the file does not say that of its other times.",
            where,
            f"TimezoneOffsetFromUTC, or {keyword} without an offset",
            "an offset alone",
        )
    return moment.astimezone(own).replace(tzinfo=None)


def moment_of(header: Dataset, keyword: str, where: str) -> datetime | None:
    """Return the moment of an attribute of a date and time, with its UTC offset where it bears one.

    None where the attribute is missing; InputError where it holds no moment.
    """
    text = text_of(header, keyword, where)
    moment = moment_at(text)
    if text and moment is None:
        raise unusable(f"The attribute {keyword} is unusable.", where, "a date and time", "something else")
    return moment


def of_day(header: Dataset, keyword: str, where: str) -> timedelta | None:
    """Return a time of day since midnight, None where the attribute is missing; InputError where it is none."""
    text = text_of(header, keyword, where)
    found = _TIME.fullmatch(text)
    if text and found is None:
        raise unusable(f"The attribute {keyword} is unusable.", where, "a time of day", "something else")
    if found is None:
        return None
    hour, minute, second, part = found.groups()
    return timedelta(hours=int(hour), minutes=int(minute), seconds=int(second or 0) + float(part or 0))
