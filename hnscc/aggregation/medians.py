"""The median models of a variant in a fold, by each reading, and their thresholds; and scores of whole scans on the
grids on which their masks were drawn.

For these, a prediction on stored slices is brought back to the grid of the drawn mask. So nothing that the slices lost
is forgiven: lesion that was cropped off, or that coarser pixels do not hold, is missed.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from data_prep.placing.way_back import back_as_drawn
from hnscc.aggregation.folds import Damaged, Fold
from hnscc.aggregation.trials import Completed, Result, StoredPredictions, load_predicted
from hnscc.base.arrays import StoredProbabilities
from hnscc.base.cores import cores
from hnscc.base.split_names import SPLITS
from hnscc.scores.counts import HALF, Counts, count, positive
from hnscc.scores.metrics import DICE, dice
from hnscc.scores.scans import ScanScore, score_scan, score_scans
from hnscc.scores.stored import with_glycolysis
from hnscc.scores.thresholds import MAIN_READING, READINGS, Reading, choose_threshold, median_position, sweep
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial

# At most so many threads score scans. They gain time in SciPy and NumPy, which release the GIL, but each takes memory.
SCANS_AT_ONCE = 4


def drawn_scores(
    probabilities: StoredProbabilities, fold: Fold, k: int, tolerance_mm: float
) -> dict[str, ScanScore]:
    """Return the score of each whole scan whose mask the fold keeps as drawn, from stored probabilities of its slices,
    uint16 (N, H, W), at the threshold k / 1000. tolerance_mm: for the surface Dice."""

    def score(scan: str) -> ScanScore:
        drawn, placement = fold.drawn[scan].drawn, fold.drawn[scan].placement
        pred = back_as_drawn(positive(probabilities[fold.scan_rows[scan]], k), placement, drawn)
        return score_scan(pred, drawn.voxels, drawn.spacing_mm, tolerance_mm)

    with ThreadPoolExecutor(min(SCANS_AT_ONCE, cores())) as pool:
        return dict(zip(fold.drawn, pool.map(score, fold.drawn), strict=True))


def dice_of_masks_sent_back(fold: Fold) -> dict[str, float]:
    """Return, for each of these scans, the Dice of its mask with itself after it was placed on the stored slices and
    brought back: what a perfect model would reach."""
    found = {}
    for scan, mask in fold.drawn.items():
        drawn = mask.drawn
        back = back_as_drawn(fold.masks[fold.scan_rows[scan]], mask.placement, drawn)
        found[scan] = float(dice((back & drawn.voxels).sum(), back.sum(), drawn.voxels.sum()))
    return found


@dataclass(frozen=True)
class Median:
    """The median model of a variant in one fold, by one reading. k: its threshold, or None with the reason.

    sweeps: pooled counts (1000,) of each split. at_threshold: counts (N,) at k. The main reading alone has the other
    two. scans: the scores of whole scans at k. drawn: the same on the grids on which masks were drawn, where the fold
    keeps these, at k or, without one, at 0.5.
    """

    result: Completed
    fold: Fold
    k: int | None
    reason: str | None
    sweeps: dict[str, Counts]
    at_threshold: Counts | None
    scans: Mapping[str, ScanScore] = field(default_factory=dict)
    drawn: Mapping[str, ScanScore] = field(default_factory=dict)

    @property
    def beside_half(self) -> tuple[int, Counts] | None:
        """Its threshold and the counts there, where they are shown beside those at 0.5; None where it has no threshold,
        or has chosen 0.5."""
        return None if self.k in (None, HALF) or self.at_threshold is None else (self.k, self.at_threshold)


class Unreadable(ValueError):
    """The predictions of a trial that counts as completed cannot be used. The text says why."""

    def __init__(self, trial: Trial, why: str) -> None:
        super().__init__(why)
        self.trial = trial


def medians_of(
    run: RunFolder, results: list[Result], fold: Fold, tolerance_mm: float
) -> dict[str, Median | None]:
    """Return the median model of one variant and fold by each reading; the predictions of each trial are read once.

    Raises Unreadable where the predictions of a median model are not those from which its scores were made: then it
    cannot be one.
    """
    completed = [each for each in results if isinstance(each, Completed)]
    if not completed:
        return dict.fromkeys(READINGS)
    chosen = {name: _median_result(completed, fold, reading) for name, reading in READINGS.items()}
    medians: dict[str, Median | None] = {}
    for trial in {each.trial for each in chosen.values()}:
        names = [name for name in READINGS if chosen[name].trial == trial]
        result = chosen[names[0]]
        predicted = _predicted(run, trial, fold)
        probabilities = predicted.probabilities
        for slices in {READINGS[name].slices for name in names}:
            rows_of = {split: fold.rows_of(split, slices) for split in SPLITS}
            sweeps = {split: sweep(probabilities[rows], fold.masks[rows]) for split, rows in rows_of.items()}
            for name in names:
                if READINGS[name].slices == slices:
                    median = _median(result, fold, probabilities, sweeps, READINGS[name])
                    main = name == MAIN_READING
                    medians[name] = _with_scans(median, predicted, tolerance_mm) if main else median
    return medians


def _predicted(run: RunFolder, trial: Trial, fold: Fold) -> StoredPredictions:
    try:
        return load_predicted(run, trial, fold)
    except Damaged as damage:
        raise Unreadable(trial, str(damage)) from None


def _with_scans(median: Median, predicted: StoredPredictions, tolerance_mm: float) -> Median:
    """Return the median model with the scores of whole scans at its threshold: on stored slices, and on the
    masks' grids."""
    fold, probabilities = median.fold, predicted.probabilities
    drawn = drawn_scores(probabilities, fold, HALF if median.k is None else median.k, tolerance_mm)
    median = replace(median, drawn=drawn)
    if median.k is None:
        return median
    rows = fold.scan_rows
    scans = score_scans(probabilities, fold.masks, rows, fold.spacing_mm, median.k, tolerance_mm)
    return replace(median, scans=with_glycolysis(scans, predicted.glycolysis, median.k))


def _median_result(completed: list[Completed], fold: Fold, reading: Reading) -> Completed:
    """Return the trial with the median score among those that are completed, of which there is at least one."""
    rows = fold.rows_of(reading.median_on, reading.slices)
    scores = [float(DICE.of(each.counts[rows].pooled())) for each in completed]
    return completed[median_position(scores, [each.trial.repeat for each in completed])]


def _median(
    result: Completed,
    fold: Fold,
    probabilities: StoredProbabilities,
    sweeps: dict[str, Counts],
    reading: Reading,
) -> Median:
    """Return the median model by one reading. probabilities: of the fold's slices, uint16 (N, H, W). sweeps: as
    in `Median`."""
    k, reason = choose_threshold(sweeps[reading.threshold_on], reading.rule)
    reason = reason and f"no threshold on {reading.threshold_on}: {reason}"
    at_threshold = None if k is None else count(positive(probabilities, k), fold.masks)
    return Median(result=result, fold=fold, k=k, reason=reason, sweeps=sweeps, at_threshold=at_threshold)
