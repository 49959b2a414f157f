"""Finds masks that do not lie where images show a border: mirrored, turned, moved, too wide, cut off, or
another scan's.

How far values fall across the border of the mask (data_prep.placing.edges) is compared with the same elsewhere in the
scan, and with other scans. Nothing is said of a single mask by a modality on which the cohort's lesions have no border.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from statistics import median

from scipy import stats

from data_prep.oddities.oddity import LEAST_SCANS, MASK, Odd, limit, of_cohort, of_some
from hnscc.base.in_words import count_of
from hnscc.cohort.store_format import Scan

# In Odd.shown, END is for a scan whose mask ends within the lesion; MASK for one whose mask has no border where
# it lies.
END = "end of the mask"
# For most masks: the probability, by the sign test, that so many fit another place better, or are open on a side, by
# chance. Of true masks at most a third did, so that six of six occur once in 700 cohorts.
CHANCE_PROBABILITY = 0.02
# For a turned mask: times that its border must be clearer than where it lies, for a scan to count. Were all borders
# chance, a scan would count with a probability of 0.15, not 0.25, and six of six for each way to turn once in 45,000
# cohorts. So the turns add nothing to the chance of a false alarm.
TURNED_CLEARER_TIMES = 2.0
# Divides `CHANCE_PROBABILITY` where scans count whose border there is clearer by any amount.
WAYS_TO_TURN = 7
TURNED_WORDS = ("turned", " and ")  # words in the names of turns alone: two axes are mirrored or exchanged
OPEN_SHARE = 0.4  # of the fall across the whole border: a side with less is no border

# For one mask, compared with the others.
SHOWN_FALL = 0.2  # the least fall across the median lesion's border
FALLING_SCANS_SHARE = 0.8  # the least share of scans with a fall in its direction
LOW_FALL_PROBABILITY = 0.0005  # the probability of so low a fall in a scan, if logarithms of falls are normal
# Times less than in the median lesion; a fall below `LEAST_FALL_SHARE` of that counts as this share.
NOT_SEEN_TIMES, LEAST_FALL_SHARE = 3.0, 0.1
# The same where a gap separates masks without a border from the others, relative to the fall across the median
# lesion's border.
CLEARLY_SEEN_SHARE = 0.4  # of it: what all others have at least
CLEARLY_NOT_SHARE = 0.2  # of it: what the reported masks have at most
# Of the scans: at most so many are reported, and twice as many where there are `MANY_MASKS` or more. Of 2,000 random
# choices each of 10 and more true masks of the real cohort none was separated so by more than the lesser share; of
# those of 5 to 8 masks 27 to 82 were.
FEW_SCANS_SHARE, SEVERAL_SCANS_SHARE, MANY_MASKS = 0.2, 0.4, 10
# Times the fall elsewhere, and the least gain as a share of the median lesion's fall.
ELSEWHERE_TIMES, GAIN_SHARE = 2.0, 0.3
# For several masks where at least three others have a clear border: those with less than this share of what the image
# shows elsewhere. Nearly all scans must be one or the other.
LOST_SHARE, LEAST_LOST_SCANS, LEAST_CLEAR_SCANS, NEARLY_ALL_SHARE = 0.25, 2, 3, 0.9
# Of the fall across the whole border: so much less than the median lesion's weakest side.
ODD_SIDE_SHARE = 0.5
# For several masks that are cut on the same side, where no other mask has so weak a side, and no side is in between. Of
# 2,000 random choices each of 5 to 20 true masks of the real cohort at most two were separated so. Of the fall across
# the whole border: what a cut side has at most, and all others at least.
CUT_SHARE, WHOLE_SHARE = 0.45, 0.65


@dataclass(frozen=True)
class Edge:
    """How far values fall across the border of a scan's lesion, across each side of it, and elsewhere."""

    scan: Scan
    own: float
    sides: Mapping[str, float]
    elsewhere: Mapping[str, float]

    @property
    def weakest(self) -> tuple[float, str]:
        """The side across which they fall least, after its share of the fall across the whole border."""
        return min((fall / self.own, side) for side, fall in self.sides.items())

    @property
    def moved(self) -> float:
        """The largest fall across the border of the mask moved, mirrored or turned."""
        return max(fall for how, fall in self.elsewhere.items() if "border" not in how)

    @property
    def best(self) -> tuple[float, str]:
        return max((fall, how) for how, fall in self.elsewhere.items())


