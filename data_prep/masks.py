"""From the mask cell of a manifest to a mask: of label maps, the label that the column `roi` names."""

from pathlib import Path

from data_prep.lesions import labelled
from data_prep.read import read_volume
from data_prep.regions import number_of
from data_prep.volumes import Volume
from hnscc.base.errors import InputError


def read_mask(path: Path, region: str | None, where: str) -> Volume:
    """Read a mask on the grid of its own file; `region` is the text of the column `roi`, None where it is empty.

    With a region, 1 is where the file holds that label, else 0. `where` (row, column, scan) is how errors name it.
    InputError is that of `read_volume`; and where a region is no number, or the file holds no labels.
    """
    volume = read_volume(path, where)
    if region is None:
        return volume
    number = number_of(region)
    if number is None:
        raise InputError(
            "A label map knows no names.",
            where=where,
            expected="the number of the lesion in the column `roi`, such as label:3",
            found="a name",
            do="Write the label's number into the column `roi` of this row.",
        )
    return labelled(volume, number, where)
