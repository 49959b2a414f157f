"""SUV from DICOM: values by hand, another implementation's, and what lacks an attribute is refused by its name."""

import math
from datetime import datetime

import dicom_files as made
import numpy as np
import pytest

from data_prep.files.read import read_volume
from hnscc.base.errors import InputError

# 1 Bq/ml: 70,000 g of body over a dose of 370 MBq that decayed for an hour, with a half-life of 6586.2 s.
BY_HAND = 70000 / (370e6 * 0.5 ** (3600 / 6586.2))
STORED = np.arange(1, 61).reshape(5, 4, 3).astype(np.int16)


def read(tmp_path, change=None, suv="bw", slopes=(0.5, 1.0, 4.0), intercept=0, **attributes):
    series = made.classic_series(
        STORED, modality="PT", slopes=slopes, intercept=intercept, **made.pet_attributes(**attributes)
    )
    return read_volume(made.write(tmp_path / "s", series, change), "row 2", suv)


def factor(tmp_path, **settings) -> float:
    """What stored values times their slope are multiplied with; the same for every voxel."""
    volume = read(tmp_path, **settings)
    ratio = volume.data / (STORED * np.array([0.5, 1.0, 4.0]))
    np.testing.assert_allclose(ratio, ratio[0, 0, 0], rtol=1e-6)
    return float(ratio[0, 0, 0])


def test_activity_in_bq_per_ml_by_hand(tmp_path):
    assert pytest.approx(2.7634e-4, rel=1e-4) == BY_HAND
    assert factor(tmp_path) == pytest.approx(BY_HAND, rel=1e-6)
    assert read(tmp_path / "2").unit == "SUV"


def test_an_intercept_is_scaled_too(tmp_path):
    volume = read(tmp_path, slopes=(1, 1, 1), intercept=-100)
    np.testing.assert_allclose(volume.data, (STORED - 100.0) * BY_HAND, rtol=1e-6)


def test_values_corrected_to_the_injection_do_not_decay_again(tmp_path):
    assert factor(tmp_path, DecayCorrection="ADMIN") == pytest.approx(70000 / 370e6, rel=1e-6)


def test_values_that_are_suv_are_taken_as_they_are(tmp_path):
    attributes = {
        "Units": "GML",
        "PatientWeight": None,
        "RadionuclideTotalDose": None,
        "CorrectedImage": None,
    }
    assert factor(tmp_path, **attributes) == 1
    assert factor(tmp_path / "2", SUVType="BW", **attributes) == 1
    with pytest.raises(InputError, match="SUV of another type"):
        read(tmp_path / "3", SUVType="BSA", **attributes)
    with pytest.raises(InputError, match="SUV of another type"):
        read(tmp_path / "4", suv="lbm", **attributes)
    assert read(tmp_path / "5", suv="lbm", SUVType="LBMJANMA", **attributes).unit == "SUV (lean body mass)"


@pytest.mark.parametrize(
    # Janmahasatian et al.: 9270 x 70 / (6680 + 216 x 22.857) = 55.857 kg, and / (8780 + 244 x 22.857) = 45.197 kg.
    "sex, mass",
    [("M", 55.857), ("F", 45.197)],
)
def test_lean_body_mass(tmp_path, sex, mass):
    found = factor(tmp_path, suv="lbm", PatientSize=1.75, PatientSex=sex)
    assert found == pytest.approx(BY_HAND * mass / 70, rel=2e-5)


def test_an_injection_before_midnight(tmp_path):
    at_night = {
        "SeriesTime": "003000",
        "AcquisitionTime": "003000",
        "RadiopharmaceuticalStartTime": "233000.000",
    }
    assert factor(tmp_path, **at_night) == pytest.approx(BY_HAND, rel=1e-6)


def test_a_series_split_by_midnight(tmp_path):
    """The last bed positions are acquired on the next day; all are corrected to the start of the series."""

    def later(data, z):
        data.SeriesTime, data.AcquisitionTime = "235000", ["235000", "235900", "000800"][z]
        data.AcquisitionDate = ["20200102", "20200102", "20200103"][z]

    found = factor(tmp_path, change=later, RadiopharmaceuticalStartTime="225000")
    assert found == pytest.approx(BY_HAND, rel=1e-6)


