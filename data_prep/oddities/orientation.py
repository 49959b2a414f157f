"""Finds scans that lie otherwise than the others though their headers say the same, by the cohort's mean image.

It finds turns from front to back, upside down, and by a quarter in the plane. It does not find exchanged sides, since a
body is nearly symmetric. If scans are too unlike for a mean image (other parts of the body), this is noticed, and
nothing is said. A scan that matches the others as well when moved as when turned is not said to be turned.
"""

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.oddities.oddity import MAJORITY_SHARE, Odd, of_cohort, of_some, scans_in_words
from hnscc.base.arrays import Integers
from hnscc.cohort.placement import LyingFacts
from hnscc.cohort.store_format import Scan

LEAST_AVERAGED_SCANS = 8  # scans that are needed for a mean image
DEPTH_SLICES = 16  # slices that a scan is reduced to, whatever its length
FEWEST_SLICES = 4  # slices of a scan that are needed to tell foot from head
# Median correlation of a scan with the mean of the others; heads have 0.9, mixed parts of bodies 0.65.
ALIKE_CORRELATION = 0.75
OWN_CORRELATION = 0.6  # the same, for a scan that is said to lie otherwise
# By so much more a scan must correlate with the mean as it lies than turned, in nearly all scans.
CLEAR_CORRELATION = 0.05
NEARLY_ALL_PERCENT = 90  # of the scans
MOST_ROUNDS = 20  # rounds of turning scans to the mean and averaging again; two or three are enough

# (n, 16, 16, 16): scans, slices from foot to head, rows to posterior, columns to left; each of mean 0 and length 1, so
# in -1..1, or zeros.
Image = NDArray[np.float32]

# How a scan may lie; the first is as the others do.
TURNS: tuple[tuple[str, Callable[[Image], Image]], ...] = (
    ("", lambda image: image),
    ("from front to back", lambda image: image[:, :, ::-1]),
    ("upside down", lambda image: image[:, ::-1]),
    ("upside down and from front to back", lambda image: image[:, ::-1, ::-1]),
    ("by a quarter in the plane of the slices", lambda image: np.rot90(image, 1, (2, 3))),
    ("by a quarter in the plane of the slices", lambda image: np.rot90(image, 3, (2, 3))),
)
AS_IT_IS, FOOT_TO_HEAD = 0, (2, 3)
MOVED = len(TURNS)  # no turn: moved along an axis, the scan matches the others as well


@dataclass(frozen=True)
class _Lying:
    """How the scans of a cohort lie in a modality.

    turns: of each scan, its position in TURNS, or MOVED; that of no turn where it cannot be told. told_by: the turns by
    which scans can be told apart, empty where scans are too unlike. mean: the mean (1, 16, 16, 16), of length 1, of the
    scans that lie as most do.
    """

    turns: list[int]
    told_by: list[int]
    mean: Image

    @property
    def usual(self) -> tuple[int, int]:
        """How most scans lie, and how many these are."""
        return Counter(self.turns).most_common(1)[0]


def lying_otherwise(
    scans: Sequence[Scan], modalities: Sequence[str], patterns: Sequence[NDArray[np.float32]]
) -> Iterator[Odd]:
    """Yield a sentence on the scans of each modality that lie otherwise than most, or on groups where no group is most.

    patterns: (C, Z, 16, 16) float32 of each scan, from foot to head, as returned by data_prep.oddities.twins.reduced:
    each slice of mean 0 and length 1, or zeros.
    """
    if len(scans) < LEAST_AVERAGED_SCANS:
        return
    for at, modality in enumerate(modalities):
        turns = (found := _lying([each[at] for each in patterns])).turns
        usual, count = found.usual
        if count < MAJORITY_SHARE * len(scans):
            yield of_cohort(_groups(scans, turns, modality))
            continue
        ways = [turn if usual == AS_IT_IS or turn == usual else usual for turn in turns]
        for way in sorted(set(ways) - {usual}):
            chosen = [scan for scan, turn in zip(scans, ways, strict=True) if turn == way]
            yield from of_some(scans, chosen, _told(modality, way), files=(modality,), shown_in=modality)


