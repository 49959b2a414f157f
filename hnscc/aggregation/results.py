"""What the trials of a run folder left: read, checked by their hashes, counted at 0.5; the medians chosen."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, sha256, storage_errors
from hnscc.base.locations import Location
from hnscc.cohort.slices import Spacing, rows_of_scans
from hnscc.scores.counts import Counts, concatenate, count, positive, stack
from hnscc.scores.metrics import DICE
from hnscc.scores.scans import ScanScore, score_scans
from hnscc.scores.stored import StoredScores, from_bytes, score_at_half
from hnscc.scores.thresholds import (
    READINGS,
    Reading,
    Scored,
    choose_threshold,
    highest,
    median_position,
    sweep,
)
from hnscc.study.identity import trial_seeds
from hnscc.study.loading import load_study
from hnscc.study.plan import SPLITS, Trial, plan_trials
from hnscc.study.run_folder import HISTORY_FILE, PREDICTIONS_FILE, SCORES_FILE, FoldFolder, RunFolder, inside
from hnscc.study.schema import Study
from hnscc.training.records import NEEDED, UNUSABLE, Completed, Failed, trial_state


@dataclass(frozen=True)
class Fold:
    """The scored slices of one fold in stored order: split, patient and scan str (N,), masks bool (N, H, W).

    The used ones, which are sampled, stand first: used bool (N,). whole: whether the others were written too, so that
    the scans of validation and test are whole. digest: of what trainings follow from; scored: of the other slices,
    empty for none. spacing_mm: of each scan of which every slice is scored, mm between voxels along z, y and x.
    """

    number: int
    digest: str
    slices: pa.Table
    split: np.ndarray
    patient: np.ndarray
    scan: np.ndarray
    used: np.ndarray
    masks: np.ndarray
    cohort: pa.Table
    whole: bool = False
    scored: str = ""
    spacing_mm: Mapping[str, Spacing] = field(default_factory=dict)

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Where the scored slices of each split stand: {split: int (n,)}."""
        return {split: np.flatnonzero(self.split == split) for split in SPLITS}

    @cached_property
    def scan_rows(self) -> dict[str, np.ndarray]:
        """Where the slices of each whole scan of validation and test stand, from its first to its last."""
        z = np.array(self.slices["z"])
        return rows_of_scans(sorted(self.spacing_mm), self.scan, z, self.split)

    def scans_of(self, split: str) -> dict[str, list[str]]:
        """Patient -> the scans of which slices stand in the split, sorted."""
        rows = self.rows[split]
        found: dict[str, list[str]] = {}
        for patient, scan in sorted(
            set(zip(self.patient[rows].tolist(), self.scan[rows].tolist(), strict=True))
        ):
            found.setdefault(patient, []).append(scan)
        return found

    @cached_property
    def truth_px(self) -> np.ndarray:
        """Lesion pixels of each slice: int64 (N,)."""
        truth: np.ndarray = self.masks.sum(axis=(1, 2), dtype=np.int64)
        return truth

    @cached_property
    def used_rows(self) -> dict[str, np.ndarray]:
        """Where the used ones of each split stand."""
        return {split: rows[self.used[rows]] for split, rows in self.rows.items()}

    def rows_of(self, split: str, slices: Scored) -> np.ndarray:
        """The slices of a split that a reading scores."""
        return self.used_rows[split] if slices == "sampled" else self.rows[split]

    def of_used(self) -> "Fold":
        """The same fold, of the used slices alone."""
        last = int(self.used.sum())
        return replace(
            self,
            slices=self.slices[:last],
            split=self.split[:last],
            patient=self.patient[:last],
            scan=self.scan[:last],
            used=self.used[:last],
            masks=self.masks[:last],
            whole=False,
            scored="",
            spacing_mm={},
        )


@dataclass(frozen=True)
class Result:
    """A planned trial and what it left; what stands below `record` only a completed one has.

    counts: (N,) at 0.5; scans: the scores of whole scans there. collapsed: no pixel of validation or test reaches 0.5;
    highest_probability: of these.
    """

    trial: Trial
    seed: int
    status: str
    reason: str | None = None
    record: Completed | Failed | None = None
    history: pa.Table | None = None
    counts: Counts | None = None
    scans: Mapping[str, ScanScore] = field(default_factory=dict)
    collapsed: bool | None = None
    highest_probability: float | None = None


