"""SUV from DICOM: what lacks an attribute, or bears one that gives no SUV, is refused by its name."""

from copy import deepcopy

import numpy as np
import pytest
from pet_series import BY_HAND, STORED, factor, ge_private, philips, read

from data_prep.files.read import read_volume
from hnscc.base.errors import InputError


def both_of_philips(data, z):
    for element in (0x00, 0x09):
        philips(element, "0.00052500")(data, z)


@pytest.mark.parametrize(
    "units, change, typed, name",
    [
        ("BQML", ge_private, b"\x09\x00\x0d\x10DT", r"\(0009,100d\)"),
        ("CNTS", both_of_philips, b"\x53\x70\x00\x10DS", r"\(7053,1000\)"),
        ("CNTS", philips(0x09, "0.00052500"), b"\x53\x70\x09\x10DS", r"\(7053,1009\)"),
    ],
)
def test_a_private_attribute_that_is_damaged_does_not_count_as_missing(tmp_path, units, change, typed, name):
    """It did, and the SUV were by another rule, without a word of it."""

    def late(data, z):
        data.FrameReferenceTime, data.ActualFrameDuration = f"{1000 * (60 * z + 30)}", "60000"
        change(data, z)

    read(tmp_path, change=late, Units=units)
    for file in (tmp_path / "s").iterdir():
        content = file.read_bytes()
        assert content.count(typed) == 1
        file.write_bytes(content.replace(typed, typed[:4] + b"FD"))  # numbers of 8 bytes, of which none fit
    with pytest.raises(InputError, match=f"The private attribute {name} cannot be read") as refused:
        read_volume(tmp_path / "s", "row 2")
    assert refused.value.where == "row 2" and refused.value.found == "bytes that cannot be decoded as one"


@pytest.mark.parametrize(
    "name",
    [
        *("Units", "DecayCorrection", "CorrectedImage", "PatientWeight", "SeriesTime", "AcquisitionTime"),
        *("RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartTime"),
    ],
)
def test_what_lacks_an_attribute_is_refused_by_its_name(tmp_path, name):
    with pytest.raises(InputError, match=name) as refused:
        read(tmp_path, **{name: None})
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("kind", ["130", "128.1"])
def test_an_enhanced_pet_is_refused_by_what_it_is(tmp_path, kind):
    """It has its units within functional groups, so that they seem to be missing."""

    def change(data, z):
        data.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.{kind}"

    with pytest.raises(InputError, match="an enhanced object") as refused:
        read(tmp_path, Units=None, change=change)
    assert "a file for each slice" in str(refused.value) and "missing" not in str(refused.value)