def test_a_stated_day_of_injection_counts(tmp_path):
    injected = {"RadiopharmaceuticalStartDateTime": "20200102090000.00"}
    assert factor(tmp_path, **injected) == pytest.approx(BY_HAND, rel=1e-6)
    with pytest.raises(InputError, match="StartDateTime and RadiopharmaceuticalStartTime differ"):
        read(tmp_path / "2", RadiopharmaceuticalStartDateTime="20200102093000")
    with pytest.raises(InputError, match=r"cannot both be right[^$]*half-lives"):
        read(tmp_path / "3", RadiopharmaceuticalStartDateTime="20200101090000")


@pytest.mark.parametrize("hours, name", [(3.0, "shorter"), (12.701, "Cu-64"), (78.41, "Zr-89")])
def test_the_day_of_an_injection_is_never_guessed_where_several_are_possible(tmp_path, hours, name):
    """Injected at 09:00, scanned at 10:00. With a half-life of 3 h, 25 h would be more than 8 half-lives."""
    half_life = {"RadionuclideHalfLife": f"{3600 * hours:.1f}"}
    days_before = {"RadiopharmaceuticalStartDateTime": "20191231090000"}
    if name == "shorter":
        expected = 70000 / (370e6 * 0.5 ** (1 / hours))
        assert factor(tmp_path, **half_life) == pytest.approx(expected, rel=1e-6)
        return
    with pytest.raises(InputError, match=r"no day of the injection \(RadiopharmaceuticalStartDateTime"):
        read(tmp_path / "2", **half_life)
    expected = 70000 / (370e6 * 0.5 ** (49 / hours))
    assert factor(tmp_path / "3", **half_life, **days_before) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "stated, own, fits",
    [
        *(("090000+0100", "+0100", True), ("080000.0+0000", "+0100", True), ("033000-0430", "+0100", True)),
        *(("090000+0100", None, False), ("090000+0100", "Berlin", False), ("090000", None, True)),
    ],
)
def test_a_utc_offset_counts(tmp_path, stated, own, fits):
    """All are 09:00 on the clock of the scan, where the file tells that clock."""
    attributes = {
        "RadiopharmaceuticalStartDateTime": f"20200102{stated}",
        "RadiopharmaceuticalStartTime": None,
    }

    def in_zone(data, z):
        if own:
            data.add_new("TimezoneOffsetFromUTC", "SH", own)

    if fits:
        assert factor(tmp_path, change=in_zone, **attributes) == pytest.approx(BY_HAND, rel=1e-6)
        return
    with pytest.raises(InputError, match=r"RadiopharmaceuticalStartDateTime bears a UTC offset"):
        read(tmp_path, change=in_zone, **attributes)


def test_the_private_time_of_ge_bears_an_offset_too(tmp_path):
    def change(data, z):
        ge_private(data, z)
        data.TimezoneOffsetFromUTC = "+0100"
        data.private_block(0x0009, "GEMS_PETD_01")[0x0D].value = "20200102090000.00+0000"

    assert factor(tmp_path, change=change) == pytest.approx(BY_HAND, rel=1e-6)


def ge_private(data, z):
    """A series made an hour after the scan, which GE's private attribute tells."""
    data.SeriesTime, data.AcquisitionTime = "110000", f"10{z:02d}00"
    data.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20200102100000.00")


def siemens_frames(data, z):
    """The same without a private time: each bed position of 120 s says how far into the scan its average lies."""
    start, duration, rate = 130.0 * z, 120.0, math.log(2) / 6586.2
    ends = np.linspace(0, duration, 200001)
    activity = np.exp(-rate * ends)
    average = float(np.interp(-activity.mean(), -activity, ends))
    data.SeriesTime, data.AcquisitionTime = "110000", f"10{int(start) // 60:02d}{int(start) % 60:02d}"
    data.FrameReferenceTime, data.ActualFrameDuration = f"{1000 * (start + average):.1f}", "120000"


@pytest.mark.parametrize("change", [ge_private, siemens_frames])
def test_a_series_that_was_made_after_its_acquisition(tmp_path, change):
    assert factor(tmp_path, change=change) == pytest.approx(BY_HAND, rel=1e-6)


