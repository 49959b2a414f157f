"""A million slice rows to the final tables on disk, by this project and by pandas.

    python benchmarks/aggregation.py [--rounds 3]

Both sides start from the same pixel counts in memory (4 variants x 50 repeats, 200 patients with 25 slices each) and
write eleven tables as Parquet, with the types that the schema names: all tables of a study but those that need masks
and whole scans (NOT_OF_SLICES). Ours are flushed to the disk too. The other side (`aggregation_by_pandas.py`) is pandas
as one who knows it well writes it: categories for names, whole columns, groupby, SciPy for the tests, the bootstrap on
a patients x repeats matrix in NumPy, both scores from the same resamples. It may assume what is true of these data, one
fold and every trial completed, and gives no reasons for missing values. What both compute without random numbers must
be equal. Our side alone computes the t tests over patients and repeats, and intervals of the repeats (OURS_ALONE), so
that the time of our larger work is compared with that of their smaller one.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# As in `hnscc aggregate`, which imports hnscc before NumPy; pandas is as fast with it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from aggregation_by_pandas import by_pandas
from figures import ROUNDS, Figure, in_turn, ratios, tell
from scores_by_pandas import VARIANTS

from hnscc.aggregation.build import build_table, table_bytes, write_files
from hnscc.aggregation.columns import pooled_names
from hnscc.aggregation.folds import Fold
from hnscc.aggregation.medians import Median
from hnscc.aggregation.results import Results
from hnscc.aggregation.schemas import STUDY_TABLES
from hnscc.aggregation.trials import Completed
from hnscc.base.split_names import SPLITS
from hnscc.scores.counts import THRESHOLDS, Counts
from hnscc.scores.metrics import DICE
from hnscc.scores.thresholds import READINGS, choose_threshold, median_position
from hnscc.study.identity import trial_seeds
from hnscc.study.loading import parse_study
from hnscc.study.run_folder import WEIGHTS_FILE, RunFolder
from hnscc.study.trials import Trial, trials_of
from hnscc.training.records import Trained

REPEATS = 50
PATIENTS = {"train": 132, "validation": 30, "test": 38}
SLICES = 25  # of each patient
EPOCHS = 100

# These tables need the pixels of whole scans; the others follow from counts of slices.
NOT_OF_SLICES = {"scans", "drawn_scans", "patients", "lesions", "detection", "reliability", "means"}
TABLES = tuple(name for name in STUDY_TABLES if name not in NOT_OF_SLICES)
# What the other side does not compute: columns by table (`reason` in all of them). In the comparisons it computes only
# rows by the methods BOTH. Metrics of whole scans have columns and rows without a value here.
OURS_ALONE = {
    "trials": {"unusable"},
    "pooled": {"effective_patients", "scans_reason", *pooled_names().split()}
    | {f"{score}_repeats_{end}" for score in ("dice", "jaccard") for end in ("low", "high")},
    "comparisons": {"effective_patients", "smallest_seen", "margin", "p_equal", "p_equal_holm"}
    | {"repeats_a", "repeats_b", "higher_is_better", "better", "better_low", "better_high", "paired"},
}
BOTH = {"metric": ["dice", "jaccard"], "method": ["wilcoxon", "bootstrap"]}

# The study -----------------------------------------------------------------------------------------------------------


def example(seed: int = 0) -> Results:
    """Return what `load_results` would return of a completed study: counts like those of real lesions,
    without pixels."""
    rng = np.random.default_rng(seed)
    variants = {name: {"modalities": ["pet"]} for name in VARIANTS}
    study = parse_study({"name": "big", "store": "none.zarr", "variants": variants, "repeats": REPEATS})
    fold = _fold()
    truth = _truth(rng, len(fold.split))
    trials = trials_of(study)
    skill = dict(zip(VARIANTS, (0.6, 0.5, 0.68, 0.7), strict=True))
    made = tuple(
        _result(each, trial_seeds(study, each)["trial"], _counts(rng, truth, skill[each.variant]), rng)
        for each in trials
    )
    results = Results(study, (fold,), made, {})
    for name in VARIANTS:
        results.medians[name] = _medians(rng, results.completed(name), fold, skill[name])
    return results


def _fold() -> Fold:
    patients = [f"p{number:03d}" for number in range(sum(PATIENTS.values()))]
    splits = np.repeat(SPLITS, [PATIENTS[split] for split in SPLITS])
    split, patient = np.repeat(splits, SLICES), np.repeat(patients, SLICES)
    z = np.tile(np.arange(SLICES), len(patients))
    slices = {"split": split, "patient_id": patient, "scan_id": np.char.add(patient, "-a"), "z": z}
    scans = {"patient_id": patients, "scan_id": np.char.add(patients, "-a"), "split": splits}
    whole = {"slices": SLICES, "positive_slices": 12, "used_positive": 12, "used_negative": 13}
    numbers = {name: np.full(len(patients), value) for name, value in ({"fold": 0} | whole).items()}
    no_pixels = np.zeros((len(split), 0, 0), bool)
    scan, sampled = slices["scan_id"], np.ones(len(split), bool)
    table = pa.table(slices | {"used": sampled})
    return Fold(0, "", table, split, patient, scan, sampled, no_pixels, pa.table(scans | numbers))


def _truth(rng: np.random.Generator, slices: int) -> np.ndarray:
    """Return lesion pixels, int (N,), of so many slices: half of them have none, the others 60 at the median."""
    return np.where(rng.random(slices) < 0.5, rng.lognormal(4.1, 1, slices).astype(int) + 1, 0)


def _counts(rng: np.random.Generator, truth: np.ndarray, skill: float) -> Counts:
    """Return the counts of one model: it finds about `skill` of each lesion, misses some, and marks false pixels in 2
    of 5 slices."""
    share = rng.beta(8 * skill, 8 * (1 - skill), len(truth)) * (rng.random(len(truth)) > 0.05)
    overlap = rng.binomial(truth, share)
    beside = np.where(rng.random(len(truth)) < 0.4, rng.poisson(15, len(truth)), 0)
    return Counts(overlap, overlap + beside, truth)


def _result(trial: Trial, seed: int, counts: Counts, rng: np.random.Generator) -> Completed:
    epochs = {"epoch": np.arange(1, EPOCHS + 1)}
    curves = {name: rng.random(EPOCHS) for name in ("train_loss", "val_loss", "val_soft_jaccard", "seconds")}
    record = Trained.model_construct(  # only what tables take from a record
        best_epoch=50,
        epochs=EPOCHS,
        stop_reason="patience",
        best_val_soft_jaccard=0.5,
        seconds=1.5,
        device="cpu",
        versions={"torch": "0"},
        files={WEIGHTS_FILE: f"{seed:064x}"},
    )
    return Completed(
        trial=trial,
        seed=seed,
        record=record,
        history=pa.table(epochs | curves),
        counts=counts,
        collapsed=False,
        highest_probability=0.99,
    )


def _medians(
    rng: np.random.Generator, results: list[Completed], fold: Fold, skill: float
) -> dict[str, tuple[Median | None, ...]]:
    counts = [each.counts for each in results]
    truth = counts[0].truth
    sweeps = {split: _sweep(int(truth[fold.split == split].sum()), skill) for split in SPLITS}
    found: dict[str, tuple[Median | None, ...]] = {}
    for name, reading in READINGS.items():
        rows = fold.split == reading.median_on
        scores = [float(DICE.of(each[rows].pooled())) for each in counts]
        result = results[median_position(scores, range(len(results)))]
        k, reason = choose_threshold(sweeps[reading.threshold_on], reading.rule)
        found[name] = (Median(result, fold, k, reason, sweeps, _counts(rng, truth, skill)),)
    return found


def _sweep(truth: int, skill: float) -> Counts:
    """Return pooled counts (1000,) by threshold: the higher it is, the fewer pixels, and false ones go first. The best
    threshold is somewhat below 0.5."""
    left = 1 - THRESHOLDS / 1001
    overlap = (truth * (1 - (1 - left) ** (3 * skill))).astype(int)
    return Counts(overlap, overlap + (truth * left**4).astype(int), np.full(1000, truth))


# Both ----------------------------------------------------------------------------------------------------------------


def by_us(results: Results, folder: Path) -> None:
    with ThreadPoolExecutor() as pool:  # as `write_tables` does
        files = {name: pool.submit(table_bytes, name, build_table(name, results)) for name in TABLES}
        write_files(RunFolder(folder), {name: each.result() for name, each in files.items()})


RESAMPLED = {"dice_low", "dice_high", "jaccard_low", "jaccard_high"}


def check_agreement(ours: RunFolder, theirs: RunFolder) -> None:
    """Raise AssertionError where the sides differ in what both compute without random numbers."""
    for name in TABLES:
        a, b = (pq.read_table(side.table(name)).to_pandas() for side in (ours, theirs))
        assert set(a) - {"reason"} - set(b) == OURS_ALONE.get(name, set()), (name, set(a) - set(b))
        assert set(b) <= set(a), (name, set(b) - set(a))
        if name == "comparisons":
            a = a[a.metric.isin(BOTH["metric"]) & a.method.isin(BOTH["method"])].reset_index(drop=True)
        a, b = (frame[[column for column in a if column in b]] for frame in (a, b))
        if name == "comparisons":
            rows = a.method == "wilcoxon"
            pd.testing.assert_series_equal(a.difference, b.difference)
            a, b = a[rows].drop(columns=["low", "high"]), b[rows].drop(columns=["low", "high"])
        for column in set(a) - RESAMPLED:
            values = [_plain(frame[column]) for frame in (a, b)]
            pd.testing.assert_series_equal(
                *values, check_dtype=False, atol=1e-12, rtol=1e-9, obj=f"{name}.{column}"
            )


def _plain(column: pd.Series) -> pd.Series:
    return column.astype("str") if column.dtype == "category" else column


def timed(side: Callable[[Results, Path], None], results: Results, cpu: list[float]) -> Callable[[], float]:
    def act() -> float:
        with tempfile.TemporaryDirectory() as folder:
            began, busy = time.perf_counter(), time.process_time()
            side(results, Path(folder))
            cpu.append(time.process_time() - busy)
            return time.perf_counter() - began

    return act


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    results = example()
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = RunFolder(Path(folder, "ours")), RunFolder(Path(folder, "theirs"))
        before = peak_mib()
        by_us(results, Path(folder, "ours"))
        memory = f"peak memory {peak_mib():.0f} MiB, of which {before:.0f} are the counts and the libraries"
        by_pandas(results, Path(folder, "theirs"))
        check_agreement(ours, theirs)
        rows = pq.read_metadata(ours.table("slices")).num_rows
    cpu: tuple[list[float], list[float]] = ([], [])
    sides = [timed(side, results, spent) for side, spent in zip((by_us, by_pandas), cpu, strict=True)]
    us, them = in_turn(*sides, rounds=rounds)
    pandas = f"pandas {pd.__version__} {np.median(them):.2f} s"
    busy = f"seconds of processor {np.median(cpu[0]):.2f} and {np.median(cpu[1]):.2f}"
    detail = f"{rows:,} slice rows, {len(TABLES)} tables, 2,000 resamples; {pandas}; {busy}; {memory}"
    tell(Figure("aggregation of a million slice rows", 5, us, "s", detail, at_most=True))
    tell(
        Figure(
            "aggregation against pandas",
            4,
            ratios(them, us),
            "x",
            "the same runs, equal in all that both compute; the t tests over patients and repeats are ours alone",
        )
    )


if __name__ == "__main__":
    main()
