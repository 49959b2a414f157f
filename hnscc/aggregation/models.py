"""The trained models of a variant that predict new scans: its median models, or all of its repeats.

Several models predict by the mean of their probabilities. The threshold comes from the study: a single median model has
its own; the median models of several folds have the mean of theirs; all repeats together have the one that the same
rule chooses on the mean of their validation predictions, averaged over folds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.folds import Damaged, scored_fold
from hnscc.aggregation.query import chosen_k, ended_trials, not_in_tables, read_table
from hnscc.aggregation.trials import load_probabilities
from hnscc.base.arrays import Floats, Integers, Spacing, StoredProbabilities
from hnscc.base.errors import InputError
from hnscc.base.in_words import as_typed, count_of
from hnscc.cohort.split_file import SplitFile, read_split
from hnscc.cohort.store import Store, open_store
from hnscc.scores.counts import threshold_of
from hnscc.scores.thresholds import MAIN_READING, READINGS, choose_threshold, sweep
from hnscc.study.loading import kept_study
from hnscc.study.run_folder import RunFolder, inside
from hnscc.study.schema import Study
from hnscc.study.trials import Trial, fold_name, trials_of
from hnscc.study.variant_schema import Variant
from hnscc.training.members import Member
from hnscc.training.records import read_record


@dataclass(frozen=True)
class Models:
    """The models of a variant. k: they predict lesion where the mean of their probabilities reaches k / 1000.

    members: one for each trial, fold after fold. placing: how the study's scans were placed (`Store.placing`).
    trained_on: the patients of the study, with the folds (in words) whose training or validation they were in. usual:
    what the study's scans are like (hnscc.cohort.kept_of_store), None in run folders of versions that did not keep it.
    spacings_mm: of scans of the study of which every slice is scored, mm between stored voxels along z, y and x.
    """

    study: str
    name: str
    variant: Variant
    members: tuple[Member, ...]
    k: int
    placing: Mapping[str, Any]
    trained_on: Mapping[str, str]
    usual: Mapping[str, Any] | None
    spacings_mm: tuple[Spacing, ...]

    @property
    def needed(self) -> list[str]:
        """The modalities that a scan must have: those that the models use, and the one whose grid is used."""
        seen = list(self.variant.modalities)
        return seen if self.placing["reference"] in seen else [*seen, self.placing["reference"]]

    @property
    def facts(self) -> dict[str, Any]:
        """What is told of them beside what they predict, and in their export."""
        return {
            "study": self.study,
            "variant": self.name,
            "modalities": list(self.variant.modalities),
            "trials": [member.trial_id for member in self.members],
            "threshold": threshold_of(self.k),
            "placing": dict(self.placing),
        }


def models_of(run: RunFolder, variant: str | None = None, *, ensemble: bool = False) -> Models:
    """Find the median model of every fold, or with `ensemble` all completed repeats, and their threshold.

    variant: by name. None stands for the only one, or, of several, the one whose median models have the highest pooled
    Dice on the validation slices. InputError where the run folder's tables are not written, trials of the variant are
    missing, there is no such variant, or no threshold was chosen.
    """
    study = kept_study(run)
    trials = read_table(run, "trials").to_pylist()
    name = _variant(run, study, variant)
    of_variant = [row for row in trials if row["variant"] == name]
    _check_none_missing(run, study, name, of_variant)
    splits = [read_split(run.fold(fold)) for fold in range(study.split.folds)]
    used = [row for row in of_variant if row["status"] == "completed" and (ensemble or row["is_median"])]
    return Models(
        study=study.name,
        name=name,
        variant=study.variants[name],
        members=tuple(_member(run, row, study.variants[name], splits[row["fold"]]) for row in used),
        k=_threshold(run, study, name, used if ensemble else None),
        placing=_placing(study, splits[0]),
        trained_on=_trained_on(splits),
        usual=splits[0].usual,
        spacings_mm=tuple(splits[0].spacing_mm.values()),
    )


def _variant(run: RunFolder, study: Study, variant: str | None) -> str:
    names = list(study.variants)
    if variant in names:
        return variant
    if variant is not None:
        raise InputError(
            "The study has no such variant.",
            where=f"study {study.name}",
            expected=f"one of {', '.join(names)}",
            found=variant,
            do="name one of these (--variant)",
        )
    rows = [row for row in read_table(run, "pooled").to_pylist() if row["split"] == "validation"]
    dice = {row["variant"]: -1.0 if row["dice"] is None else row["dice"] for row in rows}
    return max(names, key=lambda name: dice.get(name, -1.0))


def _check_none_missing(run: RunFolder, study: Study, name: str, rows: Sequence[TableRow]) -> None:
    tabled = {row["trial_id"] for row in rows if row["status"] != "missing"}
    trials = [trial.trial_id for trial in trials_of(study) if trial.variant == name]
    missing = len(set(trials) - tabled)
    ended = sum(trial.variant == name for trial in not_in_tables(run))
    if missing or ended:
        late = f"tables without the results of {ended_trials(ended)}"
        left = f"{missing} of {count_of(len(trials), 'trial')} missing" if rows else "tables without it"
        raise InputError(
            "The variant's median model may still be another: not all of its trials are in the tables.",
            where=f"variant {name} in {run.root}",
            expected="no trial of the variant missing, and tables of the same trials",
            found=late if ended else left,
            do=f"`hnscc aggregate {as_typed(run.root)}` makes the tables again"
            if ended
            else "`hnscc run STUDY` trains what is missing and writes the tables",
        )


def _member(run: RunFolder, row: TableRow, variant: Variant, split: SplitFile) -> Member:
    trial, fold = run.trial(row["trial_id"]), run.fold(row["fold"])
    record = read_record(trial)
    bounds = [split.bounds[modality] for modality in variant.modalities if modality in split.bounds]
    if record is None or len(bounds) < len(variant.modalities):
        raise InputError(
            "A trial cannot be used for predictions.",
            where=f"{inside(trial.root)} of the run folder",
            expected=f"a record, and the normalisation bounds in split.json of {inside(fold.root)}",
            found="no bounds there" if record else "no record",
            do="`hnscc run STUDY` writes what is missing",
        )
    return Member(row["trial_id"], tuple(bounds), record.precision, row["weights_sha256"])


def _threshold(run: RunFolder, study: Study, name: str, repeats: Sequence[TableRow] | None) -> int:
    """Return k of the variant's models; of all repeats if their rows are given."""
    folds = range(study.split.folds)
    found: list[int | None]
    if repeats is None:
        chosen = chosen_k(run)
        found = [chosen.get((name, fold)) for fold in folds]
    else:
        found = [
            _of_ensemble(run, study, fold, [row for row in repeats if row["fold"] == fold]) for fold in folds
        ]
    if absent := [fold for fold, k in enumerate(found) if k is None]:
        raise InputError(
            "The study has chosen no threshold for this variant.",
            where=f"variant {name}, fold {', '.join(map(fold_name, absent))}",
            expected="a threshold from the validation slices, and a completed trial",
            found="none: no trial is completed, or no probability overlaps a lesion there",
            do="choose another variant (--variant), or train it again with other settings",
        )
    return round(sum(k for k in found if k is not None) / len(found))


