"""Standardised uptake values of PET: a factor from the unit of values, by each vendor's rules; nothing is guessed.

SUV by body weight is the activity concentration in Bq/ml, divided by the dose in Bq per gram of the patient, the dose
decayed to the time that the concentration is corrected to: that of the injection (DecayCorrection ADMIN), or of the
scan's start (START). Source: "SUV calculation", QIBA, Vendor-neutral pseudo-code for SUV calculation, the happy path
and that for vendors' private attributes; lean body mass by Janmahasatian et al. 2005, 10.2165/00003088-200544100-00004.
"""

import math
from collections.abc import Sequence

from pydicom.dataset import Dataset

from data_prep.dicom.decay import OR_CONVERT, decayed_dose
from data_prep.dicom.header import (
    EXPORT_AGAIN,
    check_range,
    lacking_attribute,
    numbers_of,
    private_name,
    private_value,
    text_of,
    unusable,
)
from data_prep.settings import SUV
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of, word_among
from hnscc.cohort.store_format import SUV_UNITS

BODY_WEIGHT, LEAN_BODY_MASS = SUV
UNITS = dict(zip(SUV, SUV_UNITS, strict=True))
# Times the injected activity, at most: a PET cannot show more than all of it, apart from noise and corrections.
MOST_OF_DOSE = 2.0
# What must be one for all slices of a series.
_ONE = (
    *("Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientWeight", "PatientSize", "PatientSex"),
    "TimezoneOffsetFromUTC",
)
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
_KNOWN_TYPES = ("BSA", "BW", "LBM", "LBMJAMES128", "LBMJANMA", "IBW")
_TYPES = {BODY_WEIGHT: ("", "BW"), LEAN_BODY_MASS: ("LBMJANMA",)}
# Enhanced PET, and what archives convert classic PET to.
_ENHANCED = ("1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1")
_BODY_WEIGHT_DOES = (
    "Take SUV by body weight, which needs neither size nor sex (--suv bw); or take the scan out."
)
_PHILIPS = (0x7053, "Philips PET Private Group")


def suv_factors(headers: Sequence[Dataset], weighting: str, where: str) -> list[float]:
    """Return, for each file of a PET series, what its scaled values are multiplied with to be SUV.

    weighting: "bw" (body weight) or "lbm" (lean body mass). InputError names the attribute that is missing, unusable
    or not the same in all files; it is raised too where the unit of values gives no SUV or they are not corrected
    for decay and attenuation, and where the times cannot be right.
    """
    _check_one(headers, where)
    units = text_of(headers[0], "Units", where)
    if units == "GML":
        _check_type(headers[0], weighting, where)
        return [1.0] * len(headers)
    if units not in ("BQML", "CNTS"):
        if not units:
            raise _enhanced(where) if _is_enhanced(headers[0], where) else lacking_attribute("Units", where)
        found = word_among(units, _KNOWN_UNITS)
        raise unusable(
            "The PET's Units give no SUV.",
            where,
            "BQML, GML, or CNTS of Philips",
            found,
            f"Reconstruct it in Bq/ml, {OR_CONVERT}",
        )
    _check_corrected(headers[0], where)
    mass = _mass(headers[0], weighting, where)
    if units == "BQML":
        return [mass / decayed_dose(headers, where)] * len(headers)
    return _philips_factors(headers, mass, weighting, where)


def check_activity(header: Dataset, suv_ml: float, where: str) -> None:
    """InputError where a PET holds more activity than was injected, so that dose, weight or a time cannot be right.

    header: of a file of which `suv_factors` made a factor. suv_ml: the sum of the SUV of all voxels, times a voxel's
    size in ml. By body weight it is the patient's weight in g where the PET shows all of the dose; by lean body mass
    less. Of a PET that was in SUV already nothing is known.
    """
    if text_of(header, "Units", where) == "GML":
        return
    times = suv_ml / _mass(header, BODY_WEIGHT, where)
    if times > MOST_OF_DOSE:
        raise unusable(
            "The PET holds more activity than was injected: its dose, its times or the weight cannot be right.",
            where,
            "as much as the injected dose, decayed to the scan, at most",
            f"{times:.3g} times as much",
            f"Look at RadionuclideTotalDose (in Bq), the times of injection and scan, and PatientWeight; export it "
            f"again with the right ones, {OR_CONVERT}",
        )


def _is_enhanced(header: Dataset, where: str) -> bool:
    return text_of(header, "SOPClassUID", where) in _ENHANCED


