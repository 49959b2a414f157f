"""What is lost where masks are placed on a store's slices and sent back: the Dice of each mask with itself.

    python benchmarks/sent_back.py ../shared/data/sts/manifest.csv --reference mri --size 64 128 256

It is the highest Dice on the grid of a scan's own mask that any network could reach with slices of that size. It
depends on counts of voxels alone, so that it is the same on any hardware.
"""

import argparse
import statistics

import numpy as np

from data_prep.manifest.manifest import Row
from data_prep.new_scans import list_scans, place_new
from data_prep.placing.way_back import back_as_drawn
from hnscc.cohort.store_format import Placing
from hnscc.scores.metrics import dice


def main() -> None:
    parser = argparse.ArgumentParser(description="The Dice of masks that are placed and sent back.")
    parser.add_argument("manifest", help="CSV as for `hnscc prepare`")
    parser.add_argument("--reference", default="mri", help="the modality whose grid the slices lie on")
    parser.add_argument("--size", type=int, nargs="+", default=[64, 128, 256], help="sides of stored slices")
    parser.add_argument("--pixel-mm", type=float, help="as for `hnscc prepare`; else the whole field of view")
    options = parser.parse_args()
    rows = [row for row in list_scans(options.manifest, [options.reference]) if row.mask]
    for size in options.size:
        found = [sent_back(row, options.reference, size, options.pixel_mm) for row in rows]
        print(
            f"size {size}: {len(found)} scans, median {statistics.median(found):.3f}, "
            f"lowest {min(found):.3f}, highest {max(found):.3f}"
        )


def sent_back(row: Row, reference: str, size: int, pixel_mm: float | None) -> float:
    scan = place_new(row, [reference], Placing(reference=reference, size=size, pixel_mm=pixel_mm))
    assert scan.drawn is not None and scan.stored_truth is not None, "a row with a mask"
    truth = scan.drawn.voxels
    back = back_as_drawn(scan.stored_truth, scan.placement, scan.drawn)
    return float(dice(np.sum(back & truth), np.sum(back), np.sum(truth)))


if __name__ == "__main__":
    main()
