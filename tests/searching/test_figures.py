"""A search's figures plot each value where it stands on its axis."""

import pytest
from searches import searched

from hnscc.searching.figures import settings_figure


@pytest.mark.parametrize(
    ("values", "column", "names"),
    [
        (
            [0.00012341, 0.00012344, 0.001],
            [0.00012341, 0.00012344, 0.001],
            ["0.00012341", "0.00012344", "0.001"],
        ),
        ([0.0001, 0.001], [0.0001, 0.001], ["0.0001", "0.001"]),
        ([0, 2, "fresh"], ["0", "2", "fresh"], ["0", "2", "fresh"]),
    ],
)
def test_each_value_of_a_list_has_a_place_and_a_name_of_its_own(values, column, names):
    """Values that are alike to four digits had one place, and one name twice."""
    path = "augmentation.copies" if "fresh" in values else "training.learning_rate"
    study = searched(search={"ranges": {path: values}, "configurations": len(values)})
    places = ["winner", *["dismissed"] * (len(values) - 1)]
    rows = [
        {"score": 0.5, "place": place, path.rpartition(".")[2]: each}
        for each, place in zip(column, places, strict=True)
    ]
    axes = settings_figure(study, rows).axes[0]
    assert [dots.get_offsets()[0][0] for dots in axes.collections] == [*range(len(values))]
    assert [label.get_text() for label in axes.get_xticklabels()] == names