def off_border(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Yield what is odd about where the masks lie on a modality: most of them, or one compared with the others."""
    edges = edges_by_sign(scans, modality)
    if len(edges) < LEAST_SCANS:
        return
    most = [*_most_elsewhere(edges, modality), *_most_open(edges, modality)]
    yield from most
    lost = [] if most else _lost(edges)
    if len(lost) >= LEAST_LOST_SCANS:
        text = (
            f"the lesion does not stand out on {modality} where the mask lies, but where it would lie moved, "
            "mirrored or turned, unlike in the other scans: does the mask belong here?"
        )
        yield from of_some(scans, lost, text, files=(MASK,), shown_in=MASK)
        return
    usual = median(edge.own for edge in edges)
    apart = _apart(edges, usual)
    falling = sum(edge.own > 0 or edge.own <= apart for edge in edges)
    if most or usual < SHOWN_FALL or falling < FALLING_SCANS_SHARE * len(edges):
        return
    unseen = list(_unseen(edges, usual, apart, modality))
    yield from unseen
    known = {odd.scan_id for odd in unseen}
    closed = [edge for edge in edges if edge.scan.scan_id not in known and edge.own >= SHOWN_FALL]
    if len(closed) >= LEAST_SCANS:
        yield from _cut(scans, closed, modality) or _open(closed, modality)


def has_border(scan: Scan, modality: str) -> bool:
    """Return whether values of a modality rise or fall across the border of the scan's mask."""
    edges = scan.placement["lesion"]["edges"][modality]
    return edges is not None and abs(edges["own"]) >= SHOWN_FALL


def sign_of(scans: Sequence[Scan], modality: str) -> int:
    """Return 1, or -1 where the cohort's lesions are darker on a modality than their surroundings."""
    edges = [scan.placement["lesion"]["edges"][modality] for scan in scans]
    own = [each["own"] for each in edges if each is not None]
    return -1 if own and median(own) < 0 else 1


def edges_by_sign(scans: Sequence[Scan], modality: str) -> list[Edge]:
    """Return the edges of all scans with lesion, with signs turned where the cohort's lesions are darker than
    their surroundings."""
    edges = [(scan, scan.placement["lesion"]["edges"][modality]) for scan in scans]
    found = [(scan, facts) for scan, facts in edges if facts is not None]
    sign = sign_of(scans, modality)
    return [
        Edge(
            scan,
            sign * facts["own"],
            {name: sign * fall for name, fall in facts["sides"].items()},
            {name: sign * fall for name, fall in facts["elsewhere"].items()},
        )
        for scan, facts in found
    ]


def _most_elsewhere(edges: Sequence[Edge], modality: str) -> Iterator[Odd]:
    """Yield a sentence on a place where most masks would have a clearer border than where they lie, all with values
    that fall, or all with values that rise, across it."""
    found = []
    for how in edges[0].elsewhere:
        there = [edge for edge in edges if how in edge.elsewhere]
        sign = 1 if median(edge.elsewhere[how] for edge in there) > 0 else -1
        falls = [(sign * edge.elsewhere[how], abs(edge.own)) for edge in there]
        clearer = sum(fall > own for fall, own in falls)
        if any(word in how for word in TURNED_WORDS):
            twice = sum(fall > TURNED_CLEARER_TIMES * own for fall, own in falls)
            told = _most(twice, len(there)) or _most(clearer, len(there), CHANCE_PROBABILITY / WAYS_TO_TURN)
        else:
            told = _most(clearer, len(there))
        if told:
            found.append((median(abs(edge.elsewhere[how]) for edge in there), how, clearer))
    if found:
        fall, how, count = max(found)
        usual = median(abs(edge.own) for edge in edges)
        yield of_cohort(
            f"the masks fit {modality} better {how}: in {count} of {count_of(len(edges), 'scan')} with lesion its "
            f"values change more across their border there (by {fall:.2g} of the tissue's brightness in the median "
            f"scan, where they lie by {usual:.2g}; moves of 8 and 16 mm are tried alone). Were they made on "
            "these images?",
        )


def _most_open(edges: Sequence[Edge], modality: str) -> Iterator[Odd]:
    """Yield a sentence on each side on which most masks end where the lesion does not."""
    for side in ("head", "foot", "back", "front", "left", "right"):
        there = [edge for edge in edges if side in edge.sides and edge.own >= SHOWN_FALL]
        count = sum(edge.sides[side] < OPEN_SHARE * edge.own for edge in there)
        if _most(count, len(there)):
            yield of_cohort(
                f"in {count} of {count_of(len(there), 'scan')} with lesion {modality} goes on beyond the {side} end "
                "of the mask as within it: is a part of the masks missing?",
            )


def _most(count: int, of: int, chance: float = CHANCE_PROBABILITY) -> bool:
    return of > 0 and float(stats.binomtest(count, of, 0.5, alternative="greater").pvalue) < chance


def _lost(edges: Sequence[Edge]) -> list[Scan]:
    """Return the scans whose masks have no border compared with other places, where this clearly separates them from
    the rest."""
    found = [edge for edge in edges if edge.moved >= SHOWN_FALL and edge.own < LOST_SHARE * edge.moved]
    clear = [edge for edge in edges if edge.own >= max(SHOWN_FALL, edge.moved)]
    parted = len(clear) >= LEAST_CLEAR_SCANS and len(clear) + len(found) >= NEARLY_ALL_SHARE * len(edges)
    return [edge.scan for edge in found] if parted else []


def _unseen(edges: Sequence[Edge], usual: float, apart: float, modality: str) -> Iterator[Odd]:
    """Yield a sentence on masks with no border where they lie, or with a much clearer one elsewhere. apart: as
    by `_apart`."""
    logs = [log(max(edge.own / usual, LEAST_FALL_SHARE)) for edge in edges]
    # With few scans, little is known of how much correct ones differ.
    wider = float(stats.t.isf(LOW_FALL_PROBABILITY, len(edges) - 1) / stats.norm.isf(LOW_FALL_PROBABILITY))
    lowest = -max(log(NOT_SEEN_TIMES), wider * limit([each - median(logs) for each in logs], 0.0))
    for edge, each in zip(edges, logs, strict=True):
        fall, how = edge.best
        elsewhere = fall > ELSEWHERE_TIMES * edge.own and fall - edge.own > GAIN_SHARE * usual
        hidden = each < lowest or edge.own <= apart
        if hidden or elsewhere:
            found = f"does not stand out on {modality}"
            if not hidden:
                found = f"stands out on {modality} where the mask lies, and more elsewhere"
            better = f"; of the places that are tried, most {how}, by {fall:.2g}" if elsewhere else ""
            yield Odd(
                edge.scan.scan_id,
                f"the lesion {found}: its values fall by {edge.own:.2g} of the tissue's brightness "
                f"across the mask's border, by {usual:.2g} in the median scan{better}; does the mask belong here?",
                files=(MASK,),
                shown=((edge.scan.scan_id, MASK),),
            )


def _apart(edges: Sequence[Edge], usual: float) -> float:
    """Return the fall up to which masks stand apart from all others; -inf where falls of every size occur."""
    falls = [edge.own for edge in edges]
    low = [fall for fall in falls if fall < CLEARLY_SEEN_SHARE * usual]
    share = SEVERAL_SCANS_SHARE if len(falls) >= MANY_MASKS else FEW_SCANS_SHARE
    apart = bool(low) and max(low) <= CLEARLY_NOT_SHARE * usual and len(low) <= share * len(falls)
    return max(low) if apart else float("-inf")


def _cut(scans: Sequence[Scan], edges: Sequence[Edge], modality: str) -> list[Odd]:
    """Return a sentence on masks that end on one and the same side where the lesion does not, if the rest clearly
    does not."""
    weak = [edge for edge in edges if edge.weakest[0] < WHOLE_SHARE]
    sides = {edge.weakest[1] for edge in weak}
    parted = len(sides) == 1 and max(edge.weakest[0] for edge in weak) <= CUT_SHARE
    if not parted or not LEAST_LOST_SCANS <= len(weak) <= len(edges) / 2:
        return []
    return list(
        of_some(scans, [edge.scan for edge in weak], _beyond(modality, *sides), files=(MASK,), shown_in=END)
    )


def _open(edges: Sequence[Edge], modality: str) -> Iterator[Odd]:
    """Yield a sentence on each mask of which a side ends where the lesion does not, as in no other scan."""
    weakest = [edge.weakest for edge in edges]
    usual = median(share for share, _ in weakest)
    most = limit([share - usual for share, _ in weakest], ODD_SIDE_SHARE)
    for edge, (share, side) in zip(edges, weakest, strict=True):
        if share < usual - most:
            text = _beyond(modality, side)
            yield Odd(edge.scan.scan_id, text, files=(MASK,), shown=((edge.scan.scan_id, END),))


def _beyond(modality: str, side: str) -> str:
    return (
        f"{modality} goes on beyond the {side} end of the mask as within it: is a part of the mask missing?"
    )
