"""What a trained trial says of its fold: the probabilities of all scored slices, and their scores at 0.5."""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np

from hnscc.base.arrays import Bools, Floats, StoredProbabilities
from hnscc.base.encode import npz_bytes
from hnscc.base.locations import Location
from hnscc.cohort.fold import FoldData
from hnscc.scores.counts import HALF
from hnscc.scores.glycolysis import STORED_AS, glycolysis, stacked, with_glycolysis
from hnscc.scores.stored import scoring_at_half, to_bytes
from hnscc.scores.thresholds import score_trial
from hnscc.study.run_folder import TrialFolder
from hnscc.study.variant_schema import Variant
from hnscc.training.loop import Fit


def predicted_files(
    fit: Fit, variant: Variant, data: FoldData, folder: TrialFolder, tolerance_mm: float
) -> Generator[None, None, tuple[dict[Location, bytes], dict[str, Any]]]:
    """Files of the probabilities of the fold's scored slices and of their scores at 0.5, and the record's part.

    Pauses after each batch that was predicted, and each whole scan that was scored. tolerance_mm: of the surface Dice.
    """
    probabilities = yield from fit.predicting(data.scored_slices(variant.modalities))
    masks, rows = data.scored_masks, data.scan_rows
    truth = masks.view(np.bool_)
    at_half = yield from scoring_at_half(probabilities, truth, rows, data.spacing_mm, tolerance_mm)
    found = _glycolysis(data, probabilities, truth)
    at_half = replace(at_half, scans=with_glycolysis(at_half.scans, found, HALF))
    stored = {STORED_AS: stacked(found)} if found else {}
    contents = {
        folder.predictions: npz_bytes(probabilities=probabilities, **stored),
        folder.scores: to_bytes(at_half, data.spacing_mm, tolerance_mm),
    }
    return contents, score_trial(probabilities, masks, data.scored_splits) | {
        "others_digest": data.others_digest
    }


def _glycolysis(data: FoldData, probabilities: StoredProbabilities, truth: Bools) -> dict[str, Floats]:
    """Of each whole scan; empty where no modality is known to be in SUV."""
    found = {}
    for scan, at in data.scan_rows.items():
        uptake = data.uptake(at)
        if uptake is not None:
            found[scan] = glycolysis(probabilities[at], truth[at], uptake, data.spacing_mm[scan])
    return found
