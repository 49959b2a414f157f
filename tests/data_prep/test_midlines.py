"""How clear the lines midway between both sides of the skin must be, by hand, on both sides of each limit."""

from dataclasses import replace

import numpy as np
from stores import scan

from data_prep.oddities.midlines import midlines, odd_mirrored


def told(*alike: float | None, rows: int = 100, known=()) -> list[str | None]:
    """The scans of which is said that PET is mirrored, whose lines in PET and MRI correlate so, in so many rows;
    None: the line in PET is straight."""
    wave, other = np.tile([1.0, -1.0], rows), np.tile([1.0, 1.0, -1.0, -1.0], rows // 2)
    lines = []
    for each in alike:
        pet = 20 + (0 * wave if each is None else each * wave + np.sqrt(1 - each**2) * other)
        both = np.stack([pet, 30 + wave]).reshape(2, 2, rows).astype(np.float32)
        both[0, 1, : rows // 2], both[1, 1, rows // 2 :] = np.nan, np.nan
        lines.append(both)
    scans = [replace(scan(f"p{at}", (0, 4)), placement={"reference": "mri"}) for at in range(len(alike))]
    return [odd.scan_id for odd in odd_mirrored(scans, ["pet", "mri"], lines, known)]


def test_modalities_are_mirrored_whose_lines_correlate_by_minus_a_half_beside_four_others_by_hand():
    assert told(-0.51, 0.51, 0.51, 0.51, 0.51) == ["p0_a"]
    assert told(-0.49, 0.51, 0.51, 0.51, 0.51) == told(-0.51, 0.51, 0.51, 0.51) == []
    assert told(-0.51, -0.51, *[0.9] * 3) == [None]
    # Four of five scans must tell how they lie: 7 of 9 are fewer.
    assert told(-0.9, 0.49, *[0.51] * 3) == ["p0_a"] and told(-0.9, 0.49, 0.49, *[0.9] * 6) == []
    assert told(-0.9, None, *[0.9] * 4) == ["p0_a"] and told(-0.9, None, None, *[0.9] * 4) == []
    for name in ("pet", "mri"):
        assert told(-0.9, *[0.9] * 4, known={("p0_a", name)}) == []


def test_lines_are_compared_in_100_rows_that_both_modalities_show():
    """Of two slices of 100 rows each modality lacks another half of the second."""
    assert told(-0.9, *[0.9] * 4, rows=100) == ["p0_a"] and told(-0.9, *[0.9] * 4, rows=98) == []


def test_the_line_of_a_slice_lies_midway_where_the_body_is_at_least_six_tenths_as_wide_as_anywhere():
    """40 pixels from 10 to 49, to which means over 5 x 5 pixels add 2 at either side, 44; then 23 or 22 of them, 27 or
    26, of which 26.4 are asked."""
    image = np.zeros((2, 1, 64, 64), np.float32)
    image[:, :, 10:30, 10:50], image[0, :, 30:50, 20:43], image[1, :, 30:50, 20:42] = 1, 1, 1
    ((wide, narrow),) = midlines(image)
    assert (wide[12:28] == 29.5).all() and (narrow[12:28] == 29.5).all()
    assert (wide[36:48] == 31).all() and np.isnan(narrow[36:48]).all()
    assert np.isnan([*wide[:8], *wide[52:]]).all()
