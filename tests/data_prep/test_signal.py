"""How a volume's values were processed is found, and told where it separates scans with lesion from those without."""

import numpy as np
import pytest
from scans import prepare, save, volume, write
from scipy import ndimage

from data_prep.placing.numbers import signal_of


def test_the_step_of_a_ramp_is_a_third_and_that_of_noise_one():
    ramp = np.broadcast_to(np.arange(60.0)[:, None, None], (60, 1, 4))
    assert signal_of(volume(ramp))["step"] == pytest.approx(1 / 3)
    air = np.arange(80)[:, None, None] < 40  # as dark as no body is
    noise = np.random.default_rng(0).normal(size=(80, 80, 10))
    steps = [
        signal_of(volume(np.where(air, -10, ndimage.gaussian_filter(noise, (by, by, 0)))))["step"]
        for by in (0, 0.5, 1, 2)
    ]
    assert steps[0] == pytest.approx(1, abs=0.02)
    # Of Gaussian noise smoothed by s, voxels d apart correlate by exp(-d^2 / 4 s^2); by half a voxel, in samples.
    kernel = np.exp(-2 * np.arange(-2, 3) ** 2)
    alike = (kernel[1:] * kernel[:-1]).sum() / (kernel**2).sum()
    expected = [
        np.sqrt(1 - alike),
        *(np.sqrt((1 - np.exp(-1 / 4 / s**2)) / (1 - np.exp(-9 / 4 / s**2))) for s in (1, 2)),
    ]
    assert steps[1:] == pytest.approx(expected, abs=0.03)


def test_values_are_counted_between_mean_and_median_of_the_brighter_and_those_cut_off_at_the_top():
    """0 to 9, of which 5 to 9 lie above the mean of 4.5, 5, 6 and 7 in the darker half of these; 160
    voxels of 9, of which the first is not counted."""
    data = np.arange(1600).reshape(20, 16, 5) % 10
    found = signal_of(volume(data))
    assert found["values"] == 3 and found["cut"] == 159 / 1600
    flat = signal_of(volume(np.full((8, 8, 2), 3.0)))
    assert flat["step"] is None and flat["values"] == 0


DAMAGES = {
    "step from voxel to voxel": lambda mri, rng: ndimage.gaussian_filter(mri, (0.7, 0.7, 0)),
    "grain": lambda mri, rng: mri + rng.normal(0, 60, mri.shape),
    "number of different values": lambda mri, rng: np.round(mri / mri.max() * 60) * (mri.max() / 60),
    "share of voxels with the highest value": lambda mri, rng: np.minimum(mri, np.percentile(mri, 99.5)),
    "lowest value": lambda mri, rng: mri + 20,
    "brightness": lambda mri, rng: mri * 1.3,
}


def heads(folder, damage, damaged):
    """Textured discs in 14 scans, every other one with a lesion of the same brightness; those damaged for which
    `damaged` holds, by their lesion."""
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    x, y, _ = np.indices((48, 48, 4)) - 23.5
    disc = x**2 + y**2 < 19**2
    mask = ((x - 6) ** 2 + y**2 < 6**2).astype(np.uint8)
    for number in range(14):
        rng, ill = np.random.default_rng(number), number % 2 == 1
        texture = ndimage.gaussian_filter(rng.normal(0, 1, disc.shape), (1.5, 1.5, 0)) * 200
        mri = np.abs(rng.normal(0, 30, disc.shape)) + disc * (500 * rng.uniform(0.95, 1.05) + texture)
        mri = damage(mri, rng) if damaged(ill) else mri
        write(folder / f"{number}.nii", np.clip(mri, 0, None).astype(np.float32))
        write(folder / f"{number}-mask.nii", mask)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii" if ill else ""])
    return save(folder, rows)


def separates(folder, *how) -> list[str]:
    store = prepare(heads(folder, *how), folder / "s.zarr", size=48, workers=1, accept_odd="a test")
    return [text for text in store.odd if "separates scans with lesion from those without" in text]


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", DAMAGES)
def test_what_only_scans_with_lesion_went_through_is_told(tmp_path, name):
    found = separates(tmp_path, DAMAGES[name], lambda ill: ill)
    assert any(text.startswith(f"the {name}") for text in found)


def test_what_only_scans_without_lesion_went_through_is_told_too(tmp_path):
    assert separates(tmp_path, DAMAGES["step from voxel to voxel"], lambda ill: not ill)


@pytest.mark.quick(1)
@pytest.mark.parametrize("everywhere", [False, True])
def test_what_none_or_all_went_through_is_not_told(tmp_path, everywhere):
    assert separates(tmp_path, DAMAGES["step from voxel to voxel"], lambda ill: everywhere) == []
