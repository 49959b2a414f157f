"""The charts: what is plotted, the same bytes for the same input, and nothing for nothing."""

import io
import re

import numpy as np
import pytest
from charts import APPEARANCES, example, history, scored, trial
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from hnscc.reporting.plotting.outcomes import OUTCOMES, pixel_counts
from hnscc.reporting.plotting.overlays import examples_figure
from hnscc.reporting.plotting.repeats import dice_over_repeats, forest_plot, spread_out
from hnscc.reporting.plotting.style import PALETTE, appearances_of, render, wrapped
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


LONG = "pet_with_a_name_that_tells_all_of_its_many_settings_one_by_one"


def _texts(figure: Figure) -> list:
    """The boxes of all texts but numbers along an axis, which has some beyond its ends, after the layout is found."""
    render(figure)
    texts = [each for each in figure.findobj(Text) if "$" not in each.get_text()]
    return [each.get_window_extent() for each in texts if re.search("[a-z]", each.get_text())]


def test_no_text_of_a_figure_is_cut_off_or_printed_over_another():
    """Beside long names what an axis shows was cut off, and the titles of two panels lay one upon the other."""
    shown = appearances_of({name: name for name in (LONG, f"{LONG}_again")})
    pair = {"variant_a": LONG, "variant_b": f"{LONG}_again"}
    spread = [trial(LONG, n, 0.1 * n) for n in range(4)]
    chosen = [
        {"variant": name, "fold": fold, "split": "test", "threshold": t, "dice": t, "chosen": t == fold / 10}
        for name in shown
        for fold in range(1, 9)
        for t in np.arange(1, 9) / 10
    ]
    line = {"slope": 0.5, "intercept": 1.0, "r2": 0.25}
    figures = [
        dice_over_repeats(spread, shown),
        forest_plot([{**pair, "difference": -0.5, "low": -0.999, "high": -0.001}], shown),
        threshold_curves(chosen, shown),
        learning_curves([row for name in shown for row in history(name, name, [0.1, 0.2])], shown),
        pixel_counts(
            [scored(20, 25, 0.8) | {"variant": v} for v in shown], [line | {"variant": LONG}], shown, 9
        ),
    ]
    for figure in figures:
        texts = _texts(figure)
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in texts)
        titles = [axes.title for axes in figure.axes] + [axes._left_title for axes in figure.axes]
        boxes = [title.get_window_extent() for title in titles if title.get_text()]
        assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])


def test_what_the_differences_show_fits_below_short_names():
    """With an interval as wide as can be it was cut off at both ends."""
    row = {"variant_a": "pet", "variant_b": "mri", "difference": -0.6, "low": -1.0, "high": 0.681}
    figure = forest_plot([row], appearances_of({"pet": "PET", "mri": "mri"}))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in _texts(figure))


def test_a_long_name_is_laid_over_lines():
    assert wrapped("Augmented PET-MRI") == "Augmented\nPET-MRI" and wrapped("pet_mri") == "pet_mri"
    assert wrapped("mri_t1_t2_flair_adc") == "mri_t1_t2_flair_\nadc"
    assert wrapped(33 * "a") == f"{16 * 'a'}\n{16 * 'a'}\na"


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
