"""The scans that a folder of DICOM holds: which series and mask each is made of."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.dicom.listing import ListedSeries, Listing

COLUMNS = {"PT": "pet", "MR": "mri", "CT": "ct"}  # of the manifest, by modality


@dataclass(frozen=True)
class ListedScan:
    """A scan of a listing that holds a volume.

    images: the absolute path of the series of each column, its key behind a `#`; of several series of a modality, that
    of the most slices. mask: the file of its contours or segments, of several the one whose region bears the name that
    most scans have; None where there is none. regions: the names in it. chosen: by column, what was taken of several,
    in a sentence; unclear: by column, why nothing was taken though there is something, in a sentence.
    """

    patient: str
    scan: str
    images: dict[str, Path] = field(repr=False)
    mask: Path | None = field(repr=False)
    regions: tuple[str, ...]
    chosen: dict[str, str]
    unclear: dict[str, str] = field(default_factory=dict)

    @property
    def region(self) -> str:
        """The only region of its mask; empty where there are several, of which a user has to choose."""
        return self.regions[0] if len(self.regions) == 1 else ""


def scans_of(listing: Listing) -> list[ListedScan]:
    """Return the scans of a listing that hold a volume without a fault, in its order."""
    scans: dict[str, list[ListedSeries]] = {}
    for each in listing.series:
        scans.setdefault(each.scan, []).append(each)
    names = Counter(
        name for series in scans.values() for name in {n for each in series for n in each.regions}
    )
    return [_scan(series, found, names) for series in scans.values() if (found := _usable(series))]


def _scan(
    series: Sequence[ListedSeries], found: dict[str, list[ListedSeries]], names: Counter[str]
) -> ListedScan:
    images, chosen = {}, {}
    for modality, (first, *others) in found.items():
        column = COLUMNS[modality]
        images[column] = Path(f"{_common(first.paths)}#{first.key}")
        if others:
            keys = ", ".join(f"#{each.key}" for each in others)
            chosen[column] = f"of {1 + len(others)} series of {modality}, #{first.key} was taken, not {keys}"

    def rank(mask: ListedSeries) -> tuple[int, tuple[str, ...], str]:
        return -max((names[name] for name in mask.regions), default=0), mask.regions, mask.key

    masks = sorted((each for each in series if each.is_mask), key=rank)
    if masks and (len(masks) > 1 or masks[0].files > 1):
        chosen["mask"] = f"of several masks, a file of #{masks[0].key} was taken"
    mask = min(masks[0].paths).absolute() if masks else None
    regions = masks[0].regions if masks else ()
    return ListedScan(
        patient=series[0].patient,
        scan=series[0].scan,
        images=images,
        mask=mask,
        regions=regions,
        chosen=chosen,
    )


def _usable(series: Sequence[ListedSeries]) -> dict[str, list[ListedSeries]]:
    """The volumes without a fault by modality, those of most slices first."""
    found: dict[str, list[ListedSeries]] = {}
    for each in sorted(series, key=lambda each: (-each.slices, each.key)):
        if each.modality and not each.fault:
            found.setdefault(each.modality, []).append(each)
    return found


def _common(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent.absolute() for path in paths]))