def test_frames_that_disagree_on_the_start_of_the_scan(tmp_path):
    def disagreeing(data, z):
        siemens_frames(data, z)
        data.FrameReferenceTime = "60000"

    with pytest.raises(InputError, match="do not agree on when the scan began"):
        read(tmp_path, change=disagreeing)


def philips(element, value):
    def change(data, z):
        data.private_block(0x7053, "Philips PET Private Group", create=True).add_new(element, "DS", value)

    return change


def test_counts_by_the_private_factors_of_philips(tmp_path):
    assert factor(tmp_path, Units="CNTS", change=philips(0x00, "0.000525")) == pytest.approx(0.000525)
    to_activity = factor(tmp_path / "2", Units="CNTS", change=philips(0x09, "1.5"))
    assert to_activity == pytest.approx(1.5 * BY_HAND, rel=1e-6)
    lean = {"suv": "lbm", "PatientSize": 1.75, "PatientSex": "M", "Units": "CNTS"}
    found = factor(tmp_path / "3", change=philips(0x00, "0.000525"), **lean)
    assert found == pytest.approx(0.000525 * 55.857 / 70, rel=2e-5)
    with pytest.raises(InputError, match=r"\(7053,1000\) or \(7053,1009\)"):
        read(tmp_path / "4", Units="CNTS")
    with pytest.raises(InputError, match=r"\(7053,1000\) or \(7053,1009\)"):
        read(tmp_path / "5", Units="CNTS", change=philips(0x00, "0"))


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


@pytest.mark.parametrize("name", ["FrameReferenceTime", "ActualFrameDuration"])
def test_a_late_series_without_the_place_of_its_frames_is_refused(tmp_path, name):
    def lacking(data, z):
        siemens_frames(data, z)
        delattr(data, name)

    with pytest.raises(InputError, match=f"{name} is missing"):
        read(tmp_path, change=lacking)


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
        ({"RadionuclideTotalDose": 370}, "RadionuclideTotalDose is out of range[^$]*found: +370 Bq"),
        ({"RadiopharmaceuticalStartTime": "09"}, "RadiopharmaceuticalStartTime is unusable[^$]*2 characters"),
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


def test_slices_of_different_weights_or_doses_are_refused(tmp_path):
    def heavier(data, z):
        data.PatientWeight = 70 + z

    with pytest.raises(InputError, match="PatientWeight differs"):
        read(tmp_path, change=heavier)


def other_implementation(data) -> float:
    """SUV per Bq/ml of one slice as a script would have it: decay by natural logarithm, times through datetime."""
    injection = data.RadiopharmaceuticalInformationSequence[0]
    clock = "%Y%m%d%H%M%S"
    scan = datetime.strptime(data.SeriesDate + str(data.SeriesTime), clock)
    injected = datetime.strptime(data.SeriesDate + str(injection.RadiopharmaceuticalStartTime), clock)
    rate = math.log(2) / float(injection.RadionuclideHalfLife)
    waited = (scan - injected).total_seconds() if data.DecayCorrection == "START" else 0.0
    left = float(injection.RadionuclideTotalDose) * math.exp(-rate * waited)
    return float(data.PatientWeight) * 1000.0 / left


@pytest.mark.parametrize("seed", range(4))
def test_another_implementation_agrees(tmp_path, seed):
    rng = np.random.default_rng(seed)
    attributes = made.pet_attributes(
        PatientWeight=f"{rng.uniform(40, 120):.1f}",
        RadionuclideTotalDose=f"{rng.uniform(1e8, 6e8):.0f}",
        RadionuclideHalfLife=f"{rng.choice([6586.2, 1223.4, 4062.6]):.1f}",
        RadiopharmaceuticalStartTime=f"09{rng.integers(60):02d}{rng.integers(60):02d}",
        DecayCorrection=str(rng.choice(["START", "ADMIN"])),
    )
    slopes = rng.uniform(0.1, 3, 3).round(6)
    series = made.classic_series(STORED, modality="PT", slopes=slopes, **attributes)
    expected = STORED * slopes * other_implementation(series[0])
    np.testing.assert_allclose(
        read_volume(made.write(tmp_path / "s", series), "row 2").data, expected, rtol=1e-6
    )
