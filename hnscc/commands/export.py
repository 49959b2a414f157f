"""Writes a variant's median models as a folder that others can use without this package: ONNX, weights, and a model
card in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hnscc.aggregation.models import Models, models_of
from hnscc.aggregation.query import read_table
from hnscc.base.console import with_interval
from hnscc.base.files import write_text
from hnscc.base.folders import new_folder, write_marker
from hnscc.base.in_words import count_of
from hnscc.commands.output_folders import EXPORT, MODEL_FILE, SETTINGS_FILE, ExportFolder
from hnscc.study.run_folder import RunFolder
from hnscc.training.export import onnx_of
from hnscc.training.members import read_weights


def export_variant(run: RunFolder, variant: str | None, out: str | Path, *, overwrite: bool) -> Path:
    """Write the folder `out`, whole or not at all; see `hnscc.export`."""
    models = models_of(run, variant)
    network, size = models.variant.training.network, models.placing["size"]
    pooled = [row for row in read_table(run, "pooled").to_pylist() if row["variant"] == models.name]
    cohort = read_table(run, "cohort").to_pylist()
    with new_folder(out, SETTINGS_FILE, EXPORT, overwrite=overwrite) as root:
        folder, alone = ExportFolder(root), len(models.members) == 1
        folder.model.write_bytes(onnx_of(run, network, models.members, size))
        weights = [folder.weights(member.trial_id, alone=alone) for member in models.members]
        for path, member in zip(weights, models.members, strict=True):
            path.write_bytes(read_weights(run, member))
        settings = _settings(models, [path.name for path in weights])
        write_text(folder.card, card_text(settings, pooled, cohort))
        write_marker(root, SETTINGS_FILE, EXPORT, settings)
    return Path(out)


def _settings(models: Models, weights: list[str]) -> dict[str, Any]:
    training = models.variant.model_dump(mode="json")
    del training["training"]["network"]["encoder_weights"]  # a path of the user's machine
    return {
        **models.facts,
        "usual": models.usual,
        "bounds": [[list(pair) for pair in member.bounds] for member in models.members],
        "precision": sorted({member.precision for member in models.members}),
        "weights": weights,
        "weights_sha256": [member.weights_sha256 for member in models.members],
        "training": training,
    }


USE = f"""```python
import json

import numpy as np
import onnxruntime

settings = json.load(open("{SETTINGS_FILE}"))
session = onnxruntime.InferenceSession("{MODEL_FILE}")
images = np.load("images.npy").astype(np.float32)  # (slices, modalities, size, size), in the order of the modalities
(probability,) = session.run(None, {{"images": images}})  # float32 (slices, size, size), 0 to 1
mask = probability >= settings["threshold"]
np.save("mask.npy", mask)
```"""


def card_text(
    settings: Mapping[str, Any], pooled: Sequence[Mapping[str, Any]], cohort: Sequence[Mapping[str, Any]]
) -> str:
    """Return the model card, from settings.json and the rows of the tables `pooled` (of the variant) and `cohort`."""
    placing, size = settings["placing"], settings["placing"]["size"]
    pixels = f"pixels of {placing['pixel_mm']} mm" if placing["pixel_mm"] else "the whole field of view kept"
    parts = [
        f"# {settings['study']}: {settings['variant']}",
        f"Segments lesions on transaxial slices of {', '.join(settings['modalities'])}. Made by `hnscc export` from "
        f"the trials {', '.join(settings['trials'])}; several predict by the mean of their probabilities.",
        "## Use",
        USE,
        f"Slices are of {size} x {size} pixels on the grid of {placing['reference']}, {pixels}; rows run to posterior, "
        "columns to the patient's left, slices to superior. Values are those of the study's store; normalisation and "
        "sigmoid are in the graph. `hnscc predict` does all of this from files.",
        "## Scores of the study",
        _scores(pooled),
        "Medians choose the model, and validation slices the threshold; the test slices were seen by neither, and they "
        "alone say something about new patients. Where "
        "the study has several folds, these are the scores of each fold's own model on the patients that it has not "
        "seen: their mean, which this graph gives, was scored on no test slice.",
        "## Cohort",
        _cohort(cohort),
        "## Intended use and limits",
        _limits(settings),
    ]
    return "\n\n".join(parts) + "\n"


def _scores(pooled: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        "| split | pooled Dice (95 % interval over patients) | threshold | patients |",
        "|---|---|---|---|",
    ]
    for row in pooled:
        dice = with_interval(row["dice"], row["dice_low"], row["dice_high"])
        threshold = "–" if row["threshold"] is None else f"{row['threshold']:.3f}"
        rows.append(f"| {row['split']} | {dice} | {threshold} | {row['patients']} |")
    return "\n".join(rows)


def _cohort(cohort: Sequence[Mapping[str, Any]]) -> str:
    patients = {row["patient_id"] for row in cohort}
    scans = {row["scan_id"]: row["positive_slices"] for row in cohort}
    with_lesion = sum(bool(slices) for slices in scans.values())
    whole = f"{count_of(len(patients), 'patient')} with {count_of(len(scans), 'scan')}"
    return f"{whole}, {with_lesion} of them with lesion."


def _limits(settings: Mapping[str, Any]) -> str:
    lines = [
        "- For research alone: no medical device, and no ground for the care of a patient.",
        "- Validated on the cohort above alone; another scanner, sequence or patient group is another question.",
        "- Slices are judged one by one: what lies above and below is not seen.",
    ]
    for number, trial in enumerate(settings["trials"]):
        ranges = zip(settings["modalities"], settings["bounds"][number], strict=True)
        seen = ", ".join(f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in ranges)
        lines.append(f"- {trial} was trained on values of {seen}; what lies beyond is clipped.")
    if settings["precision"] != ["fp32"]:
        lines.append("- It was trained in bf16, and the graph computes in float32: the last digits differ.")
    return "\n".join(lines)
