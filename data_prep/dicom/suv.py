"""Standardised uptake values of PET: the factor from a file's units, by the rules of each vendor; nothing is guessed.

SUV by body weight is the activity concentration in Bq/ml, divided by the dose in Bq per gram of the patient, the dose
decayed to the time that the concentration is corrected to: that of the injection (DecayCorrection ADMIN), or of the
scan's start (START). Source: "SUV calculation", QIBA, Vendor-neutral pseudo-code for SUV calculation, the happy path
and that for vendors' private attributes; lean body mass by Janmahasatian et al. 2005, 10.2165/00003088-200544100-00004.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset

from data_prep.dicom.header import UNREADABLE, first_item, lacking, numbers_of, refused, text_of, value_of
from data_prep.dicom.times import moment_at, moment_of, of_day

BODY_WEIGHT, LEAN_BODY_MASS = "bw", "lbm"
UNITS = {BODY_WEIGHT: "SUV", LEAN_BODY_MASS: "SUV (lean body mass)"}
MOST_HALF_LIVES = 8.0  # between injection and scan
MOST_APART_S = 60.0  # what times that should be one may differ by: 0.6 % of the activity of F-18
# What must be one for all slices of a series.
_ONE = ("Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientWeight", "PatientSize", "PatientSex")
_KNOWN_UNITS = (
    *(
        "BQML",
        "CNTS",
        "GML",
        "NONE",
        "CM2",
        "CM2ML",
        "PCNT",
        "CPS",
        "MGMINML",
        "UMOLMINML",
        "MLMING",
        "MLG",
        "1CM",
    ),
    *("UMOLML", "PROPCNTS", "PROPCPS", "MLMINML", "MLML", "STDDEV"),
)
_TYPES = {BODY_WEIGHT: ("", "BW"), LEAN_BODY_MASS: ("LBMJANMA",)}
_PHILIPS = (0x7053, "Philips PET Private Group")
_GE = (0x0009, "GEMS_PETD_01")


def suv_factors(headers: Sequence[Dataset], weighting: str, where: str) -> list[float]:
    """Return, for each file of a PET series, what its scaled values are multiplied with to be SUV.

    weighting: "bw" (body weight) or "lbm" (lean body mass). InputError names the attribute that is missing, unusable
    or not the same in all files; it is raised too where values are of a unit that gives no SUV or are not corrected
    for decay and attenuation, and where the times cannot be right.
    """
    _check_one(headers, where)
    units = text_of(headers[0], "Units", where)
    if units == "GML":
        _check_type(headers[0], weighting, where)
        return [1.0] * len(headers)
    if units not in ("BQML", "CNTS"):
        if not units:
            raise lacking("Units", where)
        found = units if units in _KNOWN_UNITS else "another"
        raise refused("The PET's Units give no SUV.", where, "BQML, GML, or CNTS of Philips", found)
    _check_corrected(headers[0], where)
    mass = _mass(headers[0], weighting, where)
    if units == "BQML":
        return [mass / _decayed_dose(headers, where)] * len(headers)
    return _philips_factors(headers, mass, weighting, where)


def _philips_factors(headers: Sequence[Dataset], mass: float, weighting: str, where: str) -> list[float]:
    """Philips counts: a factor to SUV by body weight, or where that is missing one to Bq/ml."""
    to_suv = [_private(each, _PHILIPS, 0x00, where) for each in headers]
    if all(to_suv):
        share = mass / _mass(headers[0], BODY_WEIGHT, where) if weighting == LEAN_BODY_MASS else 1.0
        return [factor * share for factor in to_suv if factor]
    to_activity = [_private(each, _PHILIPS, 0x09, where) for each in headers]
    if not all(to_activity):
        raise refused(
            "The PET is in counts, and no factor to SUV or to activity stands in all of its files.",
            where,
            "the private attribute (7053,1000) or (7053,1009) of Philips",
            "neither",
        )
    dose = _decayed_dose(headers, where)
    return [factor * mass / dose for factor in to_activity if factor]


def _private(header: Dataset, creator: tuple[int, str], element: int, where: str) -> float | None:
    """A number above 0 in a vendor's private attribute; None where it is missing, empty or 0."""
    value = _private_value(header, creator, element)
    try:
        number = float(value) if value is not None else 0.0
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        group = creator[0]
        raise refused(
            f"The private attribute ({group:04x},10{element:02x}) is unusable.",
            where,
            "a number",
            "another value",
        )
    return number or None


