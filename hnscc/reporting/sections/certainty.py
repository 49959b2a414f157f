"""How sure the findings are: the points "How sure this is" of "In brief", on patients, lost repeats and folds."""

from collections.abc import Iterator

from hnscc.aggregation.query import note_of_older_tables
from hnscc.base import fewest
from hnscc.base.in_words import count_of, first_of, listed, told_of_folds
from hnscc.reporting.sections.patients import split_counts
from hnscc.reporting.source import Source
from hnscc.reporting.values import number_range, signed
from hnscc.study import paper
from hnscc.training.earlier import lines_of_left_out

MOST_ODD = 12  # sentences
MOST_TRIALS = 8  # how many names of trials one sentence has


def certainty(source: Source) -> Iterator[str]:
    """Say how many patients the scores come from, which repeats are lost, what the folds warn of, what is odd in the
    data, and what the study cannot show."""
    yield from _patients(source)
    yield from _choices(source)
    yield from _trials(source)
    yield from _copies(source)
    yield from _versions(source)
    yield from (f"{line}." for line in lines_of_left_out(source.study, source.run))
    if late := note_of_older_tables(source.run, "RUN"):
        yield f"{late}."
    yield from _splits(source)
    yield from _data(source)
    if source.papers:
        changed = [*paper.departures(source.study), *paper.departures_of_variants(source.study)]
        beside = "Values of the published study stand beside these. Its patients are not public."
        yield beside + (f" Settings that differ from it: {'; '.join(changed)}." if changed else "")
    yield "One cohort was studied: nothing here shows how the models do in another hospital or scanner."


def _patients(source: Source) -> Iterator[str]:
    tested = [row for row in split_counts(source) if row["split"] == "test"]
    patients, lesion, with_lesion, without = (
        sum(row[f"scored_{key}"] for row in tested)
        for key in ("patients", "lesion", "with_lesion", "without")
    )
    yield (
        f"All test scores come from {count_of(patients, 'patient')}, {lesion} of them with lesion "
        f"({source.scored_in_words}: {with_lesion:,} with lesion, {without:,} without). The unit of evidence is the "
        "patient."
    )
    weights = [
        row["effective_patients"] for row in source.rows("pooled", split="test") if row["effective_patients"]
    ]
    if weights:
        few = " The intervals rest on few lesions." if min(weights) < fewest.EFFECTIVE_PATIENTS else ""
        yield (
            f"Pooled scores weigh patients by their pixels: the {count_of(lesion, 'patient')} with lesion count like "
            f"{min(weights):.1f} of equal weight.{few}"
        )
    if not with_lesion:
        yield "No test slice holds lesion: the test Dice says nothing about finding lesions."
    elif lesion < fewest.PATIENTS_FOR_P:
        yield f"{count_of(lesion, 'patient')} with lesion cannot carry a conclusion: other patients may turn it."
    if source.holds_whole_scans:
        yield from _without_lesion(patients - lesion)


def _without_lesion(patients: int) -> Iterator[str]:
    """Say what test patients without lesion cannot tell, where they are fewer than two."""
    if patients == 0:
        yield "Every test patient has lesion: nothing here shows how often something is marked in a patient without."
    elif patients == 1:
        yield (
            "One test patient has no lesion: how much false alarms differ between such patients is not seen, and the "
            "intervals leave it out."
        )


def _choices(source: Source) -> Iterator[str]:
    """Say on how many patients thresholds and median models were chosen, and how the thresholds changed the scores."""
    chosen_on = [row for row in split_counts(source) if row["split"] == "validation"]
    patients, lesion = (
        number_range([row[f"scored_{key}"] for row in chosen_on]) for key in ("patients", "lesion")
    )
    each = " of each fold" if len(chosen_on) > 1 else ""
    noun = "patient" if patients == "1" else "patients"
    text = f"Thresholds and median models were chosen on {patients} validation {noun}{each}, {lesion} with lesion"
    rows = [row for row in source.rows("pooled", split="test") if row["dice"] is not None]
    gained = sorted(row["dice"] - row["dice_at_half"] for row in rows)
    if gained:
        all_of_them = " to ".join(dict.fromkeys((signed(gained[0]), signed(gained[-1]))))
        text += (
            f": other patients may give other ones. Against 0.5, the chosen thresholds changed the median models' "
            f"pooled test Dice by {all_of_them}"
        )
    yield f"{text}."


