"""Moments as DICOM writes them (DA, TM, DT), without time zones: all times of one scan are of one clock."""

import re
from datetime import datetime, timedelta

from pydicom.dataset import Dataset

from data_prep.dicom.header import refused, text_of

_MOMENT = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})(\d{2}):?(\d{2}):?(\d{2})?(\.\d{1,6})?(?:[+-]\d{4})?")
_TIME = re.compile(r"(\d{2}):?(\d{2}):?(\d{2})?(\.\d{1,6})?")


def moment_at(text: str) -> datetime | None:
    """Return the moment of a date and time written behind each other; None where they are none."""
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, part = found.groups()
    try:
        whole = datetime(int(year), int(month), int(day), int(hour), int(minute), min(int(second or 0), 59))
    except ValueError:
        return None
    return whole + timedelta(seconds=float(part or 0))


def moment_of(header: Dataset, keyword: str, where: str) -> datetime | None:
    """Return the moment of an attribute of a date and time, None where it is missing; InputError where it is none."""
    text = text_of(header, keyword, where)
    moment = moment_at(text)
    if text and moment is None:
        raise refused(f"The attribute {keyword} is unusable.", where, "a date and time", "something else")
    return moment


def of_day(header: Dataset, keyword: str, where: str) -> timedelta | None:
    """Return a time of day since midnight, None where the attribute is missing; InputError where it is none."""
    text = text_of(header, keyword, where)
    found = _TIME.fullmatch(text)
    if text and found is None:
        raise refused(f"The attribute {keyword} is unusable.", where, "a time of day", "something else")
    if found is None:
        return None
    hour, minute, second, part = found.groups()
    return timedelta(hours=int(hour), minutes=int(minute), seconds=int(second or 0) + float(part or 0))