def _private_value(header: Dataset, creator: tuple[int, str], element: int) -> Any:
    """What stands in a vendor's private attribute; None where it is missing or cannot be decoded."""
    try:
        return header.private_block(*creator)[element].value
    except UNREADABLE:
        return None


def _check_one(headers: Sequence[Dataset], where: str) -> None:
    for keyword in _ONE:
        if len({text_of(each, keyword, where) for each in headers}) > 1:
            raise refused(
                f"The attribute {keyword} differs between the slices.", where, "one for all", "several"
            )


def _check_type(header: Dataset, weighting: str, where: str) -> None:
    """InputError where values that are SUV already are of another type than the one asked for."""
    if text_of(header, "SUVType", where) not in _TYPES[weighting]:
        raise refused(
            "The PET is in SUV of another type (SUVType).",
            where,
            f"{UNITS[weighting]}: SUVType {' or '.join(each or 'empty' for each in _TYPES[weighting])}",
            "another",
            "Choose the type that all scans share (--suv), or export the series in Bq/ml.",
        )


def _check_corrected(header: Dataset, where: str) -> None:
    corrected = text_of(header, "CorrectedImage", where).split("\\")
    for word, name in (("ATTN", "attenuation"), ("DECY", "decay")):
        if word not in corrected:
            raise refused(
                f"The PET is not corrected for {name}, or does not say so (CorrectedImage).",
                where,
                word,
                "none",
            )


def _mass(header: Dataset, weighting: str, where: str) -> float:
    """The patient's weight, or lean body mass, in g."""
    (weight,) = numbers_of(header, "PatientWeight", 1, where)
    _check_range("PatientWeight", weight, 0.5, 500, "kg", where)
    if weighting == BODY_WEIGHT:
        return 1000 * weight
    (size,) = numbers_of(header, "PatientSize", 1, where)
    _check_range("PatientSize", size, 0.3, 2.6, "m", where)
    sex = text_of(header, "PatientSex", where)
    if sex not in ("M", "F"):
        raise refused(
            "The attribute PatientSex gives no lean body mass.", where, "M or F", "another, or none"
        )
    constant, per_index = (6680, 216) if sex == "M" else (8780, 244)
    return 1000 * 9270 * weight / (constant + per_index * weight / size**2)


def _injection(header: Dataset, where: str) -> Dataset | None:
    value = value_of(header, "RadiopharmaceuticalInformationSequence", where)
    if value is not None and len(value) > 1:
        raise refused("The PET is of several injections.", where, "one radiopharmaceutical", f"{len(value)}")
    return first_item(header, "RadiopharmaceuticalInformationSequence", where)


def _injected(header: Dataset, where: str) -> Dataset:
    injection = _injection(header, where)
    if injection is None:
        raise lacking("RadiopharmaceuticalInformationSequence", where)
    return injection


def _dose(header: Dataset, where: str) -> float:
    (dose,) = numbers_of(_injected(header, where), "RadionuclideTotalDose", 1, where)
    _check_range("RadionuclideTotalDose", dose, 1e5, 1e11, "Bq", where)
    return dose


def _half_life(header: Dataset, where: str) -> float:
    (half_life,) = numbers_of(_injected(header, where), "RadionuclideHalfLife", 1, where)
    _check_range("RadionuclideHalfLife", half_life, 10, 1e7, "s", where)
    return half_life


def _decayed_dose(headers: Sequence[Dataset], where: str) -> float:
    """The dose in Bq at the time that the values are corrected to."""
    header = headers[0]
    (dose, half_life), *others = {(_dose(each, where), _half_life(each, where)) for each in headers}
    if others:
        raise refused("The injection differs between the slices.", where, "one for all", "several")
    correction = text_of(header, "DecayCorrection", where)
    if correction == "ADMIN":
        return dose
    if correction != "START":
        raise refused(
            "The attribute DecayCorrection gives no SUV.",
            where,
            "START or ADMIN",
            "NONE, another, or nothing",
        )
    start = _scan_start(headers, half_life, where)
    elapsed = (start - _injected_at(header, start, where)).total_seconds()
    if not 0 <= elapsed <= MOST_HALF_LIVES * half_life:
        raise refused(
            "The times of injection and scan cannot both be right.",
            where,
            f"an injection 0 to {MOST_HALF_LIVES:g} half-lives before the scan",
            f"{elapsed / half_life:.3g} half-lives",
        )
    return dose * 2 ** (-elapsed / half_life)