def _data(source: Source) -> Iterator[str]:
    """Repeat in one point what `hnscc prepare` found odd about the scans: the first sentences, and how many more
    there are."""
    if source.odd:
        rest = len(source.odd) - MOST_ODD
        more = f"; and {rest} more, which `hnscc check` lists" if rest > 0 else ""
        text = f"Odd in the data: {'; '.join(source.odd[:MOST_ODD])}{more}"
        yield text if text.endswith("?") else f"{text}."


def _splits(source: Source) -> Iterator[str]:
    """Say what the divisions of the folds warn of, each warning once, and that the folds are pooled."""
    folds = source.study.split.folds
    for where, warning in told_of_folds(source.warnings, folds):
        yield f"Division of the cohort{'' if folds == 1 else f', in {where}'}: {warning}."
    if folds > 1:
        yield (
            f"The {count_of(folds, 'fold')} are pooled in the tables of scores: the test slices of all folds are "
            "counted together. Scores of single folds vary more."
        )


def _trials(source: Source) -> Iterator[str]:
    trials = source.tables["trials"]
    lost = [row for row in trials if row["status"] != "completed"]
    done = len(trials) - len(lost)
    yield f"{done} of {count_of(len(trials), 'trial')} completed{_counted(source)}."
    why: dict[str, list[str]] = {}
    for row in lost:
        why.setdefault(f"{row['status'].capitalize()} ({row['reason']})", []).append(row["trial_id"])
    for reason, names in why.items():
        yield f"{reason}: {first_of(names, MOST_TRIALS)}."
    collapsed = [row["trial_id"] for row in trials if row["collapsed"]]
    if collapsed:
        yield f"Collapsed (no pixel at or above 0.5 in validation and test): {first_of(collapsed, MOST_TRIALS)}."


def _copies(source: Source) -> Iterator[str]:
    """Say which variants' repeats share their augmented copies, where there are several repeats."""
    if source.study.most_repeats < fewest.REPEATS:
        return
    settings = {name: own.augmentation for name, own in source.study.variants.items()}
    shared = [
        source.appearances[name].label
        for name, own in settings.items()
        if own.copies and own.shared_by_repeats
    ]
    if shared:
        yield (
            f"All repeats of {listed(shared)} train on the same augmented copies (`augmentation.shared_by_repeats`): "
            "how far other copies would move the scores is in no interval and no p."
        )


def _versions(source: Source) -> Iterator[str]:
    """Say which trials are of which versions, where they are not all of the same."""
    trained: dict[str, list[str]] = {}
    for row in source.tables["trials"]:
        if row["versions"]:
            trained.setdefault(row["versions"], []).append(row["trial_id"])
    if len(trained) > 1:
        yield (
            f"The trials come from {count_of(len(trained), 'different set')} of versions, which may give other "
            "weights: their differences cannot be told from those between variants or repeats."
        )
        for versions, names in trained.items():
            yield f"By {versions}: {first_of(names, MOST_TRIALS)}."


def _counted(source: Source) -> str:
    study = source.study
    folds = [count_of(study.split.folds, "fold")] if study.split.folds > 1 else []
    counts = sorted({study.repeats_of(variant) for variant in study.variants})
    repeats = (
        count_of(counts[0], "repeat")
        if len(counts) == 1
        else f"{counts[0]} to {count_of(counts[-1], 'repeat')}"
    )
    parts = [count_of(len(source.appearances), "variant"), *folds, repeats]
    return f" ({' x '.join(parts)})"
