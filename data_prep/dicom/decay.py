"""Computes the dose of a PET, decayed from the injection to the time that its values are corrected to, and reads
moments in DICOM's forms (DA, TM, DT). All are on one clock, that of the file's dates and times of day."""

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from pydicom.dataset import Dataset

from data_prep.dicom.header import (
    EXPORT_AGAIN,
    check_range,
    first_item,
    lacking_attribute,
    numbers_of,
    private_name,
    private_value,
    text_of,
    unusable,
    value_of,
)
from hnscc.base.in_words import count_of, word_among

# Valid times and offsets: 60 is a leap second. Exactly midnight is what anonymisers write.
_DAY = r"(\d{4})\.?(\d{2})\.?(\d{2})"
_CLOCK = r"(?!0[0:.]*(?![\d:.]))([01]\d|2[0-3]):?([0-5]\d):?(?:([0-5]\d|60)(\.\d{1,6})?)?"
_OFFSET = r"([+-])(0\d|1[0-4])([0-5]\d)"
MOST_HALF_LIVES = 8.0  # between injection and scan
MOST_AHEAD_H = 4.0  # hours from the start of a series to its first slice: more than a scan takes
MOST_APART_S = 60.0  # times that should be equal may differ by so much: 0.6 % of the activity of F-18
_GE, _SCAN_START = (0x0009, "GEMS_PETD_01"), 0x0D
_GE_SCAN_START = private_name(_GE[0], _SCAN_START)
# What to do in the end, where a copy of the series would be the same.
OR_CONVERT = "or convert it to SUV in NIfTI."