def _enhanced(where: str) -> InputError:
    return unusable(
        "The PET is an enhanced object: Units, dose and times stand elsewhere there, where they are not read.",
        where,
        "a PET with a file for each slice",
        "all slices in one file (Enhanced PET)",
        "Export it as classic PET, with a file for each slice; or convert it to SUV in NIfTI.",
    )


def _philips_factors(headers: Sequence[Dataset], mass: float, weighting: str, where: str) -> list[float]:
    """Philips counts: a factor to SUV by body weight, or where that is missing one to Bq/ml."""
    to_suv = [_private(each, _PHILIPS, 0x00, where) for each in headers]
    if all(to_suv):
        share = mass / _mass(headers[0], BODY_WEIGHT, where) if weighting == LEAN_BODY_MASS else 1.0
        return [factor * share for factor in to_suv if factor]
    to_activity = [_private(each, _PHILIPS, 0x09, where) for each in headers]
    if not all(to_activity):
        raise unusable(
            "The PET is in counts, and no factor to SUV or to activity stands in all of its files.",
            where,
            "the private attribute (7053,1000) or (7053,1009) of Philips",
            "neither",
            f"Export it again with its private attributes, which de-identification takes out, {OR_CONVERT}",
        )
    dose = decayed_dose(headers, where)
    return [factor * mass / dose for factor in to_activity if factor]


def _private(header: Dataset, creator: tuple[int, str], element: int, where: str) -> float | None:
    """A number above 0 in a vendor's private attribute; None where it is missing, empty or 0."""
    value = private_value(header, creator, element, where)
    try:
        number = float(value) if value is not None else 0.0
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise unusable(
            f"The private attribute {private_name(creator[0], element)} is unusable.",
            where,
            "a number of 0 or more",
            "text that is no number" if math.isnan(number) else f"{number:.4g}",
            EXPORT_AGAIN,
        )
    return number or None


def _check_one(headers: Sequence[Dataset], where: str) -> None:
    for keyword in _ONE:
        values = {text_of(each, keyword, where) for each in headers}
        if len(values) > 1:
            raise unusable(
                f"The attribute {keyword} differs between the slices.",
                where,
                "one for all",
                f"{len(values)}",
                "Leave the files of one series in the folder, as the scanner wrote them, or take the scan out.",
            )


def _check_type(header: Dataset, weighting: str, where: str) -> None:
    """InputError where values that are SUV already are of another type than the one asked for."""
    kind = text_of(header, "SUVType", where)
    if kind not in _TYPES[weighting]:
        raise unusable(
            "The PET is in SUV of another type (SUVType).",
            where,
            f"{UNITS[weighting]}: SUVType {' or '.join(each or 'empty' for each in _TYPES[weighting])}",
            word_among(kind, _KNOWN_TYPES),
            "Choose the type that all scans share (--suv), or export the series in Bq/ml.",
        )


def _check_corrected(header: Dataset, where: str) -> None:
    corrected = text_of(header, "CorrectedImage", where).split("\\")
    for word, name in (("ATTN", "attenuation"), ("DECY", "decay")):
        if word not in corrected:
            raise unusable(
                f"The PET is not corrected for {name}, or does not say so (CorrectedImage).",
                where,
                f"{word} among its words",
                f"{count_of(sum(map(bool, corrected)), 'word')}, none of which is {word}",
                f"Name a series that is corrected for {name}, or reconstruct one, {OR_CONVERT}",
            )


def _mass(header: Dataset, weighting: str, where: str) -> float:
    """The patient's weight, or lean body mass, in g."""
    (weight,) = numbers_of(header, "PatientWeight", 1, where)
    check_range("PatientWeight", weight, 0.5, 500, "kg", where)
    if weighting == BODY_WEIGHT:
        return 1000 * weight
    (size,) = numbers_of(header, "PatientSize", 1, where, _BODY_WEIGHT_DOES)
    check_range("PatientSize", size, 0.3, 2.6, "m", where, _BODY_WEIGHT_DOES)
    sex = text_of(header, "PatientSex", where)
    if sex not in ("M", "F"):
        raise unusable(
            "The attribute PatientSex gives no lean body mass.",
            where,
            "M or F",
            "another word" if sex else "none",
            _BODY_WEIGHT_DOES,
        )
    constant, per_index = (6680, 216) if sex == "M" else (8780, 244)
    return 1000 * 9270 * weight / (constant + per_index * weight / size**2)
