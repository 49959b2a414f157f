"""The charts: what is plotted, the same bytes for the same input, and nothing for nothing."""

import io

import numpy as np
import pytest
from charts import APPEARANCES, example, history, scored, trial
from matplotlib.figure import Figure
from PIL import Image

from hnscc.reporting.plotting.outcomes import OUTCOMES, pixel_counts
from hnscc.reporting.plotting.overlays import examples_figure
from hnscc.reporting.plotting.repeats import dice_over_repeats, forest_plot, spread_out
from hnscc.reporting.plotting.style import PALETTE, appearances_of, render
from hnscc.reporting.plotting.training import curves, learning_curves, median_band, threshold_curves


def test_repeats_differ_in_position_and_the_median_model_is_ringed():
    rows = [
        trial("pet", 0, 0.5),
        trial("pet", 1, 0.6, median=True),
        trial("pet", 2, 0.9),
        trial("pet_mri", 0, None),
    ]
    axes = dice_over_repeats(rows, APPEARANCES).axes[0]
    dots, ring = axes.collections
    assert sorted(dots.get_offsets()[:, 0]) == [0.5, 0.6, 0.9]
    assert ring.get_offsets()[:, 0].tolist() == [0.6]
    assert "no completed repeat" in [text.get_text() for text in axes.texts]


def test_quartiles_are_plotted_of_four_repeats_or_more():
    for repeats, bars in ((3, 0), (4, 1)):
        axes = dice_over_repeats([trial("pet", n, 0.1 * n) for n in range(repeats)], APPEARANCES).axes[0]
        assert sum(line.get_linewidth() == 9 for line in axes.lines) == bars


def test_fifty_equal_repeats_stay_in_their_row():
    assert np.abs(spread_out(np.full(50, 0.7), width=0.01)).max() <= 4
    assert spread_out(np.array([0.1, 0.5, 0.1001]), width=0.01).tolist() == [0, 0, 1]


def test_curves_of_different_length_end_where_fewer_than_half_train():
    rows = (
        history("a", "pet", [0.1, 0.2, 0.3, 0.4])
        + history("b", "pet", [0.3, 0.4])
        + history("c", "pet", [0.2])
        + history("d", "pet", [0.4])
    )
    table = curves(rows, "val_loss")
    assert table.shape == (4, 4)
    assert np.isnan(table[2, 1:]).all()
    epochs, (low, middle, high) = median_band(table)
    assert epochs.tolist() == [1, 2]
    np.testing.assert_allclose(middle, [0.25, 0.3])
    np.testing.assert_allclose(low, [0.175, np.nan], err_msg="two values have no quartiles")
    np.testing.assert_allclose(high, [0.325, np.nan])


def test_an_epoch_without_a_value_is_left_out():
    table = curves(history("a", "pet", [0.1, None, 0.3]), "val_loss")
    assert median_band(table)[0].tolist() == [1, 3]


def test_thresholds_mark_the_chosen_one():
    rows = [
        {"variant": "pet", "fold": 0, "split": split, "threshold": t, "dice": t, "chosen": t == 0.4}
        for split in ("validation", "test")
        for t in (0.2, 0.4, 0.6)
    ]
    axes = threshold_curves(rows, APPEARANCES).axes[0]
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
    axes = pixel_counts(rows, [line], APPEARANCES, cutoff_px=9).axes[0]
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
    texts = [text.get_text().replace("\u00a0", " ") for text in forest_plot(rows, APPEARANCES).axes[0].texts]
    assert texts == ["−0.050 (−0.090 to −0.010)", "+0.020 (no interval)"]


@pytest.mark.parametrize(
    "figure",
    [
        lambda: dice_over_repeats([trial("pet", 0, None)], APPEARANCES),
        lambda: learning_curves([], APPEARANCES),
        lambda: threshold_curves([], APPEARANCES),
        lambda: pixel_counts([], [], APPEARANCES, 9),
        lambda: forest_plot([], APPEARANCES),
        lambda: examples_figure({}, ("best",), APPEARANCES),
        lambda: examples_figure({"pet": {"best": None}}, ("best",), APPEARANCES),
    ],
)
def test_nothing_is_plotted_of_nothing(figure):
    assert figure() is None


def test_a_variant_has_one_colour_and_more_than_seven_variants_still_have_one():
    appearances = appearances_of({f"v{i}": f"v{i}" for i in range(9)})
    assert appearances["v0"].colour == PALETTE[0] == appearances["v7"].colour
    assert len({own.colour for own in appearances.values()}) == len(PALETTE)


@pytest.mark.parametrize("make", ["learning", "examples"])
def test_the_same_input_gives_the_same_bytes(make):
    def figure() -> Figure:
        if make == "examples":
            return examples_figure({"pet": {"best": example("pet", "mri")}}, ("best",), APPEARANCES)
        return learning_curves(history("a", "pet", [0.1, 0.4]), APPEARANCES)

    first, second = render(figure()), render(figure())
    assert first == second
    assert Image.open(io.BytesIO(first[0])).info.keys() <= {"dpi"}
    assert b"<dc:date>" not in first[1] and b"<svg" in first[1]
