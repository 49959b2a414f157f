"""Reports parts of planes that are no image: folded over, filled, dead voxels, noise, cut off amid tissue.

data_prep.placing.planes found them. The limits lie between untouched scans and the least of such faults. In the public
cohort's 68 volumes and in 88 of the phantom no line is a copy or mirrored, streaks hold 1e-4 of the voxels, noise 2 %
of the tissue, one value 2 % of the voxels, and 2 voxels are dead.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from statistics import median

from data_prep.oddities.oddity import Odd, of_some
from hnscc.cohort.placement import PlaneFacts
from hnscc.cohort.store_format import Scan

# Untouched volumes have no such lines, and 1e-4 of their voxels in streaks.
COPIED_LINES_SHARE, STREAKS_VOXELS_SHARE, MIRRORED_LINES_SHARE = 0.02, 0.003, 0.002
DEAD_VOXELS, DEAD_SHARE, HOT_VOXELS = 10, 2e-5, 5  # voxels; of the tissue; voxels
NOISE_SHARE, FLAT_SHARE = 0.04, 0.04  # of the tissue; of the voxels
BURNT_PLACES = 10  # places; volumes of any kind have none
# The logarithm of a factor: 0.07 at most in the public cohort; if half of a scan is at 0.6 of the other half, it
# is 0.28.
STEP_LOGARITHM = 0.2
# Times; and as a share of that of the lines across: at least 1.31 in the public cohort.
COMBED_TIMES, AGAINST_TIMES = 1.2, 0.8
CUT_LENGTH = 0.5  # of the square root of the tissue's area; the circumference of a disc is 3.5
MORE_TIMES = 3.0  # times the median scan's noise, where images are noisy
MOST_CUT_SHARE = 0.5  # of the scans: a more frequent cut is how the cohort was made


def odd_planes(
    scans: Sequence[Scan], modalities: Sequence[str], known: Container[tuple[str, str]] = ()
) -> Iterator[Odd]:
    """Yield a sentence on the scans of each modality in which a part of the planes is no image.

    Single voxels are not reported where the modality is `known` to look otherwise for a reported reason (`Odd.shown`):
    whether they lie amid tissue, and how far above it, depends on how bright tissue and air are. A root makes noise in
    air look like tissue.
    """
    for modality in modalities:
        usual = median(scan.placement["planes"][modality]["noise"] for scan in scans)
        for text, holds in KINDS:
            chosen = [
                scan
                for scan in scans
                if holds(scan.placement["planes"][modality])
                and not (holds in OF_SINGLE_VOXELS and (scan.scan_id, modality) in known)
            ]
            if holds is _noise:
                chosen = [
                    scan
                    for scan in chosen
                    if scan.placement["planes"][modality]["noise"] > MORE_TIMES * usual
                ]
            yield from of_some(scans, chosen, f"{modality} {text}", files=(modality,))
        cut = [scan for scan in scans if scan.placement["planes"][modality]["cut"] >= CUT_LENGTH]
        text = (
            f"{modality} ends at its lowest value amid tissue, along a line that is no body's outline: was a part cut "
            "off, or is its field of view smaller than the body?"
        )
        yield from (
            of_some(scans, cut, text, files=(modality,)) if len(cut) <= MOST_CUT_SHARE * len(scans) else ()
        )


def _streaks(planes: PlaneFacts) -> bool:
    return bool(planes["streaks"] >= STREAKS_VOXELS_SHARE)


def _copied(planes: PlaneFacts) -> bool:
    repeated = planes["copied"] >= COPIED_LINES_SHARE or planes["mirrored"] >= MIRRORED_LINES_SHARE
    return repeated and not _streaks(planes)


def _dead(planes: PlaneFacts) -> bool:
    return bool(planes["dead"] >= DEAD_VOXELS and planes["dead_share"] >= DEAD_SHARE) and not _noise(planes)


def _hot(planes: PlaneFacts) -> bool:
    return bool(planes["hot"] >= HOT_VOXELS) and not _noise(planes)


def _noise(planes: PlaneFacts) -> bool:
    return bool(planes["noise"] >= NOISE_SHARE)


def _flat(planes: PlaneFacts) -> bool:
    return bool(planes["flat"] >= FLAT_SHARE)


def _burnt(planes: PlaneFacts) -> bool:
    return bool(planes["burnt"] >= BURNT_PLACES) and not _flat(planes)


def _stepped(planes: PlaneFacts) -> bool:
    return bool(planes["step"] >= STEP_LOGARITHM)


def _combed(planes: PlaneFacts) -> bool:
    low, high = sorted(planes["comb"])
    return bool(low < COMBED_TIMES and low < AGAINST_TIMES * high) and not _noise(planes)


def _folded(planes: PlaneFacts) -> bool:
    return bool(planes["folded"])


OF_SINGLE_VOXELS = (_dead, _hot)
# What may hold for the planes of a scan's modality, in words.
KINDS: tuple[tuple[str, Callable[[PlaneFacts], bool]], ...] = (
    (
        "goes on in streaks of one value up to a border: was what lies beyond the image filled with its last values?",
        _streaks,
    ),
    (
        "holds lines of voxels a second time in the same slice: was it folded over (wrap-around), or a part filled "
        "with a copy or a mirror image?",
        _copied,
    ),
    (
        "goes on at one border of its slices where it ends at the opposite one: is the body folded over (wrap-around), "
        "being wider than the field of view?",
        _folded,
    ),
    (
        "holds one and the same bright value at the same place of most slices: was a letter, a frame or a scale burnt "
        "in?",
        _burnt,
    ),
    (
        "is suddenly brighter or darker from one slice on than before: were two parts of it scaled apart?",
        _stepped,
    ),
    (
        "has rows or columns that are less like the next one than like those behind it: are there stripes, or is every "
        "second one moved?",
        _combed,
    ),
    ("has single voxels without a signal amid tissue: were they set to 0, or are they defects?", _dead),
    ("has single voxels far brighter than all around them: are they defects?", _hot),
    (
        "is noise in a part of the body, where no voxel has to do with those beside it: was that part filled in?",
        _noise,
    ),
    (
        "holds one and the same value in far more voxels than tissue does: was a part filled with it or masked by it?",
        _flat,
    ),
)
