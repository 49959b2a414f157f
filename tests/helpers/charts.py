"""Rows of tables as the report's figures take them, and a slice to show."""

import numpy as np

from hnscc.aggregation.column_types import TableRow
from hnscc.reporting.plotting.overlays import Example
from hnscc.reporting.plotting.style import appearances_of

APPEARANCES = appearances_of({"pet": "PET", "pet_mri": "PET-MRI"})


def trial(variant: str, repeat: int, dice: float | None, median: bool = False) -> TableRow:
    return {
        "variant": variant,
        "trial_id": f"{variant}-f0-r{repeat:02d}",
        "test_dice": dice,
        "is_median": median,
    }


def history(trial_id: str, variant: str, values: list[float | None]) -> list[TableRow]:
    names = ("val_soft_jaccard", "val_loss", "train_loss")
    return [
        {"trial_id": trial_id, "variant": variant, "epoch": epoch, **dict.fromkeys(names, value)}
        for epoch, value in enumerate(values, start=1)
    ]


def scored(truth: int, pred: int, dice: float, scan: str = "a", z: int = 0, **row: object) -> TableRow:
    place = {"scan_id": scan, "z": z, "variant": "pet", "outcome": "tp", "misplaced": False}
    return {**place, "truth_px": truth, "pred_px": pred, "dice": dice, **row}


def example(*modalities: str, rows: int = 40, columns: int = 40) -> Example:
    truth, predicted = np.zeros((rows, columns), bool), np.zeros((rows, columns), bool)
    truth[10:16, 20:26] = predicted[11:17, 20:26] = True
    image = np.linspace(0, 5, rows * columns, dtype=np.float32).reshape(rows, columns)
    return Example(scored(36, 36, 0.83), dict.fromkeys(modalities, image), truth, predicted, (2.0, 1.0))