def lying_of(modalities: Sequence[str], patterns: Sequence[NDArray[np.float32]]) -> dict[str, LyingFacts]:
    """Return how most scans of a cohort lie, by modality, so that one more scan can be compared (`lies_otherwise`).

    Modalities with few or unlike scans, or without a majority, are left out. patterns: (C, Z, 16, 16) float32 of each
    scan, as in `lying_otherwise`: of length 1, or zeros.
    """
    kept: dict[str, LyingFacts] = {}
    for at, modality in enumerate(modalities if len(patterns) >= LEAST_AVERAGED_SCANS else ()):
        found = _lying([each[at] for each in patterns])
        if found.told_by and found.usual[1] >= MAJORITY_SHARE * len(patterns):
            mean = base64.b64encode(found.mean.astype("<f2").tobytes()).decode("ascii")
            kept[modality] = {"mean": mean, "turns": found.told_by}
    return kept


def lies_otherwise(modality: str, patterns: NDArray[np.float32], most: LyingFacts) -> str | None:
    """Return a sentence on a scan that lies otherwise than `most` of others, or None.

    patterns: float32 (Z, 16, 16), as of one scan of `lying_otherwise`: of length 1, or zeros.
    """
    mean = (
        np.frombuffer(base64.b64decode(most["mean"]), "<f2")
        .astype(np.float32)
        .reshape(1, DEPTH_SLICES, 16, 16)
    )
    asked = [turn for turn in most["turns"] if len(patterns) >= FEWEST_SLICES or turn not in FOOT_TO_HEAD]
    image = _unit(deep(patterns)[None])
    alike = np.array([float((TURNS[turn][1](image) * mean).sum()) for turn in asked])
    best = int(alike.argmax())
    if alike[best] < OWN_CORRELATION or alike[best] - alike[asked.index(AS_IT_IS)] < CLEAR_CORRELATION:
        return None
    return _told(modality, _way(asked[best], float(alike[best]), image, mean))


def _told(modality: str, way: int) -> str:
    if way == MOVED:
        return (
            f"{modality} does not lie as in most scans, though its header says that it does: moved along an axis it "
            "is as much like them as turned; look at its picture"
        )
    return (
        f"{modality} lies turned {TURNS[way][0]} against most scans, though its header says that it lies as they do: "
        "one of them is wrong"
    )


def _lying(patterns: Sequence[NDArray[np.float32]]) -> _Lying:
    """Return how the scans of a cohort lie in a modality.

    patterns: (Z, 16, 16) of each scan, of length 1 or zeros, as in `lying_otherwise`.
    """
    images = _unit(np.stack([deep(each) for each in patterns]))
    few = min(map(len, patterns)) < FEWEST_SLICES
    asked = [turn for turn in range(len(TURNS)) if not (few and turn in FOOT_TO_HEAD)]
    while True:
        turned = np.stack([TURNS[turn][1](images) for turn in asked])
        chosen, own, as_they_are = _aligned(turned)
        told = _told_apart(turned[chosen, np.arange(len(images))], asked)
        if told == asked:
            break
        asked = told
    if np.median(own) < ALIKE_CORRELATION:
        return _Lying([AS_IT_IS] * len(images), [], images[:1])
    sure = (own >= OWN_CORRELATION) & (own - as_they_are >= CLEAR_CORRELATION)
    turns = [asked[turn] if clear else AS_IT_IS for turn, clear in zip(chosen, sure, strict=True)]
    usual = Counter(turns).most_common(1)[0][0]
    mean = _unit(images[np.array(turns) == usual].sum(axis=0, keepdims=True))
    if usual == AS_IT_IS:
        turns = [
            _way(turn, float(each), images[at : at + 1], mean) if turn != AS_IT_IS else turn
            for at, (turn, each) in enumerate(zip(turns, own, strict=True))
        ]
    return _Lying(turns, asked, mean)


