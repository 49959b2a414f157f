"""Figs. 2 and 3: which slices are shown, and how."""

import numpy as np
import pytest
from charts import APPEARANCES, example, scored
from matplotlib.figure import Figure

from hnscc.reporting.plotting.overlays import Example, anatomy, examples_figure, outline, uptake_window, view
from hnscc.reporting.plotting.style import render
from hnscc.reporting.sections.examples import choose_examples


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


def test_pixels_keep_their_shape_and_outlines_are_shown_where_there_are_pixels():
    shown = example("pet", "mri")
    missed = Example(shown.row, shown.images, shown.truth, np.zeros_like(shown.truth), shown.spacing_mm)
    figure = examples_figure({"pet": {"best": shown, "worst": missed}}, ("best", "worst"), APPEARANCES)
    whole, part, _, missed_part = figure.axes[:4]
    assert whole.get_aspect() == part.get_aspect() == 2.0
    assert [len(axes.collections) for axes in (whole, part, missed_part)] == [0, 2, 1]
    assert part.get_title(loc="left") == "Dice 0.83"


@pytest.mark.parametrize("where", [np.s_[6:, 2:5], np.s_[:, :], np.s_[3:5, 3:5]])
def test_an_outline_is_closed_where_it_meets_the_border(where):
    """Else a lesion at the border is shown as loose strokes. It encloses half a pixel around the pixels' centres."""
    mask = np.zeros((8, 8), bool)
    mask[where] = True
    axes = Figure().subplots()
    axes.imshow(mask)
    limits = axes.get_xlim(), axes.get_ylim()
    outline(axes, mask, "#00e5ff", "solid")
    assert (axes.get_xlim(), axes.get_ylim()) == limits
    (path,) = axes.collections[0].get_paths()
    assert path.vertices[0].tolist() == path.vertices[-1].tolist()
    rows, columns = np.nonzero(mask)
    assert path.vertices.min(axis=0).tolist() == [columns.min() - 0.5, rows.min() - 0.5]
    assert path.vertices.max(axis=0).tolist() == [columns.max() + 0.5, rows.max() + 0.5]


@pytest.mark.parametrize(
    ("modalities", "grey", "layers"),
    [(("pet", "mri"), "mri", 2), (("ct",), "ct", 1), (("pet",), None, 1), (("t2", "pet", "ct"), "ct", 2)],
)
def test_any_modalities_can_be_shown(modalities, grey, layers):
    shown = example(*modalities)
    assert anatomy(shown.images) == grey
    figure = examples_figure({"pet": {"best": shown}}, ("best",), APPEARANCES)
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
