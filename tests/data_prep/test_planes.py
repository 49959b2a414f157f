"""Parts of planes that are no image: found voxel by voxel, told of the scan that holds them, and of no sound one."""

import numpy as np
import pytest
from scans import prepare, save, write
from scipy import ndimage

from data_prep.placing.planes import planes_of

SHAPE = (48, 40, 6)
DISC = np.hypot(*(np.indices(SHAPE[:2]) - np.array([23.5, 19.5])[:, None, None])) < 16


def head(seed: int = 0, reach: int = 16) -> np.ndarray:
    """A disc of tissue with a texture, in faint noise (x, y, z)."""
    rng = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(rng.normal(0, 1, SHAPE), (1.5, 1.5, 0.5)) * 400
    disc = np.hypot(*(np.indices(SHAPE[:2]) - np.array([23.5, 19.5])[:, None, None])) < reach
    return (np.abs(rng.normal(0, 8, SHAPE)) + disc[:, :, None] * (500 + texture)).astype(np.float32)


def found(data: np.ndarray, marked=None, blank=None) -> dict:
    return planes_of(data, marked, blank)


def folded(data):
    """As an object of 58 voxels looks in a field of view of 48."""
    return np.roll(data, 15, axis=0)


def repeated(data):
    """The same, padded by what lies at the other end, as the field of view's period goes on."""
    inner = data[8:-8]
    return np.concatenate([inner[-8:], inner, inner[:8]])


def mirrored(data):
    return np.concatenate([data[16:32][::-1], data[16:]])


def mirrored_in_a_wedge(data):
    copy = data.copy()
    for y in range(SHAPE[1]):
        first = 6 + y // 3
        copy[:first, y] = data[first : 2 * first, y][::-1]
    return copy


def streaked(data):
    first = 14 + np.arange(SHAPE[1]) // 8
    at = np.maximum(np.arange(SHAPE[0])[:, None], first)
    return np.take_along_axis(data, at[:, :, None], 0)


def without_single_voxels(data):
    holes = np.random.default_rng(1).random(SHAPE) < 0.01
    return np.where(holes, 0, data)


def with_hot_voxels(data):
    hot = np.random.default_rng(1).random(SHAPE) < 0.003
    return np.where(hot, 5000, data)


def wedge():
    x, y, _ = np.indices(SHAPE)
    return x + y // 4 < 22


def noisy(data):
    noise = np.random.default_rng(1).normal(500, 250, SHAPE)
    return np.where(wedge(), np.abs(noise), data)


def grey(data):
    return np.where(wedge(), 300, data)


def with_a_letter(data):
    copy = data.copy()
    copy[2:4, 2:10], copy[4:8, 2:4] = 600, 600
    return copy


def striped(data):
    copy = data.copy()
    copy[::4] *= 0.5
    return copy


def scaled_apart(data):
    copy = data.copy()
    copy[:, :, 3:] *= 0.6
    return copy


def round_view(data):
    inner = np.hypot(*(np.indices(SHAPE[:2]) - np.array([23.5, 19.5])[:, None, None])) < 12
    return np.where(inner[:, :, None], data, 0)


TOLD = {
    folded: "goes on at one border of its slices where it ends at the opposite one",
    repeated: "holds lines of voxels a second time in the same slice",
    mirrored: "holds lines of voxels a second time in the same slice",
    mirrored_in_a_wedge: "holds lines of voxels a second time in the same slice",
    streaked: "goes on in streaks of one value up to a border",
    without_single_voxels: "has single voxels without a signal amid tissue",
    with_hot_voxels: "has single voxels far brighter than all around them",
    noisy: "is noise in a part of the body",
    with_a_letter: "holds one and the same bright value at the same place of most slices",
    scaled_apart: "is suddenly brighter or darker from one slice on than before",
    striped: "has rows or columns that are less like the next one",
    grey: "holds one and the same value in far more voxels than tissue does",
    round_view: "ends at its lowest value amid tissue",
}


