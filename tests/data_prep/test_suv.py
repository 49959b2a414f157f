"""SUV from DICOM: values by hand, and another implementation's."""

import math
from datetime import datetime

import dicom_files as made
import numpy as np
import pytest
from pet_series import BY_HAND, STORED, factor, philips, read

from data_prep.files.read import read_volume
from hnscc.base.errors import InputError


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


def test_each_slice_has_its_own_private_factors_of_philips(tmp_path):
    """Where one slice lacks the factor to SUV, that to activity counts; where one lacks both, nothing does."""
    to_suv, to_activity = ("0.0005", "0.0007", "0.0011"), ("1.5", "2.5", "4.5")

    def series(*held):
        def change(data, z):
            for element, values in ((0x00, to_suv), (0x09, to_activity)):
                if (element, z) not in held:
                    philips(element, values[z])(data, z)

        return {"Units": "CNTS", "change": change}

    scaled = STORED * np.array([0.5, 1.0, 4.0])
    by_suv, by_activity = (np.array(each, float) for each in (to_suv, to_activity))
    np.testing.assert_allclose(read(tmp_path / "1", **series()).data, scaled * by_suv, rtol=1e-6)
    found = read(tmp_path / "2", **series((0x00, 2)))
    np.testing.assert_allclose(found.data, scaled * by_activity * BY_HAND, rtol=1e-6)
    with pytest.raises(InputError, match=r"\(7053,1000\) or \(7053,1009\)"):
        read(tmp_path / "3", **series((0x00, 2), (0x09, 1)))


@pytest.mark.parametrize("typed, value", [("DS", "-0.5"), ("FD", math.inf), ("LO", "many")])
def test_private_factors_of_philips_that_are_no_numbers_above_0_are_refused(tmp_path, typed, value):
    def change(data, z):
        data.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, typed, value)

    with pytest.raises(InputError, match=r"The private attribute \(7053,1000\) is unusable"):
        read(tmp_path, Units="CNTS", change=change)


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
