"""A variant's median models as a folder that others can use without this package: ONNX, weights, a model card."""

from pathlib import Path
from typing import Any

from hnscc.aggregation.models import Models, models_of
from hnscc.aggregation.query import read_table
from hnscc.base.files import write_text
from hnscc.base.folders import new_folder, write_marker
from hnscc.commands.model_card import card_text
from hnscc.commands.output_folders import EXPORT, SETTINGS_FILE, ExportFolder
from hnscc.scores.counts import threshold_of
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
        "study": models.study,
        "variant": models.name,
        "modalities": list(models.variant.modalities),
        "threshold": threshold_of(models.k),
        "placing": dict(models.placing),
        "trials": [member.trial_id for member in models.members],
        "bounds": [[list(pair) for pair in member.bounds] for member in models.members],
        "precision": sorted({member.precision for member in models.members}),
        "weights": weights,
        "weights_sha256": [member.weights_sha256 for member in models.members],
        "training": training,
    }