# The first three were taken for 10:15, 09:15 and 09:15 of the next day, or a factor 14 times too large was made of
# them; the others for 59 seconds.
NO_TIMES = ("097500", "257500", "331500", "090061", "090099.5", "0900.5", "240000")


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # pydicom, as the file is made
@pytest.mark.parametrize(
    "attributes, words",
    [
        ({"Units": "PROPCNTS"}, "Units give no SUV[^$]*PROPCNTS"),
        ({"Units": "SECRET"}, "Units give no SUV[^$]*another word"),
        ({"DecayCorrection": "NONE"}, "DecayCorrection gives no SUV[^$]*found: +NONE"),
        ({"DecayCorrection": "SECRET"}, "DecayCorrection gives no SUV[^$]*found: +another word"),
        ({"CorrectedImage": ["DECY"]}, "not corrected for attenuation"),
        ({"CorrectedImage": ["ATTN"]}, "not corrected for decay"),
        ({"PatientWeight": 70000}, "PatientWeight is out of range[^$]*found: +another value"),
        ({"PatientWeight": 0.4}, "PatientWeight is out of range"),
        ({"RadionuclideTotalDose": 2e11}, "RadionuclideTotalDose is out of range"),
        ({"RadionuclideHalfLife": 5}, "RadionuclideHalfLife is out of range"),
        ({"RadionuclideHalfLife": 2e7}, "RadionuclideHalfLife is out of range"),
        ({"SeriesTime": "100000+0100"}, "SeriesTime are unusable[^$]*a time with a UTC offset"),
        ({"RadionuclideTotalDose": 370}, "RadionuclideTotalDose is out of range[^$]*found: +370 Bq"),
        ({"RadiopharmaceuticalStartTime": "09"}, "RadiopharmaceuticalStartTime is unusable[^$]*2 characters"),
        *(({"RadiopharmaceuticalStartTime": time}, "StartTime is unusable") for time in NO_TIMES),
        *(({"SeriesTime": time}, "SeriesDate and SeriesTime are unusable") for time in NO_TIMES),
        *(({"RadiopharmaceuticalStartDateTime": f"20200102{time}"}, "is unusable") for time in NO_TIMES),
        ({"RadiopharmaceuticalStartDateTime": "20200230090000"}, "is unusable"),
        ({"suv": "lbm"}, "PatientSize is missing"),
        ({"suv": "lbm", "PatientSize": 1.75, "PatientSex": "O"}, "PatientSex gives no lean body mass"),
        ({"suv": "lbm", "PatientSize": 175}, "PatientSize is out of range"),
    ],
)
def test_what_gives_no_suv_is_refused(tmp_path, attributes, words):
    with pytest.raises(InputError, match=words) as refused:
        read(tmp_path, **attributes)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    "attributes, words",
    [
        ({"Units": "PROPCNTS"}, "convert it to SUV in NIfTI"),
        ({"Units": "CNTS"}, "convert it to SUV in NIfTI"),
        ({"DecayCorrection": "NONE"}, "convert it to SUV in NIfTI"),
        ({"CorrectedImage": ["DECY"]}, "Name a series that is corrected for attenuation"),
        ({"suv": "lbm"}, "--suv bw"),
        ({"suv": "lbm", "PatientSize": 175}, "--suv bw"),
        ({"suv": "lbm", "PatientSize": 1.75, "PatientSex": "O"}, "--suv bw"),
    ],
)
def test_what_to_do_is_no_copy_that_would_be_the_same(tmp_path, attributes, words):
    with pytest.raises(InputError) as refused:
        read(tmp_path, **attributes)
    assert words in refused.value.do and "copy" not in refused.value.do


@pytest.mark.parametrize(
    "name, last, settings",
    [
        ("Units", "GML", {}),
        ("SUVType", "BSA", {"Units": "GML"}),
        ("DecayCorrection", "ADMIN", {}),
        ("CorrectedImage", ["DECY"], {}),
        ("PatientWeight", 71, {}),
        ("PatientSize", 1.7, {"suv": "lbm", "PatientSize": 1.75, "PatientSex": "M"}),
        ("PatientSex", "F", {"suv": "lbm", "PatientSize": 1.75, "PatientSex": "M"}),
        ("TimezoneOffsetFromUTC", "+0200", {"TimezoneOffsetFromUTC": "+0100"}),
    ],
)
def test_a_slice_that_states_another_value_than_the_others_is_refused(tmp_path, name, last, settings):
    """Of most of them the first slice's alone would count."""

    def change(data, z):
        if z == 2:
            setattr(data, name, last)

    with pytest.raises(InputError, match=f"The attribute {name} differs between the slices"):
        read(tmp_path, change=change, **settings)


@pytest.mark.parametrize("name, last", [("RadionuclideTotalDose", 371e6), ("RadionuclideHalfLife", 6588)])
def test_slices_of_different_injections_are_refused(tmp_path, name, last):
    def change(data, z):
        data.RadiopharmaceuticalInformationSequence = deepcopy(data.RadiopharmaceuticalInformationSequence)
        if z == 2:
            setattr(data.RadiopharmaceuticalInformationSequence[0], name, last)

    with pytest.raises(InputError, match="The injection differs between the slices"):
        read(tmp_path, change=change)


