"""The charts and overlays: what is drawn, the same bytes for the same input, and nothing for nothing."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from hnscc.reporting.figures import (
    OUTCOMES,
    PALETTE,
    curves,
    dice_over_repeats,
    differences,
    learning_curves,
    looks_of,
    median_band,
    pixel_counts,
    render,
    spread_out,
    threshold_curves,
)
from hnscc.reporting.overlays import Example, anatomy, choose_examples, examples_figure, uptake_window, view

LOOKS = looks_of({"pet": "PET", "pet_mri": "PET-MRI"})


def trial(variant: str, repeat: int, dice: float | None, median: bool = False) -> dict:
    return {
        "variant": variant,
        "trial_id": f"{variant}-f0-r{repeat:02d}",
        "test_dice": dice,
        "is_median": median,
    }


def history(trial_id: str, variant: str, values: list[float | None]) -> list[dict]:
    names = ("val_soft_jaccard", "val_loss", "train_loss")
    return [
        {"trial_id": trial_id, "variant": variant, "epoch": epoch, **dict.fromkeys(names, value)}
        for epoch, value in enumerate(values, start=1)
    ]


def scored(truth: int, pred: int, dice: float, scan: str = "a", z: int = 0, **row) -> dict:
    place = {"scan_id": scan, "z": z, "variant": "pet", "outcome": "tp", "misplaced": False}
    return {**place, "truth_px": truth, "pred_px": pred, "dice": dice, **row}


def test_repeats_differ_in_position_and_the_median_model_is_ringed():
    rows = [
        trial("pet", 0, 0.5),
        trial("pet", 1, 0.6, median=True),
        trial("pet", 2, 0.9),
        trial("pet_mri", 0, None),
    ]
    axes = dice_over_repeats(rows, LOOKS).axes[0]
    dots, ring = axes.collections
    assert sorted(dots.get_offsets()[:, 0]) == [0.5, 0.6, 0.9]
    assert ring.get_offsets()[:, 0].tolist() == [0.6]
    assert "no completed repeat" in [text.get_text() for text in axes.texts]


def test_fifty_equal_repeats_stay_in_their_row():
    assert np.abs(spread_out(np.full(50, 0.7), width=0.01)).max() <= 4
    assert spread_out(np.array([0.1, 0.5, 0.1001]), width=0.01).tolist() == [0, 0, 1]


def test_curves_of_different_length_end_where_fewer_than_half_train():
    rows = (
        history("a", "pet", [0.1, 0.2, 0.3, 0.4])
        + history("b", "pet", [0.3, 0.4])
        + history("c", "pet", [0.2])
    )
    table = curves(rows, "val_loss")
    assert table.shape == (3, 4)
    assert np.isnan(table[2, 1:]).all()
    epochs, (low, middle, high) = median_band(table)
    assert epochs.tolist() == [1, 2]
    np.testing.assert_allclose(middle, [0.2, 0.3])
    np.testing.assert_allclose(low, [0.15, 0.25])
    np.testing.assert_allclose(high, [0.25, 0.35])


def test_an_epoch_without_a_value_is_left_out():
    table = curves(history("a", "pet", [0.1, None, 0.3]), "val_loss")
    assert median_band(table)[0].tolist() == [1, 3]


def test_thresholds_mark_the_chosen_one():
    rows = [
        {"variant": "pet", "fold": 0, "split": split, "threshold": t, "dice": t, "chosen": t == 0.4}
        for split in ("validation", "test")
        for t in (0.2, 0.4, 0.6)
    ]
    axes = threshold_curves(rows, LOOKS).axes[0]
    assert axes.get_title(loc="left") == "PET: 0.400"


def test_pixel_counts_are_coloured_by_outcome_and_lined():
    rows = [
        scored(20, 25, 0.8),
        scored(0, 12, 0.0, outcome="fp"),
        scored(30, 0, 0.0, outcome="fn"),
        scored(0, 0, 1.0, outcome="tn"),
        scored(15, 15, 0.0, misplaced=True),
    ]
    line = {"variant": "pet", "slope": 0.5, "intercept": 1.0, "r2": None, "reason": None}
    axes = pixel_counts(rows, [line], LOOKS, cutoff_px=9).axes[0]
    assert [len(each.get_offsets()) for each in axes.collections] == [2, 1, 1, 1, 1]
    assert axes.get_title(loc="left") == "PET: slope 0.50, R² none"
    assert len({marker for _, _, marker in OUTCOMES.values()}) == 4


def test_a_difference_without_an_interval_says_so():
    pair = {"variant_a": "pet", "variant_b": "pet_mri"}
    rows = [
        {**pair, "difference": -0.05, "low": -0.09, "high": -0.01},
        {**pair, "difference": 0.02, "low": None, "high": None},
        {**pair, "difference": None, "low": None, "high": None},
    ]
    texts = [text.get_text().replace("\u00a0", " ") for text in differences(rows, LOOKS).axes[0].texts]
    assert texts == ["−0.050 (−0.090 to −0.010)", "+0.020 (no interval)"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: dice_over_repeats([trial("pet", 0, None)], LOOKS),
        lambda: learning_curves([], LOOKS),
        lambda: threshold_curves([], LOOKS),
        lambda: pixel_counts([], [], LOOKS, 9),
        lambda: differences([], LOOKS),
        lambda: examples_figure({}, ("best",), LOOKS),
        lambda: examples_figure({"pet": {"best": None}}, ("best",), LOOKS),
    ],
)
def test_nothing_is_drawn_of_nothing(draw):
    assert draw() is None


def test_a_variant_has_one_colour_and_more_than_seven_variants_still_have_one():
    looks = looks_of({f"v{i}": f"v{i}" for i in range(9)})
    assert looks["v0"].colour == PALETTE[0] == looks["v7"].colour
    assert len({look.colour for look in looks.values()}) == len(PALETTE)


@pytest.mark.parametrize("make", ["learning", "examples"])
def test_the_same_input_gives_the_same_bytes(make):
    def figure() -> Figure:
        if make == "examples":
            return examples_figure({"pet": {"best": example("pet", "mri")}}, ("best",), LOOKS)
        return learning_curves(history("a", "pet", [0.1, 0.4]), LOOKS)

    first, second = render(figure()), render(figure())
    assert first == second
    assert Image.open(io.BytesIO(first[0])).info.keys() <= {"dpi"}
    assert b"<dc:date>" not in first[1] and b"<svg" in first[1]


def test_examples_are_best_lower_median_worst_and_the_largest_false_alarm():
    rows = [
        scored(50, 50, 0.9, "b", 1),
        scored(40, 40, 0.9, "a", 1),
        scored(30, 20, 0.6, "a", 2),
        scored(5, 0, 0.0, "a", 3),
        scored(60, 0, 0.0, "a", 4),
        scored(0, 8, 0.0, "a", 5),
        scored(0, 20, 0.0, "b", 6),
        scored(0, 20, 0.0, "a", 7),
    ]
    chosen = choose_examples(rows[::-1], cutoff_px=9)
    assert [(each["scan_id"], each["z"]) for each in chosen.values()] == [
        ("b", 1),
        ("a", 2),
        ("a", 4),
        ("a", 7),
    ]
    assert choose_examples(rows, 9) == chosen


@pytest.mark.parametrize(("lesions", "kinds"), [(0, []), (1, ["best"]), (2, ["best", "worst"])])
def test_no_slice_is_shown_twice(lesions, kinds):
    rows = [scored(10, 10, 0.0, z=z) for z in range(lesions)]
    chosen = choose_examples(rows, cutoff_px=9)
    assert [kind for kind, row in chosen.items() if row] == kinds
    shown = [row["z"] for row in chosen.values() if row]
    assert len(set(shown)) == len(shown)


def example(*modalities: str, rows: int = 40, columns: int = 40) -> Example:
    truth, predicted = np.zeros((rows, columns), bool), np.zeros((rows, columns), bool)
    truth[10:16, 20:26] = predicted[11:17, 20:26] = True
    image = np.linspace(0, 5, rows * columns, dtype=np.float32).reshape(rows, columns)
    return Example(scored(36, 36, 0.83), dict.fromkeys(modalities, image), truth, predicted, (2.0, 1.0))


def test_the_enlarged_part_is_a_square_in_mm_around_both_outlines():
    rows, columns = view(example("pet"))
    assert (rows.stop - rows.start) * 2.0 == pytest.approx((columns.stop - columns.start) * 1.0, abs=2)
    assert rows.start <= 10 and rows.stop >= 17 and columns.start <= 20 and columns.stop >= 26
    assert rows.start >= 0 and columns.stop <= 40


def test_the_enlarged_part_of_an_empty_slice_is_inside_it():
    empty = np.zeros((40, 40), bool)
    each = Example(scored(0, 0, 1.0), {}, empty, empty, (1.0, 1.0))
    rows, columns = view(each)
    assert (rows, columns) == (slice(0, 40), slice(0, 40))


def test_pixels_keep_their_shape_and_outlines_are_drawn_where_there_are_pixels():
    shown = example("pet", "mri")
    missed = Example(shown.row, shown.images, shown.truth, np.zeros_like(shown.truth), shown.spacing_mm)
    figure = examples_figure({"pet": {"best": shown, "worst": missed}}, ("best", "worst"), LOOKS)
    whole, part, _, missed_part = figure.axes[:4]
    assert whole.get_aspect() == part.get_aspect() == 2.0
    assert [len(axes.collections) for axes in (whole, part, missed_part)] == [0, 2, 1]
    assert part.get_title(loc="left") == "Dice 0.83"


@pytest.mark.parametrize(
    ("modalities", "grey", "layers"),
    [(("pet", "mri"), "mri", 2), (("ct",), "ct", 1), (("pet",), None, 1), (("t2", "pet", "ct"), "ct", 2)],
)
def test_any_modalities_can_be_shown(modalities, grey, layers):
    shown = example(*modalities)
    assert anatomy(shown.images) == grey
    figure = examples_figure({"pet": {"best": shown}}, ("best",), LOOKS)
    assert len(figure.axes[0].images) == layers
    render(figure)


def test_all_figures_share_one_window_of_uptake():
    high = example("pet")
    low = Example(high.row, {"pet": high.images["pet"] / 10}, high.truth, high.predicted, (1.0, 1.0))
    assert uptake_window([low, high]) > uptake_window([low])
    assert (
        uptake_window([Example(high.row, {"ct": high.images["pet"]}, high.truth, high.truth, (1.0, 1.0))])
        == 1
    )
