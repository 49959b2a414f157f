"""SUV from DICOM: the times of injection and scan, as files state them: days, clocks, series made later, frames."""

import pytest
from pet_series import BY_HAND, factor, ge_private, read, siemens_frames

from hnscc.base.errors import InputError


def test_an_injection_before_midnight(tmp_path):
    at_night = {
        "SeriesTime": "003000",
        "AcquisitionTime": "003000",
        "RadiopharmaceuticalStartTime": "233000.000",
    }
    assert factor(tmp_path, **at_night) == pytest.approx(BY_HAND, rel=1e-6)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # pydicom, as the file is made
@pytest.mark.parametrize("time, seconds", [("095960", 0), ("1000", 0), ("10:00:00.500000", 0.5)])
def test_times_as_dicom_writes_them(tmp_path, time, seconds):
    """A leap second is the next minute's first, seconds may be left out, and old files have colons."""
    found = factor(tmp_path, SeriesTime=time, AcquisitionTime=time)
    assert found == pytest.approx(BY_HAND * 2 ** (seconds / 6586.2), rel=1e-6)
    at = {"RadiopharmaceuticalStartTime": "085960", "RadiopharmaceuticalStartDateTime": "20200102085960"}
    assert factor(tmp_path / "2", **at) == pytest.approx(BY_HAND, rel=1e-6)


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
    later = {"RadiopharmaceuticalStartDateTime": "20200102110000", "RadiopharmaceuticalStartTime": "110000"}
    with pytest.raises(InputError, match=r"cannot both be right[^$]*found: +-0\.547 half-lives"):
        read(tmp_path / "4", **later)


@pytest.mark.parametrize("seconds, time", [(59, "090059"), (61, "090101")])
def test_a_minute_lies_between_times_that_are_one_at_most(tmp_path, seconds, time):
    injected = {"RadiopharmaceuticalStartDateTime": f"20200102{time}"}
    if seconds > 60:
        with pytest.raises(InputError, match=r"differ[^$]*found: +61 s apart"):
            read(tmp_path, **injected)
        return
    expected = BY_HAND * 2 ** (-seconds / 6586.2)
    assert factor(tmp_path, **injected) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("half_lives, at", [(7.9, "20200101193249"), (8.1, "20200101191052")])
def test_eight_half_lives_lie_between_injection_and_scan_at_most(tmp_path, half_lives, at):
    """7.9 half-lives of 6586.2 s are 14:27:11 before 10:00, 8.1 are 14:49:08."""
    times = {"RadiopharmaceuticalStartDateTime": at, "RadiopharmaceuticalStartTime": None}
    if half_lives > 8:
        with pytest.raises(InputError, match=r"cannot both be right[^$]*found: +8\.1 half-lives"):
            read(tmp_path, **times)
        return
    assert factor(tmp_path, **times) == pytest.approx(70000 / 370e6 * 2**half_lives, rel=1e-4)


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
        *(
            ("090000+0100", None, False),
            ("090000+0100", "Berlin", False),
            ("090000+0100", "+0199", False),
            ("090000", None, True),
        ),
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


def made_in_the_middle(data, z):
    """Its own time is 10:03, when the second of three bed positions was acquired."""
    siemens_frames(data, z)
    data.SeriesTime = "100300"


@pytest.mark.parametrize("change", [ge_private, siemens_frames, made_in_the_middle])
def test_a_series_that_was_made_after_its_acquisition(tmp_path, change):
    assert factor(tmp_path, change=change) == pytest.approx(BY_HAND, rel=1e-6)


def test_frames_that_disagree_on_the_start_of_the_scan(tmp_path):
    def disagreeing(data, z):
        siemens_frames(data, z)
        data.FrameReferenceTime = "60000"

    with pytest.raises(InputError, match="do not agree on when the scan began"):
        read(tmp_path, change=disagreeing)


def test_of_frames_that_nearly_agree_the_middle_one_counts(tmp_path):
    """By their times the scan began 0, 20 and 50 s after 10:00."""

    def nearly(data, z):
        siemens_frames(data, z)
        data.FrameReferenceTime = f"{float(data.FrameReferenceTime) - (0, 20000, 50000)[z]:.1f}"

    assert factor(tmp_path, change=nearly) == pytest.approx(BY_HAND * 2 ** (20 / 6586.2), rel=1e-6)


def test_a_series_may_begin_a_second_after_its_first_slice(tmp_path):
    """Times are written with and without parts of a second; of 2 s, the place of the frames in the scan is needed."""
    found = factor(tmp_path, SeriesTime="100000.6")
    assert found == pytest.approx(BY_HAND * 2 ** (0.6 / 6586.2), rel=1e-6)
    with pytest.raises(InputError, match="FrameReferenceTime is missing"):
        read(tmp_path / "2", SeriesTime="100002")


@pytest.mark.parametrize("name", ["FrameReferenceTime", "ActualFrameDuration"])
def test_a_late_series_without_the_place_of_its_frames_is_refused(tmp_path, name):
    def lacking(data, z):
        siemens_frames(data, z)
        delattr(data, name)

    with pytest.raises(InputError, match=f"{name} is missing"):
        read(tmp_path, change=lacking)


@pytest.mark.parametrize("day", ["20200102", "19000101"])
def test_a_series_that_begins_long_before_its_slices_is_refused(tmp_path, day):
    """An anonymiser's 00:00, or its day: of the one SUV were 44 times too large; of the other they are right."""

    def change(data, z):
        data.SeriesDate = day

    times = {"AcquisitionTime": "140000", "RadiopharmaceuticalStartTime": "130000"}
    with pytest.raises(InputError, match=r"SeriesTime and AcquisitionTime cannot both be right[^$]*14 h"):
        read(tmp_path / "1", change=change, SeriesTime="000100", **times)
    assert factor(tmp_path / "2", change=change, SeriesTime="140000", **times) == pytest.approx(
        BY_HAND, rel=1e-6
    )