def moment_at(text: str) -> datetime | None:
    """Return the moment of a date and time written behind each other, with its UTC offset where one stands behind it.

    None where they are none.
    """
    found = re.fullmatch(f"{_DAY}({_CLOCK})({_OFFSET})?", text.strip())
    if found is None:
        return None
    try:
        midnight = datetime(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:  # no such day
        return None
    return (midnight + _since_midnight(found[4])).replace(tzinfo=_zone(found[9] or ""))


def _since_midnight(clock: str) -> timedelta:
    """Return how long after midnight a time of day, in the form of `_CLOCK`, is."""
    hour, minute, second, part = re.findall(_CLOCK, clock)[0]
    return timedelta(hours=int(hour), minutes=int(minute), seconds=int(second or 0) + float(part or 0))


def _zone(offset: str) -> timezone | None:
    """Return the clock of an offset such as +0100; None where the text is none."""
    found = re.fullmatch(_OFFSET, offset)
    if found is None:
        return None
    ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(ahead if found[1] == "+" else -ahead)


def on_clock(moment: datetime, header: Dataset, keyword: str, where: str) -> datetime:
    """Return a moment on the clock of the file's other times, which TimezoneOffsetFromUTC tells, without an offset.

    One that bears no offset is on it already. InputError, which names the attribute `keyword`, where the moment bears
    one and the file does not say its own: an hour makes half as much again of the activity of F-18.
    """
    if moment.tzinfo is None:
        return moment
    own = _zone(text_of(header, "TimezoneOffsetFromUTC", where))
    if own is None:
        raise unusable(
            f"The attribute {keyword} bears a UTC offset, and the file does not say that of its other times.",
            where,
            f"TimezoneOffsetFromUTC, or {keyword} without an offset",
            "an offset alone",
            f"Export it again with TimezoneOffsetFromUTC, {OR_CONVERT}",
        )
    return moment.astimezone(own).replace(tzinfo=None)


def moment_of(header: Dataset, keyword: str, where: str) -> datetime | None:
    """Return the moment of an attribute of a date and time, with its UTC offset where it bears one.

    None where the attribute is missing; InputError where it holds no moment.
    """
    text = text_of(header, keyword, where)
    moment = moment_at(text)
    if text and moment is None:
        raise unusable(
            f"The attribute {keyword} is unusable.", where, "a date and time", _length(text), EXPORT_AGAIN
        )
    return moment


def of_day(header: Dataset, keyword: str, where: str) -> timedelta | None:
    """Return a time of day since midnight, None where the attribute is missing; InputError where it is none."""
    text = text_of(header, keyword, where)
    if not text:
        return None
    if re.fullmatch(_CLOCK, text) is None:
        raise unusable(
            f"The attribute {keyword} is unusable.", where, "a time of day", _length(text), EXPORT_AGAIN
        )
    return _since_midnight(text)


def _injection(header: Dataset, where: str) -> Dataset | None:
    value = value_of(header, "RadiopharmaceuticalInformationSequence", where)
    if value is not None and len(value) > 1:
        raise unusable(
            "The PET is of several injections.",
            where,
            "one radiopharmaceutical",
            f"{len(value)}",
            f"Name a PET of one injection, {OR_CONVERT}",
        )
    return first_item(header, "RadiopharmaceuticalInformationSequence", where)


def _injected(header: Dataset, where: str) -> Dataset:
    injection = _injection(header, where)
    if injection is None:
        raise lacking_attribute("RadiopharmaceuticalInformationSequence", where)
    return injection


def _dose(header: Dataset, where: str) -> float:
    (dose,) = numbers_of(_injected(header, where), "RadionuclideTotalDose", 1, where)
    check_range("RadionuclideTotalDose", dose, 1e5, 1e11, "Bq", where)
    return dose


def _half_life(header: Dataset, where: str) -> float:
    (half_life,) = numbers_of(_injected(header, where), "RadionuclideHalfLife", 1, where)
    check_range("RadionuclideHalfLife", half_life, 10, 1e7, "s", where)
    return half_life


def decayed_dose(headers: Sequence[Dataset], where: str) -> float:
    """Return the dose in Bq at the time that the values are corrected to."""
    header = headers[0]
    (dose, half_life), *others = {(_dose(each, where), _half_life(each, where)) for each in headers}
    if others:
        found = f"{len(others) + 1}"
        raise unusable("The injection differs between the slices.", where, "one for all", found, EXPORT_AGAIN)
    correction = text_of(header, "DecayCorrection", where)
    if correction == "ADMIN":
        return dose
    if correction != "START":
        raise unusable(
            "The attribute DecayCorrection gives no SUV.",
            where,
            "START or ADMIN",
            word_among(correction, ("NONE",)),
            f"Reconstruct it with decay corrected to the start of the scan or to the injection, {OR_CONVERT}",
        )
    start = _scan_start(headers, half_life, where)
    elapsed = (start - _injected_at(header, start, half_life, where)).total_seconds()
    # One time for all is what anonymisers leave; a scan may begin with the injection, and its slices come later.
    one_time = elapsed == 0 and all(_moment(each, "Acquisition", where) <= start for each in headers)
    if one_time or not 0 <= elapsed <= MOST_HALF_LIVES * half_life:
        raise unusable(
            "The times of injection and scan cannot both be right.",
            where,
            f"an injection before the scan, by {MOST_HALF_LIVES:g} half-lives at most",
            f"{elapsed / half_life:.3g} half-lives",
            f"Export it again with the right times, {OR_CONVERT}",
        )
    return dose * 2 ** (-elapsed / half_life)


def _injected_at(header: Dataset, start: datetime, half_life: float, where: str) -> datetime:
    """Return the moment of the injection, by RadiopharmaceuticalStartDateTime or else by the time of day."""
    injection = _injected(header, where)
    moment = moment_of(injection, "RadiopharmaceuticalStartDateTime", where)
    time = of_day(injection, "RadiopharmaceuticalStartTime", where)
    if moment is None:
        if time is None:
            raise lacking_attribute("RadiopharmaceuticalStartTime", where)
        return _last_before(start, time, half_life, where)
    moment = on_clock(moment, header, "RadiopharmaceuticalStartDateTime", where)
    if time is not None and _apart(moment, _midnight(moment) + time) > MOST_APART_S:
        raise unusable(
            "RadiopharmaceuticalStartDateTime and RadiopharmaceuticalStartTime differ.",
            where,
            "one time",
            f"{_apart(moment, _midnight(moment) + time):.0f} s apart",
            EXPORT_AGAIN,
        )
    return moment


def _last_before(start: datetime, time: timedelta, half_life: float, where: str) -> datetime:
    """The last moment of a time of day before the scan; InputError where one a day earlier would be possible too.

    Tracers of long half-lives (Cu-64, Zr-89) are given days before the scan.
    """
    moment = _midnight(start) + time
    moment -= timedelta(days=int(moment > start))
    if (start - moment + timedelta(days=1)).total_seconds() <= MOST_HALF_LIVES * half_life:
        raise unusable(
            "The file states no day of the injection (RadiopharmaceuticalStartDateTime), and several are possible.",
            where,
            "RadiopharmaceuticalStartDateTime, or a half-life so short that only the last such time fits",
            f"RadiopharmaceuticalStartTime alone, and a half-life of {half_life / 3600:.3g} h",
            f"Export it again with the day of the injection, {OR_CONVERT}",
        )
    return moment


def _midnight(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, moment.day)


def _scan_start(headers: Sequence[Dataset], half_life: float, where: str) -> datetime:
    """When the scan began, to which values are decayed.

    SeriesTime says so where no slice was acquired before it. A series made later has a later one: then GE's private
    scan time says it, or each slice's acquisition time, less the frame's place in the scan.
    """
    series = _moment(headers[0], "Series", where)
    acquired = [_moment(each, "Acquisition", where) for each in headers]
    second = timedelta(seconds=1)
    if series <= min(acquired) + second:
        ahead = (min(acquired) + second - series).seconds / 3600  # of the day: dates may be an anonymiser's
        if ahead > MOST_AHEAD_H:
            expected = f"a series that begins at most {MOST_AHEAD_H:g} h before its first slice is acquired"
            problem = "SeriesTime and AcquisitionTime cannot both be right."
            raise unusable(problem, where, expected, f"{ahead:.3g} h before", EXPORT_AGAIN)
        return series
    private = private_value(headers[0], _GE, _SCAN_START, where)
    if private is not None:
        return on_clock(_private_moment(private, where), headers[0], _GE_SCAN_START, where)
    starts = sorted(
        moment - timedelta(seconds=_into_scan(each, half_life, where))
        for moment, each in zip(acquired, headers, strict=True)
    )
    if _apart(starts[0], starts[-1]) > MOST_APART_S:
        raise unusable(
            "The slices do not agree on when the scan began (AcquisitionTime, FrameReferenceTime).",
            where,
            f"one moment, within {MOST_APART_S:g} s",
            f"{_apart(starts[0], starts[-1]):.0f} s",
            EXPORT_AGAIN,
        )
    return starts[len(starts) // 2]


def _into_scan(header: Dataset, half_life: float, where: str) -> float:
    """Return seconds from the scan's start to a frame, whose reference time is that of its average activity."""
    (reference,) = numbers_of(header, "FrameReferenceTime", 1, where)
    (duration,) = numbers_of(header, "ActualFrameDuration", 1, where)
    check_range("ActualFrameDuration", duration, 1, 1e8, "ms", where)
    rate = math.log(2) / half_life
    decay = rate * duration / 1000
    return reference / 1000 - math.log(decay / -math.expm1(-decay)) / rate


def _private_moment(value: Any, where: str) -> datetime:
    moment = moment_at(str(value))
    if moment is None:
        problem = f"The private attribute {_GE_SCAN_START} is unusable."
        raise unusable(problem, where, "a date and time", _length(str(value)), EXPORT_AGAIN)
    return moment


def _moment(header: Dataset, name: str, where: str) -> datetime:
    """Return the moment that a date and a time of the same name state, such as SeriesDate and SeriesTime."""
    both = [text_of(header, f"{name}{part}", where) for part in ("Date", "Time")]
    for part, text in zip(("Date", "Time"), both, strict=True):
        if not text:
            raise lacking_attribute(f"{name}{part}", where)
    moment = moment_at("".join(both))
    if moment is None or moment.tzinfo is not None:  # a time of day bears no offset
        found = "a time with a UTC offset" if moment else " and ".join(map(_length, both))
        problem = f"The attributes {name}Date and {name}Time are unusable."
        raise unusable(problem, where, "a date and a time", found, EXPORT_AGAIN)
    return moment


def _length(text: str) -> str:
    """Return what is said of a text that is no moment, without repeating it, since it may be anything."""
    if re.fullmatch(f"({_DAY})?[0:.]+", text.strip()):
        return "midnight, as anonymisers write it"
    return f"a text of {count_of(len(text), 'character')}"


def _apart(one: datetime, other: datetime) -> float:
    return abs((one - other).total_seconds())
