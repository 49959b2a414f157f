"""What `hnscc plan` prints for people: how many patients and repeats the next study needs, in sentences.

Nothing is read here, and nothing found out. Of `sample_size` and `checked` the types alone are needed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from hnscc.base import fewest
from hnscc.base.in_words import count_of, noun_of

if TYPE_CHECKING:
    from hnscc.commands.checked import RepeatsFacts
    from hnscc.commands.sample_size import DesignFacts, NeededFacts, PairFacts, SampleSize


def lines_of_repeats(found: RepeatsFacts, waiting: Collection[str] = ()) -> list[str]:
    """Say how many repeats each variant needs, a line each. waiting: variants whose trained trials predict again
    first, which is the cure of one that does not tell."""
    aim = f"the median test Dice within {found['half_width']:g} to either side (95 %)"
    lines = []
    for name, each in found["variants"].items():
        if each["repeats"] is None:
            cure = "" if name in waiting else f"; {_cure(each['pilot'])}"
            text = f"{name}: not known, {each['reason']}{cure}"
        else:
            text = (
                f"{name}: {aim} needs about {count_of(each['repeats'], 'repeat')} ({each['low']} to {each['high']}, "
                f"from {each['pilot']} with SD {each['sd']:.3f})"
            )
        lines.append(f"repeats: {text}")
    return lines


def _cure(pilot: int) -> str:
    """Say what makes a pilot that tells how many repeats are needed, of one that did not."""
    if pilot < fewest.REPEATS:
        return "4 are a pilot, 6 a better one"
    return "mend the variant first (more epochs, another learning rate or loss), since repeats do not"


def lines_of_plan(found: SampleSize) -> list[str]:
    """Say what a finished study tells of the next one's size, one pair of variants after another."""
    from hnscc.scores.metrics import DICE  # loads NumPy

    chance = f"{100 * found['power']:.0f} of 100"
    lines = []
    if found["pairs"]:
        lines = [f"To see a difference of {found['see']:g} in pooled {DICE.label} in {chance} studies:"]
    for pair in found["pairs"]:
        lines += _lines_of_pair(pair, found["see"])
    return lines + (lines_of_repeats(found["repeats_for_width"]) if found["repeats_for_width"] else [])


def _lines_of_pair(pair: PairFacts, see: float) -> list[str]:
    name = f"{pair['variant_a']} and {pair['variant_b']}"
    size = f"{count_of(pair['patients'], 'patient')} with lesion, {count_of(pair['repeats'], 'repeat')}"
    some = [
        f"    {number} of the trainings of {variant} collapsed, and {noun_of(number, 'counts', 'count')} in every "
        "number above"
        for variant, number in pair["collapsed"].items()
    ]
    if pair["seen_from"] is None:
        return [f"{name}: not known ({pair['reason'] or 'nothing varied in the pilot'})"]
    return [
        f"{name}: this study ({size}) sees differences from {pair['seen_from']:.3f} on; "
        f"more {pair['short']} would help most",
        f"    patients with lesion, at {count_of(pair['repeats'], 'repeat')}: {_told(pair['patients_needed'])}",
        f"    repeats of each, with {count_of(pair['patients'], 'patient')}: {_told(pair['repeats_needed'])}",
        *([_planned_line(pair["planned"], see)] if pair["planned"] else ()),
        *some,
    ]


def _planned_line(planned: DesignFacts, see: float) -> str:
    return (
        f"    {count_of(planned['patients'], 'patient')} and {count_of(planned['repeats'], 'repeat')} see "
        f"differences from {planned['seen_from']:.3f} on ({planned['seen_from_low']:.3f} to "
        f"{planned['seen_from_high']:.3f}), and {see:g} in {100 * planned['chance']:.0f} of 100 studies "
        f"({100 * planned['chance_low']:.0f} to {100 * planned['chance_high']:.0f})"
    )


def _told(needed: NeededFacts) -> str:
    if needed["value"] is None:
        return needed["reason"] or "not known"
    high = needed["high"] or "more than can be planned"
    return f"about {needed['value']} ({needed['low']} to {high}: a pilot knows its own spread only so well)"