@dataclass(frozen=True)
class Median:
    """The median model of a variant in one fold, by one reading. k: its threshold, or None and why.

    sweeps: pooled counts (1000,) of each split. chosen: counts (N,) at k. scans: the scores of whole scans at k, by the
    corrected reading alone.
    """

    result: Result
    fold: Fold
    k: int | None
    reason: str | None
    sweeps: dict[str, Counts]
    chosen: Counts | None
    scans: Mapping[str, ScanScore] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """medians[variant][reading]: one entry per fold, None where no trial of the variant is completed."""

    study: Study
    folds: tuple[Fold, ...]
    results: tuple[Result, ...]
    medians: dict[str, dict[str, tuple[Median | None, ...]]]

    def of(self, variant: str, fold: int | None = None) -> list[Result]:
        """The results of a variant (and fold), in the plan's order."""
        return [
            each for each in self.results if each.trial.variant == variant and fold in (None, each.trial.fold)
        ]

    def collapsed(self, variant: str) -> bool:
        """Whether more than half of a variant's completed trainings marked no pixel."""
        completed = [each for each in self.of(variant) if each.status == "completed"]
        return 2 * sum(bool(each.collapsed) for each in completed) > len(completed)


def load_results(run: RunFolder) -> Results:
    """Read the study, its folds and every planned trial's folder; nothing else.

    A trial without a record is `missing`; so is one whose files are not what its record says: it is not used,
    and says why. Raises InputError where a fold is missing or damaged.
    """
    study = load_study(run.study)
    read = read_trials(run, study)
    for variant in study.variants:
        tolerance_mm = study.evaluation.tolerance_mm
        found = [_medians(run, read.of(variant, fold.number), fold, tolerance_mm) for fold in read.folds]
        read.medians[variant] = {name: tuple(each[name] for each in found) for name in READINGS}
    return read


def read_trials(run: RunFolder, study: Study) -> Results:
    """The folds and every planned trial of a study, without medians; see `load_results`."""
    folds = tuple(scored_fold(run, study, number) for number in range(study.split.folds))
    results = tuple(load_trial(run, study, trial, folds[trial.fold]) for trial in plan_trials(study))
    return Results(study, folds, results, {})


def scored_fold(run: RunFolder, study: Study, number: int) -> Fold:
    """One fold, of the slices that the study evaluates. InputError where these are not there, or a file is damaged."""
    fold = load_fold(run, number)
    if study.search or study.evaluation.slices == "sampled":
        return fold.of_used()
    if fold.whole:
        return fold
    raise InputError(
        "The run folder holds the sampled slices alone, and the study evaluates every slice.",
        where=f"{inside(run.fold(number).root)}, evaluation.slices in study.yaml",
        expected="every slice of the validation and test scans",
        found=f"the {len(fold.split)} slices that are sampled",
        do="`hnscc run STUDY` adds the others and predicts them by the weights that are there; or set `evaluation: "
        "{slices: sampled}`",
    )


def load_fold(run: RunFolder, number: int) -> Fold:
    """One fold as `hnscc run` wrote it. InputError where a file is missing or not what split.json says."""
    folder = run.fold(number)
    split = read_split(run, number)
    try:
        slices, cohort, truth = (
            _checked(path, split["files"]) for path in (folder.slices, folder.scans, folder.truth)
        )
    except Damaged as damage:
        raise _damaged_fold(folder, str(damage)) from None
    table = pq.read_table(io.BytesIO(slices))
    return Fold(
        number,
        split["digest"],
        table,
        np.array(table["split"].to_pylist(), dtype=str),
        np.array(table["patient_id"].to_pylist(), dtype=str),
        np.array(table["scan_id"].to_pylist(), dtype=str),
        np.array(table["used"]) if "used" in table.column_names else np.ones(len(table), bool),
        np.load(io.BytesIO(truth), allow_pickle=False)["masks"].astype(bool),
        pq.read_table(io.BytesIO(cohort)),
        split.get("slices") == "all",
        split.get("scored", ""),
        {scan: (z, y, x) for scan, (z, y, x) in split.get("spacing_mm", {}).items()},
    )


def read_split(run: RunFolder, number: int) -> dict[str, Any]:
    """A fold's split.json: at least `digest` (str), `files` {name: sha256} and `warnings` [str]. Else InputError."""
    folder = run.fold(number)
    try:
        split = read_sealed(folder.split)
    except OSError as error:
        raise _damaged_fold(folder, f"split.json cannot be read ({type(error).__name__})") from None
    except ValueError:
        raise _damaged_fold(folder, "a split.json whose content is not what was written") from None
    whole = (
        isinstance(split, dict)
        and isinstance(split.get("digest"), str)
        and _texts(split.get("files"))
        and isinstance(split.get("warnings"), list)
        and all(isinstance(each, str) for each in split["warnings"])
    )
    if not whole:
        raise _damaged_fold(folder, "a split.json that lacks digest, files or warnings")
    return split


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _damaged_fold(folder: FoldFolder, found: str) -> InputError:
    return InputError(
        "A fold of the run folder is missing or damaged.",
        where=inside(folder.root),
        expected="split.json and the files that it names, unchanged",
        found=found,
        do="`hnscc run STUDY` writes what is missing; restore what was changed",
    )


