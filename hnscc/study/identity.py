"""What determines a trial's result, and its hash: the trial's identity."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hnscc.base.errors import InputError
from hnscc.base.files import hash_of, sha256
from hnscc.base.seeds import derive_seed
from hnscc.study.fields import yaml_value
from hnscc.study.presets import in_lower_case
from hnscc.study.schema import Study
from hnscc.study.trials import Trial, fold_name
from hnscc.study.without_effect import unused_beside

# This number is raised whenever a change of this project's code changes trained weights (CHANGELOG.md says
# what changed).
ARITHMETIC = 3
# The libraries whose versions may change trained weights. torchvision and timm hold the encoders that
# segmentation-models-pytorch offers, and how their weights are initialised.
LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "albumentations",
    "opencv-python-headless",
    "numpy",
)
# The keys of a trial's settings that hold these versions and the digest of the fold's data.
VERSIONS, DATA = "versions", "data"


def versions_here() -> dict[str, str]:
    """Return the number of this project's own arithmetic, and the installed version of each library that weights
    depend on."""
    return {"hnscc arithmetic": str(ARITHMETIC), **{name: _installed(name) for name in LIBRARIES}}


@cache
def _installed(library: str) -> str:
    """Return a library's installed version. It is read once: what is imported stays the same while the process lives,
    and every trial asks."""
    return version(library)


def versions_text(versions: Mapping[str, str]) -> str:
    """Return versions as `torch 2.14.1, numpy 2.4.6` and so on, in the order of their names."""
    return ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))


def trial_seeds(study: Study, trial: Trial) -> dict[str, int]:
    """Return the trial's own seed and one for each use of randomness, from the study's seed and the trial's name.

    Where repeats share their augmented copies, the seed of augmentation follows from the fold alone. In a search,
    repeat r of every configuration has the same seeds, so that configurations are compared in pairs and differ by their
    settings alone. The same holds for repeat r of all variants where the study's repeats are paired. The study of a
    search's winners has other seeds: the seeds by which the winners were chosen must not score them again.
    """
    together = "search" if study.search else "paired" if study.paired else trial.variant
    own = derive_seed(study.seed, replace(trial, variant=together).trial_id)
    shared = study.variants[trial.variant].augmentation.shared_by_repeats
    fold = f"search-{fold_name(trial.fold)}" if study.search else fold_name(trial.fold)
    augmentation = derive_seed(study.seed, fold) if shared else own
    seeds = {use: derive_seed(own, use) for use in ("initialisation", "order", "dropout")}
    return {"trial": own, **seeds, "augmentation": derive_seed(augmentation, "augmentation")}


def trial_settings(
    study: Study, trial: Trial, *, device: str, precision: str, fold_digest: str
) -> dict[str, Any]:
    """Return all that determines a trial's result, as JSON. The trial's identity is the hash of this.

    device (cpu or cuda) and precision (fp32 or bf16) are what `auto` chose. fold_digest stands for the data. A file
    of encoder weights is replaced by its hash (InputError where there is no such file). The versions are those of
    this machine.
    """
    variant = study.variants[trial.variant].model_dump(mode="json")
    variant["training"] |= {"device": device, "precision": precision}
    network = variant["training"]["network"]
    if network["encoder_weights"]:
        network["encoder_weights"] = hash_of_weights(network["encoder_weights"])
    return {**variant, DATA: fold_digest, "seeds": trial_seeds(study, trial), VERSIONS: versions_here()}


def hash_of_weights(path: str | None) -> str | None:
    """Return the hash of a file of encoder weights, 64 hexadecimal digits; None where the study names no such file.
    InputError where it cannot be read."""
    if not path:
        return None
    try:
        file = Path(path).stat()
        return _hash_of(path, file.st_size, file.st_mtime_ns)
    except OSError as error:
        raise InputError(
            "The file of encoder weights cannot be read.",
            where="training.network.encoder_weights",
            expected="the .safetensors file that the study names, on every machine that trains",
            found=error.strerror or type(error).__name__,
            do="put the file back, or correct its path (relative to the working directory)",
        ) from None


@cache
def _hash_of(path: str, size: int, written: int) -> str:
    """Return a file's hash. The file is read once for all trials, and again if its size or its time of writing
    (nanoseconds) changes."""
    return sha256(Path(path).read_bytes())


def identity(settings: Mapping[str, Any]) -> str:
    """Return the hash of a trial's settings, 64 hexadecimal digits. It is equal where all that determines the result
    is equal."""
    return hash_of(settings)


@dataclass(frozen=True)
class Change:
    """One setting in which two nested JSON values differ. old, new: its two values; None where the setting
    is absent."""

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.path}: {yaml_value(self.old)} -> {yaml_value(self.new)}"


def changes(old: Any, new: Any, path: str = "") -> Iterator[Change]:
    """Yield each setting in which two nested JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from changes(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield Change(path, old, new)


def changed_values(old: Any, new: Any) -> Iterator[str]:
    """Yield the `changes` of two nested JSON values in words, each as `path: old -> new`."""
    return map(str, changes(old, new))


def told_changes(changed: Iterable[Change]) -> list[str]:
    """Return the changes of a trial in words.

    A change of the data is told without the two hashes, which would tell a reader nothing. Changes of seeds, whose
    numbers stand in no study file, are told as one, with the settings that they follow from.
    """
    follow = "they follow from seed, repeats.paired and augmentation.shared_by_repeats"
    words = {
        DATA: f"{DATA}: other than it was trained on",
        "seeds": f"seeds: others than it was trained with ({follow})",
    }
    return list(dict.fromkeys(words.get(each.path.split(".")[0], str(each)) for each in changed))


def changed_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return the settings in which two trials differ, without their versions and without settings that change nothing.

    Older records may hold an architecture in capitals; it counts as the same one.
    """
    before, now = ({k: v for k, v in in_lower_case(each).items() if k != VERSIONS} for each in (old, new))
    copies = {each.get("augmentation", {}).get("copies") for each in (before, now)}
    idle = {f"augmentation.{name}" for name in unused_beside(0)} | {"seeds.augmentation"}
    return [each for each in changes(before, now) if copies != {0} or each.path not in idle]


def other_settings(study: Study, trial: Trial, recorded: Mapping[str, Any]) -> list[Change]:
    """Return the settings and seeds in which a trial's record differs from what the study now gives the trial.

    What the study does not decide is left out (the data, versions, what `auto` chose, what a file of weights holds),
    and so is a setting that only one of the two has, such as one that older records lack.
    """
    variant = study.variants[trial.variant].model_dump(mode="json")
    now = {**variant, "seeds": trial_seeds(study, trial)}
    found = changed_settings(*_in_both(recorded, now))
    return [each for each in found if not _left_open(each)]


def _left_open(change: Change) -> bool:
    """Return whether the study leaves this setting to the machine, so that the record holds the machine's
    choice instead."""
    if change.path in ("training.device", "training.precision"):
        return bool(change.new == "auto")
    return change.path == "training.network.encoder_weights" and None not in (change.old, change.new)


def _in_both(old: Any, new: Any) -> tuple[Any, Any]:
    """Return two nested JSON values, without the keys that only one of them has."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return old, new
    both = {key: _in_both(old[key], new[key]) for key in old.keys() & new.keys()}
    return {key: each[0] for key, each in both.items()}, {key: each[1] for key, each in both.items()}


def changed_versions(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the versions in which two trials differ, in words. A trial from before versions were kept has none."""
    before, now = (dict(each.get(VERSIONS) or {}) for each in (old, new))
    return [
        f"{each.path}: {_version_told(each.old)} -> {_version_told(each.new)}"
        for each in changes(before, now)
    ]


def _version_told(number: str | None) -> str:
    return "unknown" if number is None else number
