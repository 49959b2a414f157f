"""Prints `hnscc check` and `hnscc plan` for people: what a study would do, what is odd or missing, and how many
patients and repeats the next one needs.

It reads and computes nothing. Of `sample_size` and `checked` it needs the types alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hnscc.base import fewest
from hnscc.base.console import Console, print_line, print_rows
from hnscc.base.in_words import count_of, noun_of
from hnscc.study.fields import yaml_value
from hnscc.training.earlier import told_left_out

if TYPE_CHECKING:
    from hnscc.commands.checked import Checked, RepeatsFacts, TimeFacts
    from hnscc.commands.sample_size import DesignFacts, NeededFacts, PairFacts, SampleSize


def lines_of_repeats(found: RepeatsFacts, waiting: Collection[str] = ()) -> list[str]:
    """Say how many repeats each variant needs, a line each. waiting: variants whose trained trials have to predict
    again first, which then makes an answer possible."""
    aim = (
        f"the median test Dice within {found['half_width']:g} to either side (95 %), "
        "which half of such sets reach,"
    )
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


def _cure(pilot_repeats: int) -> str:
    """Say how to get a pilot that can tell how many repeats are needed."""
    if pilot_repeats < fewest.REPEATS:
        return "4 are a pilot, 6 a better one"
    return "mend the variant first (more epochs, another learning rate or loss), since repeats do not"


def lines_of_plan(found: SampleSize) -> list[str]:
    """Say what a finished study shows about the size of the next one, one pair of variants after another."""
    from hnscc.scores.metrics import DICE  # imported here, since it loads NumPy

    chance = f"{100 * found['power']:.0f} of 100"
    lines = []
    if found["pairs"]:
        several = " (p below 0.05 of a pair by itself: after Holm's correction for all pairs fewer see it)"
        by = several if len(found["pairs"]) > 1 else ""
        lines = [f"To see a difference of {found['see']:g} in pooled {DICE.label} in {chance} studies{by}:"]
    for pair in found["pairs"]:
        lines += _lines_of_pair(pair, found["see"])
    return lines + (lines_of_repeats(found["repeats_for_width"]) if found["repeats_for_width"] else [])


def _lines_of_pair(pair: PairFacts, see: float) -> list[str]:
    name = f"{pair['variant_a']} and {pair['variant_b']}"
    repeats = _repeats_of(pair)
    some = [
        f"    {number} of the trainings of {variant} collapsed, and {noun_of(number, 'counts', 'count')} in every "
        "number above"
        for variant, number in pair["collapsed"].items()
    ]
    if pair["reason"]:
        return [f"{name}: not known ({pair['reason']})"]
    return [
        f"{name}: this study ({count_of(pair['patients'], 'patient')} with lesion, {repeats}) sees differences "
        f"from {_seen(pair['seen_from'])} on; with twice the patients from {_seen(pair['of_twice_patients'])} on, "
        f"with twice the repeats from {_seen(pair['of_twice_repeats'])} on",
        f"    patients with lesion, at {repeats}: {_told(pair['patients_needed'])}",
        f"    repeats of each, with {count_of(pair['patients'], 'patient')}: {_told(pair['repeats_needed'])}",
        _smallest_line(pair),
        *([_line_of_size_asked(pair["planned"], see)] if pair["planned"] else ()),
        *some,
    ]


def _repeats_of(size: PairFacts | DesignFacts) -> str:
    if size["repeats_a"] == size["repeats_b"]:
        return count_of(size["repeats_a"], "repeat")
    return f"{size['repeats_a']} and {count_of(size['repeats_b'], 'repeat')}"


def _seen(difference: float | None) -> str:
    return "more than 1" if difference is None else f"{difference:.3f}"


def _smallest_line(pair: PairFacts) -> str:
    neither = pair["patients_needed"]["value"] is pair["repeats_needed"]["value"] is None
    start = (
        "neither alone suffices, so more of both" if neither else "the smallest study, by patients x repeats"
    )
    smallest = pair["smallest_study"]
    if smallest is None:
        return f"    {start}: none that can be planned"
    return (
        f"    {start}: {count_of(smallest['repeats'], 'repeat')} of each, and patients with lesion "
        f"{_told(smallest['patients_needed'])}"
    )


def _line_of_size_asked(size: DesignFacts, see: float) -> str:
    return (
        f"    {count_of(size['patients'], 'patient')}, {_repeats_of(size)}: differences from "
        f"{_seen(size['seen_from'])} on ({_seen(size['seen_from_low'])} to {_seen(size['seen_from_high'])}), and "
        f"{see:g} in {100 * size['chance']:.0f} of 100 studies "
        f"({100 * size['chance_low']:.0f} to {100 * size['chance_high']:.0f})"
    )


def _told(needed: NeededFacts) -> str:
    if needed["value"] is None:
        return needed["reason"] or "not known"
    high = needed["high"] or "more than can be planned"
    return f"about {needed['value']} ({needed['low']} to {high}: a pilot knows its own spread only so well)"


def print_check(found: Checked, console: Console, named: str) -> None:
    """Print what a study would do, and the next command. named: the study file, and the run folder if one was given, as
    the user typed them."""
    study, search = found["study"], found["search"]
    print_line(
        console, f"{study['name']}: protocol {study['protocol']}, seed {study['seed']}, {found['run_folder']}"
    )
    _print_facts(console, [{"variant": name, **facts} for name, facts in found["variants"].items()])
    _print_facts(console, found["splits"])
    _print_of_data(found, console)
    if not search:
        _print_trials(found, console)
    for line in told_left_out(found["left_out"], found["variants"]):
        print_line(console, f"left out: {line}", style="yellow")
    for other in found["other_versions"]:
        names = ", ".join(other["trials"])
        print_line(console, f"versions: {names} trained by others ({other['differ']})", style="yellow")
    print_line(
        console,
        f"disk:    at most {found['disk_mib']:.0f} MiB for predictions and weights (predictions before compression)",
    )
    memory = found["memory_mib"]
    print_line(
        console,
        f"memory:  slices {memory['driver']:.0f} MiB in this process and as much in Ray's object store; "
        f"each trial at most {memory['worker']:.0f} MiB of its own, and its activations",
    )
    if search:
        _print_search(search, console)
    else:
        if found["repeats_for_width"]:
            for line in lines_of_repeats(found["repeats_for_width"], found["to_predict"]["variants"]):
                print_line(console, line)
        print_line(console, f"time:    {_time(found['time'])}")
    trials = found["trials"]
    trained = not search and trials.get("completed", 0) == trials["in_all"]
    again = " (nothing is left to train: it makes the tables and the report again)" if trained else ""
    print_line(console, f"next:    hnscc {'search' if search else 'run'} {named}{again}")


def _print_of_data(found: Checked, console: Console) -> None:
    """Print what is right about the splits, and what is odd about the cohort and doubtful about the folds."""
    for line in found["leakage_checks"]:
        print_line(console, f"ok: {line}" if line in found["proven"] else line)
    for line in found["odd"]:
        print_line(console, f"data: {line}", style="yellow")
    for line in found["warnings"]:
        print_line(console, f"warning: {line}", style="yellow")


def _print_trials(found: Checked, console: Console) -> None:
    """Print how many trials there are and in which state, and how many of the missing are trained already."""
    print_line(console, f"trials:  {_trials(found['trials'])}")
    if trials := found["to_predict"]["trials"]:
        n = found["to_predict"]["slices"]
        slices = count_of(n, "slice that is evaluated now", "slices that are evaluated now")
        print_line(
            console, f"         {len(trials)} of the missing are not trained again: they predict {slices}"
        )


def _trials(trials: Mapping[str, int]) -> str:
    states = ", ".join(f"{trials.get(state, 0)} {state}" for state in ("completed", "failed", "missing"))
    return f"{trials['in_all']} in all; {states}"


def _time(time: TimeFacts) -> str:
    seconds, hours, cores = time["trial_seconds_left"], time["hours_left_here"], time["cores_here"]
    if seconds is None or hours is None:
        return f"not known: {time['reason']}{_rounds(time['trials_left'], time['side_by_side'])}"
    left = f"{seconds:.0f} s of training left, about {hours:g} h on this machine's {count_of(cores, 'core')}"
    return left + _rounds(time["trials_left"], time["side_by_side"])


def _rounds(trials: int, side_by_side: int) -> str:
    """Say how many rounds the trials take, and how many the last round has. The last ones get no more threads than
    others, since a trial's threads are part of its identity."""
    rounds = -(-trials // side_by_side)
    last = trials - (rounds - 1) * side_by_side
    counted = f"{count_of(rounds, 'round')}, the last of {count_of(last, 'trial')}"
    return f"; {count_of(trials, 'trial')}, at most {side_by_side} side by side: {counted}" if trials else ""


def _print_search(search: dict[str, Any], console: Console) -> None:
    limits = ", ".join(f"{value:g} {name.replace('_', ' ')}" for name, value in search["budget"].items())
    print_line(
        console,
        f"search:  {search['method']}, {count_of(search['configurations'], 'configuration')} x "
        f"{count_of(search['repeats']['first'], 'first repeat')}, stopping {search['stopping'].replace('_', ' ')}; "
        f"budget: {limits}",
    )
    for path, values in search["ranges"].items():
        print_line(console, f"range:   {path}: {yaml_value(values)}")


def _print_facts(console: Console, rows: Sequence[Mapping[str, object]]) -> None:
    columns = [name.replace("_", " ") for name in rows[0]]
    print_rows(console, columns, [[_cell(value) for value in row.values()] for row in rows])


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(str(part) for part in value.values())
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