class Damaged(ValueError):
    """A file is not what was written, or not of this fold; the text names it without a path."""


def _content(path: Location) -> bytes:
    try:
        with storage_errors(path):
            return path.read_bytes()
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read ({type(error).__name__})") from None


def _checked(path: Location, hashes: dict[str, str]) -> bytes:
    content = _content(path)
    if sha256(content) != hashes.get(path.name):
        raise Damaged(f"{path.name} is not what was written: its SHA-256 differs from the recorded one")
    return content


def load_trial(run: RunFolder, study: Study, trial: Trial, fold: Fold) -> Result:
    """What a planned trial left; see `load_results`."""
    seed = trial_seeds(study, trial)["trial"]
    read = (*NEEDED, SCORES_FILE)
    state = trial_state(run.trial(trial.trial_id), keep=read, check=read)
    if isinstance(state.record, Failed):
        return Result(trial, seed, "failed", failure_summary(state.record), state.record)
    record = state.completed
    if record is None:
        return Result(trial, seed, "missing", state.reason)
    tolerance_mm = study.evaluation.tolerance_mm
    try:
        scores, highest_probability = _scores_of(record, state.contents, fold, tolerance_mm)
    except Damaged as damage:
        return Result(trial, seed, "missing", UNUSABLE + str(damage))
    history = pq.read_table(io.BytesIO(state.contents[HISTORY_FILE]))
    counts = Counts(scores.overlap, scores.pred, fold.truth_px)
    collapsed = not counts.pred[fold.split != "train"].any()
    return Result(
        trial,
        seed,
        "completed",
        None,
        record,
        history,
        counts,
        scores.scans,
        collapsed,
        highest_probability,
    )


def _scores_of(
    record: Completed, contents: Mapping[str, bytes], fold: Fold, tolerance_mm: float
) -> tuple[StoredScores, float]:
    """The scores at 0.5 and the highest probability: those that the trial stored where they are of the fold's slices,
    by its spacing and the same tolerance, else from its predictions. Raises Damaged."""
    stored = contents.get(SCORES_FILE)
    if stored and record.scored == fold.scored and record.settings.get("data") == fold.digest:
        found = from_bytes(stored, fold.spacing_mm, tolerance_mm, len(fold.masks))
        if found:
            return found, record.highest_probability
    levels = _levels_of(record, contents[PREDICTIONS_FILE], fold)
    scores = score_at_half(levels, fold.masks, fold.scan_rows, fold.spacing_mm, tolerance_mm)
    return scores, highest(levels[fold.split != "train"])


def load_levels(run: RunFolder, trial: Trial, fold: Fold) -> np.ndarray:
    """The stored probabilities of a completed trial for the fold's slices, uint16 (N, H, W). Raises Damaged where they
    cannot be used."""
    wanted = (PREDICTIONS_FILE,)
    state = trial_state(run.trial(trial.trial_id), keep=wanted, check=wanted)
    if state.completed is None:
        raise Damaged(state.reason or "it is not completed")
    return _levels_of(state.completed, state.contents[PREDICTIONS_FILE], fold)