def test_two_injections_are_refused(tmp_path):
    def change(data, z):
        injections = data.RadiopharmaceuticalInformationSequence
        data.RadiopharmaceuticalInformationSequence = [injections[0], deepcopy(injections[0])]

    with pytest.raises(InputError, match="The PET is of several injections"):
        read(tmp_path, change=change)


def test_one_time_for_injection_and_scan_gives_no_suv(tmp_path):
    """As anonymisers leave it; SUV were 0.68 of the right ones, without a word."""
    times = dict.fromkeys(("SeriesTime", "AcquisitionTime", "RadiopharmaceuticalStartTime"), "120000.00")
    with pytest.raises(InputError, match=r"cannot both be right[^$]*found: +0 half-lives"):
        read(tmp_path / "1", **times)
    # A scan that begins with the injection, of which this is a later frame, or the first with later bed positions.
    found = factor(tmp_path / "2", **times | {"AcquisitionTime": "125000"})
    assert found == pytest.approx(70000 / 370e6, rel=1e-6)

    def by_bed(data, z):
        data.AcquisitionTime = f"12{z:02d}00"

    assert factor(tmp_path / "3", change=by_bed, **times) == pytest.approx(70000 / 370e6, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "time"),
    [
        *(("RadiopharmaceuticalStartTime", time) for time in ("000000", "0000", "00:00:00", "000000.000000")),
        *(("AcquisitionTime", "000000.0"), ("SeriesTime", "000000")),
        *(("RadiopharmaceuticalStartDateTime", f"20200102000000{zone}") for zone in ("", ".0")),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # pydicom, as the file is made
def test_midnight_gives_no_suv(tmp_path, name, time):
    """As anonymisers leave it: of a scan at 10:00, SUV were 30 or 44 times as large, without a word."""
    with pytest.raises(InputError, match=rf"{name}[^$]*midnight, as anonymisers write it"):
        read(tmp_path, **{name: time})


def test_half_a_second_after_midnight_is_a_time(tmp_path):
    times = {"SeriesTime": "010000.5", "AcquisitionTime": "010000.5"}
    assert factor(tmp_path, RadiopharmaceuticalStartTime="000000.5", **times) == pytest.approx(
        BY_HAND, rel=1e-6
    )


@pytest.mark.parametrize("suv", ["bw", "lbm"])
def test_a_pet_cannot_hold_more_than_was_injected(tmp_path, suv):
    """By hand, in Bq; by lean body mass SUV are smaller, and so much more would be let through."""
    of_patient = {"PatientSize": 1.75, "PatientSex": "M", "suv": suv}
    held = float((STORED * np.array([0.5, 1.0, 4.0])).sum()) * 9e-3  # Bq in voxels of 2 x 1.5 x 3 mm
    left = 0.5 ** (3600 / 6586.2)  # of the dose
    share = 1.0 if suv == "bw" else lean_share(70, 1.75)
    for times, dose in ((1.99, 1e5), (2.01, 1e5)):
        slopes = np.array([0.5, 1.0, 4.0]) * times * dose * left / held / share
        attributes = {**of_patient, "RadionuclideTotalDose": dose, "slopes": slopes}
        if times < 2:
            read(tmp_path / "1", **attributes)
            continue
        with pytest.raises(InputError, match="more activity than was injected") as refused:
            read(tmp_path / "2", **attributes)
        assert refused.value.found == "2.01 times as much" and "70" not in str(refused.value)
        read(tmp_path / "3", **attributes, Units="GML", **({"SUVType": "LBMJANMA"} if suv == "lbm" else {}))


def lean_share(weight: float, size: float) -> float:
    """Of a man's weight in kg, his size in m, by Janmahasatian."""
    return 9270 / (6680 + 216 * weight / size**2)
