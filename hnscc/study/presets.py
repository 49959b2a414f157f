"""The presets of the setting `protocol`, and how a file's differences are laid over them."""

from copy import deepcopy
from typing import Any

# The two presets that can be trained. `corrected` is spelled out whole; `as_written` is its difference from it.
CORRECTED: dict[str, Any] = {
    "protocol": "corrected",
    "seed": 2023,
    "repeats": 50,
    "sampling": {"max_positive": None, "negatives": "lesion_free_scans", "ratio": 1.0},
    "split": {"unit": "patient", "folds": 1, "test": 0.19, "validation": 0.15, "validation_unit": "patient"},
    "normalisation": {"bounds": "training"},
    "augmentation": {
        "copies": 0,
        "originals": "kept",
        "validation": False,
        "shared_by_repeats": False,
        "flip_left_right": 0.5,
        "flip_up_down": 0.5,
        "translate": 0.1,
        "rotate_degrees": 15.0,
    },
    "training": {
        "network": {"architecture": "unet", "encoder": "resnet18"},
        "loss": "binary_cross_entropy",
        "learning_rate": 0.001,
        "adam_epsilon": 1e-7,
        "batch_size": 16,
        "epochs": 200,
        "patience": 50,
        "monitor": "soft_jaccard_pooled",
        "threads": 1,
        "precision": "auto",
        "device": "auto",
    },
    "evaluation": {
        "slices": "all",
        "cutoff_px": 9,
        "tolerance_mm": 5.0,
        "bootstraps": 2000,
        "margin": None,
    },
    "resources": {"cpus": 1, "gpus": "auto", "hung_after": 1800},
}
AS_WRITTEN: dict[str, Any] = {
    "protocol": "as_written",
    "split": {"validation_unit": "slice"},
    "normalisation": {"bounds": "training_and_validation"},
    "augmentation": {"originals": "dropped", "validation": True, "shared_by_repeats": True},
    "training": {
        "network": {"architecture": "paper", "width": 16},
        "batch_size": 32,
        "monitor": "soft_jaccard_batch_mean",
    },
    "evaluation": {"slices": "sampled"},
}


# The name of the one variant of a study file with a search. Settings that the ranges do not name are as it has them.
SEARCHED = "searched"


def in_lower_case(settings: Any) -> Any:
    """Return settings, nested as a file or a record has them, with the architecture of every network in lower case.

    segmentation-models-pytorch takes `Unet` as `unet`: it is one network, so it must be one setting and one identity,
    and `merge` must see it as one. This is called wherever settings are read, since older files may hold capitals.
    """
    if isinstance(settings, dict):
        return {
            key: _lower(value) if str(key).rpartition(".")[2] == "architecture" else in_lower_case(value)
            for key, value in settings.items()
        }
    return type(settings)(map(in_lower_case, settings)) if isinstance(settings, list | tuple) else settings


def _lower(names: Any) -> Any:
    """Return an architecture's name in lower case, or a list of names that a search tries. Anything else stays as it
    is: a variant, too, may be called `architecture`."""
    if isinstance(names, list | tuple):
        return type(names)(map(_lower, names))
    return names.lower() if isinstance(names, str) else in_lower_case(names)


def merge(base: dict[str, Any], difference: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `difference` laid over it, key by key, at every depth. Neither is changed.

    A network with another architecture replaces the base's network as a whole, since settings such as its encoder mean
    nothing to the other architecture.
    """
    merged = deepcopy(base)
    for key, value in difference.items():
        below = merged.get(key)
        replaced = (
            key == "network"
            and isinstance(value, dict)
            and _architecture(value, below) != _architecture(below, below)
        )
        if isinstance(value, dict) and isinstance(below, dict) and not replaced:
            merged[key] = merge(below, value)
        else:
            merged[key] = deepcopy(value)
    return merged


def _architecture(network: Any, default: Any) -> Any:
    fallback = default.get("architecture") if isinstance(default, dict) else None
    return network.get("architecture", fallback) if isinstance(network, dict) else fallback


PRESETS: dict[str, dict[str, Any]] = {"corrected": CORRECTED, "as_written": merge(CORRECTED, AS_WRITTEN)}


def preset_of(protocol: object) -> dict[str, Any]:
    """Return the preset of a protocol. For an unknown protocol return `corrected`; the schema then refuses
    the protocol."""
    return PRESETS.get(protocol, CORRECTED) if isinstance(protocol, str) else CORRECTED