def _levels_of(record: Completed, content: bytes, fold: Fold) -> np.ndarray:
    if record.settings.get("data", fold.digest) != fold.digest:
        raise Damaged("it was trained on other data than its fold holds")
    try:
        levels: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)["probabilities"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise Damaged(f"{PREDICTIONS_FILE} holds no readable probabilities") from None
    if not fold.scored:
        levels = levels[: len(fold.masks)]  # the used slices stand first, whatever else was predicted
    elif record.scored != fold.scored:
        raise Damaged(
            "it predicted other slices than the study evaluates: `hnscc run` predicts them by its weights"
        )
    if levels.dtype != np.uint16 or levels.shape != fold.masks.shape:
        raise Damaged(
            f"{PREDICTIONS_FILE} holds {levels.dtype} {levels.shape}, not uint16 {fold.masks.shape}"
        )
    return levels


def failure_summary(record: Failed) -> str:
    """What a failed trial's record may tell outside of it: the kind of error alone, since a message may hold
    a path or a patient's data. For tables, logs and reports."""
    return f"failed: {record.failure}; the traceback is in its record.json"


def _medians(
    run: RunFolder, results: list[Result], fold: Fold, tolerance_mm: float
) -> dict[str, Median | None]:
    """The median model of one variant and fold by each reading; predictions are read once per trial."""
    completed = [each for each in results if each.status == "completed"]
    if not completed:
        return dict.fromkeys(READINGS)
    chosen = {name: _median_result(completed, fold, reading) for name, reading in READINGS.items()}
    medians: dict[str, Median | None] = {}
    for trial in {each.trial for each in chosen.values()}:
        names = [name for name in READINGS if chosen[name].trial == trial]
        result = chosen[names[0]]
        levels = load_levels(run, trial, fold)
        for slices in {READINGS[name].slices for name in names}:
            rows_of = {split: fold.rows_of(split, slices) for split in SPLITS}
            sweeps = {split: sweep(levels[rows], fold.masks[rows]) for split, rows in rows_of.items()}
            for name in names:
                if READINGS[name].slices == slices:
                    median = _median(result, fold, levels, sweeps, READINGS[name])
                    corrected = name == "corrected"
                    medians[name] = _with_scans(median, levels, tolerance_mm) if corrected else median
    return medians


def _with_scans(median: Median, levels: np.ndarray, tolerance_mm: float) -> Median:
    """The median model with the scores of whole scans at its threshold."""
    if median.k is None:
        return median
    fold = median.fold
    scans = score_scans(levels, fold.masks, fold.scan_rows, fold.spacing_mm, median.k, tolerance_mm)
    return replace(median, scans=scans)


def _median_result(completed: list[Result], fold: Fold, reading: Reading) -> Result:
    """The trial of median score among those that are completed, of which there is one at least."""
    rows = fold.rows_of(reading.median_on, reading.slices)
    scores = [float(DICE.of(each.counts[rows].pooled())) for each in completed if each.counts is not None]
    position = median_position(scores, [each.trial.repeat for each in completed])
    assert position is not None and len(scores) == len(completed)
    return completed[position]


def _median(
    result: Result, fold: Fold, levels: np.ndarray, sweeps: dict[str, Counts], reading: Reading
) -> Median:
    k, reason = choose_threshold(sweeps[reading.threshold_on], reading.rule)
    reason = reason and f"no threshold on {reading.threshold_on}: {reason}"
    chosen = None if k is None else count(positive(levels, k), fold.masks)
    return Median(result, fold, k, reason, sweeps, chosen)


@dataclass(frozen=True)
class Cases:
    """Slices of one split over all folds, fold after fold in stored order: patient str (N,).

    counts: (N,), or (R, N) of R repeats.
    """

    counts: Counts
    patient: np.ndarray

    def __getitem__(self, cases: np.ndarray) -> "Cases":
        return Cases(self.counts[cases], self.patient[cases])

    def by_patient(self) -> Counts:
        """Counts (P,) or (R, P) pooled per patient, patients in sorted order."""
        names, group = np.unique(self.patient, return_inverse=True)
        return self.counts.by_group(group, len(names))


def lacking(medians: tuple[Median | None, ...]) -> str | None:
    """Why a variant has no scores at its chosen threshold, or None where it has."""
    several = len(medians) > 1
    for fold, median in enumerate(medians):
        reason = "no completed trial" if median is None else median.reason
        if reason:
            return f"{reason} in fold f{fold}" if several else reason
    return None


def cases_of(
    medians: tuple[Median | None, ...], split: str, at_half: bool = False, slices: Scored = "every"
) -> Cases | None:
    """The median models' slices of a split at their chosen thresholds (or 0.5); None where one is lacking."""
    counts, patients = [], []
    for median in medians:
        if median is None:
            return None
        found = median.result.counts if at_half else median.chosen
        if found is None:
            return None
        rows = median.fold.rows_of(split, slices)
        counts.append(found[rows])
        patients.append(median.fold.patient[rows])
    return Cases(concatenate(counts), np.concatenate(patients))


def repeat_cases(results: Results, variant: str, split: str) -> Cases:
    """The R repeats of a variant that are completed in all folds, at 0.5: counts (R, N) of a split's slices."""
    rows = [fold.rows[split] for fold in results.folds]
    patient = np.concatenate([fold.patient[where] for fold, where in zip(results.folds, rows, strict=True)])
    by_repeat: dict[int, list[Result]] = {}
    for each in results.of(variant):
        by_repeat.setdefault(each.trial.repeat, []).append(each)
    repeats = [
        concatenate([counts[where] for counts, where in zip(found, rows, strict=True)])
        for parts in by_repeat.values()
        if len(found := [each.counts for each in parts if each.counts is not None]) == len(parts)
    ]
    return Cases(stack(repeats, len(patient)), patient)