def _of_ensemble(run: RunFolder, study: Study, number: int, rows: Sequence[TableRow]) -> int | None:
    """Return k by the main reading's rule, on the mean of the repeats' stored validation predictions."""
    if not rows:
        return None
    fold, reading = scored_fold(run, study, number), READINGS[MAIN_READING]
    at = fold.rows[reading.threshold_on]
    total = np.zeros(fold.masks[at].shape)
    for row in rows:
        try:
            total += load_probabilities(run, Trial(row["variant"], number, row["repeat"]), fold)[at]
        except Damaged as damage:
            raise InputError(
                "The predictions of a trial cannot be used.",
                where=f"{inside(run.trial(row['trial_id']).root)} of the run folder",
                expected="predictions.npz as its record tells of it",
                found=str(damage),
                do="`hnscc run STUDY` predicts again by its weights, and trains it again only where these are gone",
            ) from None
    probabilities = mean_probabilities(total, len(rows))
    k, _ = choose_threshold(sweep(probabilities, fold.masks[at]), reading.rule)
    return k


def mean_probabilities(total: Floats | Integers, models: int) -> StoredProbabilities:
    """Return the mean of stored probabilities, uint16 of 0..65535, from their sum over so many models; arrays of
    one shape."""
    probabilities: StoredProbabilities = np.rint(total / models).astype(np.uint16)
    return probabilities


def _placing(study: Study, split: SplitFile) -> dict[str, Any]:
    """Return how scans were placed, from the fold, or, if the fold was written before folds kept it, from the store."""
    placing: dict[str, Any] = split.placing or _store_of(study, split).placing
    if placing["reference"] is None:
        raise InputError(
            "The study's store does not say how its scans were placed.",
            where=f"study {study.name}",
            expected="a store made by `hnscc prepare`",
            found="a store without the modality whose grid its slices lie on",
            do="prepare the store from its manifest, and run the study on that",
        )
    return placing


def _store_of(study: Study, split: SplitFile) -> Store:
    """Return the study's store. InputError where it is not the one from which the fold was made: its scans may have
    been placed in another way."""
    store = open_store(study.store)
    if store.digest == split.store_digest:
        return store
    raise InputError(
        "The run folder does not say how the study's scans were placed, and its store is another one by now.",
        where=f"study {study.name}, `placing` in split.json of fold {fold_name(0)}",
        expected="how scans were placed, there or in the store that the fold was made from",
        found="a store of other content",
        do="`hnscc run STUDY` writes what is missing, where the store holds the same slices; else put the store of "
        "before back",
    )


def _trained_on(splits: Sequence[SplitFile]) -> dict[str, str]:
    told: dict[str, list[str]] = {}
    for fold, split in enumerate(splits):
        for name in ("train", "validation"):
            for patient in split.patients[name]:
                told.setdefault(patient, []).append(f"{name} of fold {fold_name(fold)}")
    return {patient: ", ".join(where) for patient, where in told.items()}
