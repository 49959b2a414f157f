"""A variant's median models as a folder that others can use without this package: ONNX, weights, a model card."""

from pathlib import Path
from typing import Any

from hnscc.aggregation.models import Models, models_of
from hnscc.aggregation.query import read_table
from hnscc.base.files import write_text
from hnscc.base.folders import new_folder, write_marker
from hnscc.commands.model_card import card_text
from hnscc.study.run_folder import WEIGHTS_FILE, RunFolder
from hnscc.training.export import onnx_of
from hnscc.training.members import read_weights

SETTINGS = "settings.json"
COMMAND = "hnscc export"  # what settings.json says that it was written by


def export_variant(run: RunFolder, variant: str | None, out: str | Path, *, overwrite: bool) -> Path:
    """Write the folder `out`, whole or not at all; see `hnscc.export`."""
    models = models_of(run, variant)
    network, size = models.variant.training.network, models.placing["size"]
    pooled = [row for row in read_table(run, "pooled").to_pylist() if row["variant"] == models.name]
    cohort = read_table(run, "cohort").to_pylist()
    settings = _settings(models)
    with new_folder(out, SETTINGS, COMMAND, overwrite=overwrite) as folder:
        (folder / "model.onnx").write_bytes(onnx_of(run, network, models.members, size))
        for name, member in zip(settings["weights"], models.members, strict=True):
            (folder / name).write_bytes(read_weights(run, member))
        write_text(folder / "model_card.md", card_text(settings, pooled, cohort))
        write_marker(folder, SETTINGS, COMMAND, settings)
    return Path(out)


def _settings(models: Models) -> dict[str, Any]:
    training = models.variant.model_dump(mode="json")
    del training["training"]["network"]["encoder_weights"]  # a path of the user's machine
    several = len(models.members) > 1
    return {
        "study": models.study,
        "variant": models.name,
        "modalities": list(models.variant.modalities),
        "threshold": models.k / 1000,
        "placing": dict(models.placing),
        "trials": [member.trial_id for member in models.members],
        "bounds": [[list(pair) for pair in member.bounds] for member in models.members],
        "precision": sorted({member.precision for member in models.members}),
        "weights": [
            f"weights-{member.trial_id}.safetensors" if several else WEIGHTS_FILE for member in models.members
        ],
        "weights_sha256": [member.weights_sha256 for member in models.members],
        "training": training,
    }