def test_each_scan_is_told_what_was_done_to_it_and_a_sound_one_nothing(tmp_path):
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for at, how in enumerate([None] * 11 + list(TOLD)):
        data = head(at, 13 + at % 5)
        write(tmp_path / f"{at}.nii", (data if how is None else how(data)).astype(np.float32))
        rows.append([f"P{at:02}", how.__name__ if how else f"sound{at}", f"{at}.nii", ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=24, workers=1, accept_odd="a test")
    sentences = {how: f"scan {how.__name__}: mri {text}" for how, text in TOLD.items()}
    told = [each for each in store.odd if any(text in each for text in TOLD.values())]
    # Two that hold the same are one sentence.
    assert [each for each in told if "holds lines of voxels" in each] == [
        "in 3 scans (repeated, mirrored, mirrored_in_a_wedge), 0 of 0 with lesion, 3 of 24 without, mri holds lines of "
        "voxels a second time in the same slice: was it folded over (wrap-around), or a part filled with a copy or a "
        "mirror image?"
    ]
    others = [each for each in told if "holds lines of voxels" not in each]
    expected = [each for each in sentences.values() if "holds lines of voxels" not in each]
    assert len(others) == len(expected)
    for sentence in expected:
        assert any(each.startswith(sentence) for each in others)
    assert not any("sound" in each for each in told)


def test_values_that_were_cut_off_at_the_top_are_no_letter():
    """The brightest tenth of a head lies at the same places of most slices, and has one value then: 96 places and more.
    A letter of the highest value stands in air, or amid tissue that is darker."""
    bright = head()
    bright[20:28, 14:26] += 800
    cut = np.minimum(bright, np.percentile(bright, 90)).astype(np.float32)
    assert ((cut == cut.max()).mean(axis=2) > 0.5).sum() >= 96 and found(cut)["burnt"] == 0
    for moved in (0, 18):
        at = np.roll(with_a_letter(head(1)) == 600, (moved, moved), (0, 1))
        assert found(np.where(at, 1.5 * head(1).max(), head(1)).astype(np.float32))["burnt"] == 24


def test_a_cut_of_most_scans_is_how_the_cohort_was_made(tmp_path):
    def told(cut: int) -> list[str]:
        rows = [["patient_id", "scan_id", "mri", "mask"]]
        for at in range(6):
            data = head(at, 13 + at % 3)
            write(tmp_path / f"{at}.nii", (round_view(data) if at < cut else data).astype(np.float32))
            rows.append([f"P{at}", f"S{at}", f"{at}.nii", ""])
        store = prepare(
            save(tmp_path, rows), tmp_path / "s.zarr", size=24, workers=1, accept_odd="a test", overwrite=True
        )
        return [each for each in store.odd if "amid tissue" in each]

    assert len(told(3)) == 1 and told(4) == []


def test_a_sound_volume_holds_none_of_it():
    sound = found(head())
    assert sound | {"flat": 0.0, "step": 0.0} == {
        **dict.fromkeys(("copied", "streaks", "mirrored", "dead_share", "noise", "flat", "cut"), 0.0),
        **{"dead": 0, "hot": 0, "folded": False, "burnt": 0, "step": 0.0, "comb": sound["comb"]},
    }
    assert sound["flat"] < 1e-3 and sound["step"] < 0.01 and min(sound["comb"]) > 1.2


@pytest.mark.parametrize("step", [0.2, 0.3, 0.45, 0.75])
@pytest.mark.parametrize("degrees", [0.0, 2.0])
def test_lines_that_the_nearest_voxel_repeats_are_one(step, degrees):
    """On a grid 1.3 to 5 times as fine, also turned: no copies. A part that is a copy is one there, too: 6 lines of 47,
    and less beside lines through air, which count as often as they stand there."""

    def laid(data: np.ndarray) -> np.ndarray:
        turn = np.radians(degrees)
        matrix = np.diag([step, step, 1.0])
        matrix[:2, :2] = step * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        shape = (int(47 / step) + 1, int(39 / step) + 1, SHAPE[2])
        offset = [24 * np.sin(turn), 0, 0]
        return ndimage.affine_transform(data, matrix, offset, shape, order=0)

    sound = found(laid(head()))
    assert [sound[name] for name in ("copied", "streaks", "mirrored")] == [0.0, 0.0, 0.0]
    if not degrees:
        copy = head()
        copy[20:26] = copy[30:36]
        assert 0.05 < found(laid(copy))["copied"] < 6 / 47


def test_what_is_found_is_counted():
    data = head()
    copy = data.copy()
    copy[20:26] = data[30:36]
    assert found(copy)["copied"] == pytest.approx(6 / 47)
    dead = data.copy()
    dead[20, 10:30:2, 3], dead[2, 2, 3] = 0, 0  # ten amid tissue, one in air
    assert found(dead)["dead"] == 10
    hot = data.copy()
    hot[20, 10:30:4, 3] = 1e4
    assert found(hot)["hot"] == 5
    streak = data.copy()
    streak[:20] = data[20]
    assert found(streak)["streaks"] == pytest.approx((DISC[20] * 20).sum() / (48 * 40), rel=0.1)
    flat = data.copy()
    flat[wedge()] = 300
    assert found(flat)["flat"] == wedge()[::2, ::2].mean()


def test_lines_and_values_of_images_of_few_values_agree_by_chance():
    """The same head in 8 to 32 values holds lines twice and one value everywhere; in 400, only what was done to it."""

    def graded(data: np.ndarray, values: int) -> np.ndarray:
        return np.rint(np.clip(data, 0, 800) / 800 * (values - 1)).astype(np.float32)

    smooth = ndimage.gaussian_filter(head(), (2, 2, 4))
    for values in (8, 16, 32):
        for data in (head(), smooth):
            coarse = found(graded(data, values))
            assert {coarse[name] for name in ("copied", "streaks", "mirrored", "flat", "burnt")} == {0.0}
    copy, grey_part, streaks = head(), grey(head()), streaked(head())
    copy[20:26] = copy[30:36]
    assert found(graded(copy, 400))["copied"] == pytest.approx(6 / 47)
    assert found(graded(grey_part, 400))["flat"] > 0.2 and found(graded(head(), 400))["flat"] == 0.0
    assert found(graded(streaks, 400))["streaks"] > 0.1


def test_lines_that_alternate_are_less_alike_side_by_side_than_apart():
    ramp = np.broadcast_to((100 + 10 * np.arange(48.0))[:, None, None], SHAPE).copy()
    ramp[:, :, :] += 5 * np.arange(40)[None, :, None]
    across, along = found(ramp.astype(np.float32))["comb"]
    assert (across, along) == (pytest.approx(2), pytest.approx(2))  # a step of two lines beside one of one
    ramp[::2] += 200
    across, along = found(ramp.astype(np.float32))["comb"]
    assert across < 0.2 and along == pytest.approx(2)
    moved = head()
    moved[:, ::2] = np.roll(moved[:, ::2], 2, axis=0)  # every second column
    across, along = found(moved)["comb"]
    assert along < 1.2 < across and along < 0.8 * across
    assert found(np.full(SHAPE, 3, np.float32))["comb"] == [2.0, 2.0]


def test_letters_are_counted_and_steps_measured_beyond_what_slices_change():
    assert found(with_a_letter(head()))["burnt"] == 2 * 8 + 4 * 2
    assert found(with_a_letter(head())[:, :, :4])["burnt"] == 0  # of few slices nothing is said
    half = with_a_letter(head())
    half[:, :, :3] = head()[:, :, :3]
    assert found(half)["burnt"] == 0  # in three of six
    flat = np.where(DISC[:, :, None], 500.0, 0.0) + np.random.default_rng(0).random(SHAPE)
    assert found(scaled_apart(flat.astype(np.float32)))["step"] == pytest.approx(-np.log(0.6), abs=0.01)
    fading = flat * 0.6 ** np.arange(6)
    assert found(fading.astype(np.float32))["step"] == 0.0


def test_a_cut_is_as_long_as_its_line_beside_the_root_of_the_area():
    data = head() + 10
    data[:20] = 0
    shown = (data > 200)[:, :, 0]
    assert found(data)["cut"] == pytest.approx(shown[20].sum() / np.sqrt(shown.sum()), rel=0.05)
    assert found(data, blank=data == 0)["cut"] == 0.0


def test_slices_that_are_marked_are_left_out_and_a_flat_volume_has_nothing():
    data = noisy(head())
    marked = np.zeros(SHAPE, bool)
    marked[:, :, :5] = True
    assert found(data, marked)["noise"] > 0.1
    sound = head()
    data[:, :, 5] = sound[:, :, 5]
    assert found(data, marked)["noise"] == 0.0
    assert found(np.full(SHAPE, 3, np.float32))["flat"] == 0.0
    assert found(data, np.ones(SHAPE, bool))["noise"] == 0.0
