"""Finds masks that lie farther from their lesion than the shifts that are tried for every
mask (data_prep.placing.edges).

They were drawn on images of another origin, or stretched to the shape of another grid. For a mask without a border
where it lies, all shifts of some cm are tried. A lesion that just does not stand out has no clear border anywhere
near; one whose mask lies elsewhere has a border as clear as those of other scans. So each mask is judged by itself,
however many are wrong, and the others only show whether lesions stand out on the modality. Images are read for these
few scans alone.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from statistics import median

from data_prep.oddities.exchanged import ReadBoth
from data_prep.oddities.odd import comparable
from data_prep.oddities.oddity import MASK, Odd, of_some
from data_prep.oddities.off_border import LOST_SHARE, SHOWN_FALL, edges_by_sign, sign_of
from data_prep.placing.edges import clearest_within
from hnscc.base.arrays import Bools, Images
from hnscc.cohort.store_format import Scan

# In mm, by which masks are shifted. Where the public cohort's lesions have a border on PET of `SHOWN_FALL` or more
# within it, the border where their masks lie has at least 0.62 of the clearest one; made-up lesions have 0.9.
FAR_MM = 60.0
# Of the median fall of the lesions that stand out: even a mask that is smaller than its lesion has so much.
CLEAR_SHARE = 0.3
# So many scans, and this share of those compared, must have lesions that stand out.
LEAST_SHOWN_SCANS, SHOWN_SCANS_SHARE = 3, 0.5


def far_off(
    scans: Sequence[Scan], modalities: Sequence[str], known: Container[tuple[str, str]], read: ReadBoth
) -> Iterator[Odd]:
    """Yield a sentence on the scans whose lesion stands out some cm from where the mask lies, by modality.

    known: scans with a modality, or with a mask (MASK), about which something is reported. read: reads the images (Z,
    C, H, W) and the mask (Z, H, W) of the scan at a position.
    """
    positions = {scan.scan_id: at for at, scan in enumerate(scans)}
    for number, modality in enumerate(modalities):
        compared = comparable(scans, modality, known)
        edges, sign = edges_by_sign(compared, modality), sign_of(compared, modality)
        shown = [edge.own for edge in edges if edge.own >= SHOWN_FALL]
        if len(shown) < max(LEAST_SHOWN_SCANS, SHOWN_SCANS_SHARE * len(edges)):
            continue
        least = max(SHOWN_FALL, CLEAR_SHARE * median(shown))
        moves_mm: dict[str, float] = {}
        for edge in edges:
            if edge.own >= LOST_SHARE * max(shown):
                continue  # a border nearby is hardly so much clearer
            images, lesion = read(positions[edge.scan.scan_id])
            fall, moved_mm = _clearest(images[:, number], lesion, edge.scan, modality, sign)
            if fall >= least and edge.own < LOST_SHARE * fall:
                moves_mm[edge.scan.scan_id] = moved_mm
        yield from _told(scans, modality, moves_mm)


def _told(scans: Sequence[Scan], modality: str, moves_mm: Mapping[str, float]) -> Iterator[Odd]:
    """Yield the sentence on the scans that are found; moves_mm: by how many mm each mask is shifted to the
    clearest border."""
    if moves_mm:
        text = (
            f"the lesion does not stand out on {modality} where the mask lies, but about "
            f"{median(moves_mm.values()):.0f} mm beside it as lesions of the other scans do: does the mask belong here?"
        )
        found = [scan for scan in scans if scan.scan_id in moves_mm]
        yield from of_some(scans, found, text, files=(MASK,), shown_in=MASK)


def _clearest(image: Images, lesion: Bools, scan: Scan, modality: str, sign: int) -> tuple[float, float]:
    """Return the fall across the clearest border near a scan's mask, and its distance in mm.

    image, lesion: (Z, H, W), the image in raw values. sign: -1 where the cohort's lesions are darker than
    their surroundings.
    """
    facts = scan.placement["values"][modality]
    if facts["tissue"] is None:
        return 0.0, 0.0
    dark, bright = facts["first"], facts["tissue"]["last"] - facts["first"]
    found = clearest_within(sign * image, lesion, scan.spacing_mm, sign * dark, bright, FAR_MM)
    return found or (0.0, 0.0)