def _injected_at(header: Dataset, start: datetime, where: str) -> datetime:
    """The moment of the injection; where its day is not stated, the last such time of day before the scan."""
    injection = _injected(header, where)
    moment = moment_of(injection, "RadiopharmaceuticalStartDateTime", where)
    time = of_day(injection, "RadiopharmaceuticalStartTime", where)
    if moment is None and time is None:
        raise lacking("RadiopharmaceuticalStartTime", where)
    if moment is None and time is not None:
        moment = datetime(start.year, start.month, start.day) + time
        return moment if moment <= start else moment - timedelta(days=1)
    assert moment is not None
    if (
        time is not None
        and _apart(moment, datetime(moment.year, moment.month, moment.day) + time) > MOST_APART_S
    ):
        raise refused(
            "RadiopharmaceuticalStartDateTime and RadiopharmaceuticalStartTime differ.",
            where,
            "one time",
            "two",
        )
    return moment


def _scan_start(headers: Sequence[Dataset], half_life: float, where: str) -> datetime:
    """When the scan began, to which values are decayed.

    SeriesTime says so where no slice was acquired before it. A series made later has a later one: then GE's private
    scan time says it, or each slice's acquisition time, less the frame's place in the scan.
    """
    series = _moment(headers[0], "Series", where)
    acquired = [_moment(each, "Acquisition", where) for each in headers]
    if series <= min(acquired) + timedelta(seconds=1):
        return series
    private = _private_value(headers[0], _GE, 0x0D)
    if private is not None:
        return _private_moment(private, where)
    starts = sorted(
        moment - timedelta(seconds=_into_scan(each, half_life, where))
        for moment, each in zip(acquired, headers, strict=True)
    )
    if _apart(starts[0], starts[-1]) > MOST_APART_S:
        raise refused(
            "The slices do not agree on when the scan began (AcquisitionTime, FrameReferenceTime).",
            where,
            f"one moment, within {MOST_APART_S:g} s",
            f"{_apart(starts[0], starts[-1]):.0f} s",
        )
    return starts[len(starts) // 2]


def _into_scan(header: Dataset, half_life: float, where: str) -> float:
    """Seconds from the scan's start to that of a frame: its reference time is that of its average activity."""
    (reference,) = numbers_of(header, "FrameReferenceTime", 1, where)
    (duration,) = numbers_of(header, "ActualFrameDuration", 1, where)
    _check_range("ActualFrameDuration", duration, 1, 1e8, "ms", where)
    rate = math.log(2) / half_life
    decay = rate * duration / 1000
    return reference / 1000 - math.log(decay / -math.expm1(-decay)) / rate


def _private_moment(value: Any, where: str) -> datetime:
    moment = moment_at(str(value))
    if moment is None:
        raise refused(
            "The private attribute (0009,100d) is unusable.", where, "a date and time", "another value"
        )
    return moment


def _moment(header: Dataset, name: str, where: str) -> datetime:
    """The moment that a date and a time of one name state, such as SeriesDate and SeriesTime."""
    both = [text_of(header, f"{name}{part}", where) for part in ("Date", "Time")]
    for part, text in zip(("Date", "Time"), both, strict=True):
        if not text:
            raise lacking(f"{name}{part}", where)
    moment = moment_at("".join(both))
    if moment is None:
        raise refused(
            f"The attributes {name}Date and {name}Time are unusable.", where, "a date, a time", "others"
        )
    return moment


def _apart(one: datetime, other: datetime) -> float:
    return abs((one - other).total_seconds())


def _check_range(keyword: str, value: float, least: float, most: float, unit: str, where: str) -> None:
    if not least <= value <= most:
        raise refused(
            f"The attribute {keyword} is out of range.",
            where,
            f"{least:g} to {most:g} {unit}",
            "another value",
        )
