"""What the commands print for people: a store, a checked study, how far it is, the tables of a run folder.

Each function takes what was found, and where to print it; nothing is read here, and nothing found out. What is
imported for its types alone stays out of the running program: `hnscc status` needs no torch, SciPy or DuckDB to print.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnscc.base.console import Console, print_line, print_rows
from hnscc.commands.status import STATES, Status
from hnscc.scores import fewest
from hnscc.training.earlier import told_left_out

if TYPE_CHECKING:
    from hnscc.commands.checked import Checked, RepeatsFacts, TimeFacts
    from hnscc.commands.sample_size import DesignFacts, NeededFacts, PairFacts, SampleSize
    from hnscc.commands.tables import TableFacts


def print_store(facts: Mapping[str, Any], as_json: bool) -> None:
    """Print how many patients, scans and slices a store holds, in two sentences or as JSON. facts: of `store_facts`."""
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    print(
        f"{facts['store']}: {facts['patients']} patients, "
        f"{facts['scans']} scans ({facts['scans_with_lesion']} with lesion), "
        f"{facts['slices']} slices ({facts['positive_slices']} with lesion), {', '.join(facts['modalities'])}, "
        f"{facts['size']} x {facts['size']} pixels, digest {facts['digest'][:12]}"
    )
    if lost := facts["lesion_lost_in_resize"]:
        print(f"{lost} slices lost their few lesion pixels in the resize; they are not used")


def print_check(found: Checked, console: Console, study_file: Path) -> None:
    """Print what a study would do, and the command that comes next."""
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
        print_line(console, f"versions: {names} finished by others ({other['differ']})", style="yellow")
    print_line(console, f"disk:    at most {found['disk_mib']:.0f} MiB for predictions and weights")
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
    print_line(console, f"next:    hnscc {'search' if search else 'run'} {study_file}")


def _print_of_data(found: Checked, console: Console) -> None:
    """Print what is fine about the splits, and what is odd about the cohort and doubtful about the folds."""
    for line in found["leakage_checks"]:
        print_line(console, f"ok: {line}" if line.startswith("no ") else line)
    for line in found["odd"]:
        print_line(console, f"data: {line}", style="yellow")
    for line in found["warnings"]:
        print_line(console, f"warning: {line}", style="yellow")


def _print_trials(found: Checked, console: Console) -> None:
    """Print how many trials are planned and in which state, and how many of the missing are trained already."""
    print_line(console, f"trials:  {_trials(found['trials'])}")
    if trials := found["to_predict"]["trials"]:
        slices = f"{found['to_predict']['slices']} slices that are evaluated now"
        print_line(
            console, f"         {len(trials)} of the missing are not trained again: they predict {slices}"
        )


def _trials(trials: Mapping[str, int]) -> str:
    states = ", ".join(f"{trials.get(state, 0)} {state}" for state in ("completed", "failed", "missing"))
    return f"{trials['planned']} planned; {states}"


def _time(time: TimeFacts) -> str:
    seconds, hours, cores = time["trial_seconds_left"], time["hours_left_here"], time["cores_here"]
    if seconds is None or hours is None:
        return f"not known: {time['reason']}{_rounds(time['trials_left'], time['side_by_side'])}"
    left = f"{seconds:.0f} s of training left, about {hours:g} h on this machine's {cores} cores"
    return left + _rounds(time["trials_left"], time["side_by_side"])


def _rounds(trials: int, slots: int) -> str:
    """Say how many rounds the trials take, and what stands idle in the last: a trial's threads are part of its
    identity, so that the last ones are given no more."""
    rounds = -(-trials // slots)
    counted = "1 round" if rounds == 1 else f"{rounds} rounds"
    idle = f"the last leaves {rounds * slots - trials} of {slots} slots idle"
    return f"; {trials} trials on {slots} slots: {counted}, {idle}" if trials else ""


def _print_search(search: dict[str, Any], console: Console) -> None:
    limits = ", ".join(f"{value:g} {name.replace('_', ' ')}" for name, value in search["budget"].items())
    print_line(
        console,
        f"search:  {search['method']}, {search['configurations']} configurations x "
        f"{search['repeats']['first']} first repeats, stopping {search['stopping'].replace('_', ' ')}; "
        f"budget: {limits}",
    )
    for path, values in search["ranges"].items():
        print_line(console, f"range:   {path}: {values}")


def lines_of_repeats(found: RepeatsFacts, waiting: Collection[str] = ()) -> list[str]:
    """Say how many repeats each variant needs, a line each. waiting: variants whose finished trials predict again
    first, which is the cure of one that does not tell."""
    aim = f"the median test Dice within {found['half_width']:g} to either side (95 %)"
    lines = []
    for name, each in found["variants"].items():
        if each["repeats"] is None:
            cure = "" if name in waiting else f"; {_cure(each['pilot'])}"
            text = f"{name}: not known, {each['reason']}{cure}"
        else:
            text = (
                f"{name}: {aim} needs about {each['repeats']} repeats ({each['low']} to {each['high']}, "
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
    size = f"{pair['patients']} patients with lesion, {pair['repeats']} repeats"
    some = [
        f"    {number} of the trainings of {variant} collapsed, and count in every number above"
        for variant, number in pair["collapsed"].items()
    ]
    if pair["seen_from"] is None:
        return [f"{name}: not known ({pair['reason'] or 'nothing varied in the pilot'})"]
    return [
        f"{name}: this study ({size}) sees differences from {pair['seen_from']:.3f} on; "
        f"more {pair['short']} would help most",
        f"    patients with lesion, at {pair['repeats']} repeats: {_told(pair['patients_needed'])}",
        f"    repeats of each, with {pair['patients']} patients: {_told(pair['repeats_needed'])}",
        *([_planned_line(pair["planned"], see)] if pair["planned"] else ()),
        *some,
    ]


def _planned_line(planned: DesignFacts, see: float) -> str:
    return (
        f"    {planned['patients']} patients and {planned['repeats']} repeats see differences from "
        f"{planned['seen_from']:.3f} on ({planned['seen_from_low']:.3f} to {planned['seen_from_high']:.3f}), and "
        f"{see:g} in {100 * planned['chance']:.0f} of 100 studies ({100 * planned['chance_low']:.0f} to "
        f"{100 * planned['chance_high']:.0f})"
    )


def _told(needed: NeededFacts) -> str:
    if needed["value"] is None:
        return needed["reason"] or "not known"
    high = needed["high"] or "more than can be planned"
    return f"about {needed['value']} ({needed['low']} to {high}: a pilot knows its own spread only so well)"


def _print_facts(console: Console, rows: Sequence[Mapping[str, object]]) -> None:
    columns = [name.replace("_", " ") for name in rows[0]]
    print_rows(console, columns, [[_cell(value) for value in row.values()] for row in rows])


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(str(part) for part in value.values())
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def print_status(found: Status, console: Console, run: str) -> None:
    """Print how many trials are in each state, which run now, and which failed. run: as the user typed it."""
    rows = [[name, *map(str, counts.values())] for name, counts in found["variants"].items()]
    print_rows(console, ["variant", *STATES], rows, numbers=STATES)
    for each in found["started"]:
        line = f"{each['trial']:<26} epoch {each['epoch']} of at most {each['of']}, {each['heard']:.0f} s ago"
        again = f", {each['interruptions']} interruptions" if each["interruptions"] else ""
        print_line(console, line + again)
    for failed in found["failed"]:
        print_line(console, f"{failed['trial']:<26} failed: {failed['failure']}")
    for remark in found["remarks"]:
        print_line(console, f"{remark['trial']:<26} completed, but {remark['remark']}")
    if found["tables"]:
        print_line(console, f"tables: hnscc tables {run}")


def print_tables(tables: Sequence[TableFacts], console: Console, run: str) -> None:
    """Print every table with its columns, then every column with its meaning. run: as the user typed it."""
    rows = [
        [
            each["table"],
            each["one_row_per"],
            _rows(each),
            ", ".join(column["column"] for column in each["columns"]),
        ]
        for each in tables
    ]
    print_rows(console, ["table", "one row per", "rows", "columns"], rows, numbers=["rows"])
    meanings = dict.fromkeys(
        (column["column"], column["type"], column["meaning"]) for each in tables for column in each["columns"]
    )
    print_rows(console, ["column", "type", "meaning"], list(meanings))
    print_line(console, f"one table:  hnscc tables {run} {tables[0]['table']}")
    print_line(console, f'its rows:   hnscc query {run} "SELECT * FROM {tables[0]["table"]}"')


def print_table_facts(table: TableFacts, console: Console, run: str) -> None:
    """Print what one table says, column by column. run: as the user typed it."""
    print_line(console, f"{table['table']}: one row per {table['one_row_per']}; rows: {_rows(table)}")
    rows = [[each["column"], each["type"], each["meaning"]] for each in table["columns"]]
    print_rows(console, ["column", "type", "meaning"], rows)
    print_line(console, f'its rows:  hnscc query {run} "SELECT * FROM {table["table"]}"')


def _rows(table: TableFacts) -> str:
    return "not written" if table["rows"] is None else f"{table['rows']:,}"


def print_predictions(facts: Mapping[str, Any], console: Console) -> None:
    """Print which models predicted, a row for each scan, and what is to be known of some."""
    trials = ", ".join(facts["trials"]) if len(facts["trials"]) < 6 else f"{len(facts['trials'])} models"
    print_line(
        console,
        f"study {facts['study']}, variant {facts['variant']}: {trials}; threshold {facts['threshold']:g}",
    )
    scored = any(scan["dice"] is not None for scan in facts["scans"])
    print_rows(
        console,
        ["scan", "lesions", "volume (ml)", *(["Dice"] if scored else []), "told"],
        [_prediction(scan, scored) for scan in facts["scans"]],
        numbers=["lesions", "volume (ml)", "Dice"],
    )
    for scan in facts["scans"]:
        for line in scan["told"]:
            print_line(console, f"{scan['scan_id']}: {line}", style="yellow")


def _prediction(scan: Mapping[str, Any], scored: bool) -> list[str]:
    dice = ["" if scan["dice"] is None else f"{scan['dice']:.3f}"] if scored else []
    told = f"{len(scan['told'])}, below" if scan["told"] else "nothing"
    return [scan["scan_id"], str(scan["lesions"]), f"{scan['volume_ml']:.2f}", *dice, told]