def _way(turn: int, alike: float, image: Image, mean: Image) -> int:
    """Return the turn by which an image is `alike`, -1 to 1, to the mean; MOVED where a shift makes it as much so.

    image, mean: (1, 16, 16, 16), each of length 1.
    """
    moves = [(axis, step) for axis in (1, 2, 3) for step in range(-DEPTH_SLICES // 2, DEPTH_SLICES // 2)]
    moved = max(float((np.roll(image, step, axis) * mean).sum()) for axis, step in moves)
    return MOVED if moved >= alike - CLEAR_CORRELATION else turn


def _aligned(
    turned: NDArray[np.float32],
) -> tuple[Integers, NDArray[np.float32], NDArray[np.float32]]:
    """Return the turn of each scan that agrees best with the mean of the others, turned likewise, and two correlations.

    These are the scan's with that mean, turned and as it is, -1 to 1; all are (n,). turned: (turns, n, 16, 16, 16),
    each image of length 1.
    """
    every = np.arange(turned.shape[1])
    chosen = np.zeros(len(every), dtype=np.int64)
    for _ in range(MOST_ROUNDS):
        alike = _correlations(turned, turned[chosen, every])
        best = alike.argmax(axis=0)
        if (best == chosen).all():
            break
        chosen = best
    alike = _correlations(turned, turned[chosen, every])
    return chosen, alike[chosen, every], alike[AS_IT_IS]


def _told_apart(images: Image, asked: Sequence[int]) -> list[int]:
    """Return the asked turns by which nearly all scans agree clearly less with the mean of the others than as they lie.

    images: (n, 16, 16, 16), of length 1, lying alike.
    """
    turned = np.stack([TURNS[turn][1](images) for turn in asked])
    alike = _correlations(turned, images)
    gains = np.percentile(alike - alike[AS_IT_IS], NEARLY_ALL_PERCENT, axis=1)
    return [
        turn
        for turn, gain in zip(asked, gains, strict=True)
        if turn == AS_IT_IS or gain <= -CLEAR_CORRELATION
    ]


def _correlations(turned: NDArray[np.float32], images: Image) -> NDArray[np.float32]:
    """Return the correlation, -1 to 1, of each scan in each turn with the mean of the other images: (turns, n).

    turned: (turns, n, 16, 16, 16), and images: (n, 16, 16, 16), each of length 1.
    """
    means = _unit(images.sum(axis=0, keepdims=True) - images)
    found: NDArray[np.float32] = np.einsum("tnzyx,nzyx->tn", turned, means)
    return found


def deep(slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return slices at equal parts of the length: float32 (Z, 16, 16) -> (16, 16, 16), values unchanged, in any unit
    of values."""
    deep: NDArray[np.float32] = slices[
        ((np.arange(DEPTH_SLICES) + 0.5) / DEPTH_SLICES * len(slices)).astype(np.int64)
    ]
    return deep


def _unit(images: NDArray[np.float32]) -> Image:
    """Return float32 images (n, 16, 16, 16) of any values with mean 0 and length 1, in the same shape; zeros where an
    image has one value."""
    centred = images - images.mean(axis=(1, 2, 3), keepdims=True)
    length = np.sqrt((centred**2).sum(axis=(1, 2, 3), keepdims=True))
    divided: Image = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    return divided


def _groups(scans: Sequence[Scan], turns: Sequence[int], modality: str) -> str:
    parts = []
    for turn in sorted(set(turns)):
        group = [scan for scan, each in zip(scans, turns, strict=True) if each == turn]
        with_lesion = sum(scan.has_lesion for scan in group)
        way = "moved or turned against these" if turn == MOVED else f"turned {TURNS[turn][0]} against these"
        way = way if turn else "one way"
        parts.append(
            f"{way} in {scans_in_words([scan.scan_id for scan in group])}, {with_lesion} of them with lesion"
        )
    return f"{modality} lies {'; '.join(parts)}; the headers say that all lie alike: which is right is for you to say"
