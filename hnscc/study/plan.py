"""A study expands to a fixed list of trials before anything starts; one class owns every path of a run folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hnscc.base.errors import InputError
from hnscc.base.files import hash_of, sha256
from hnscc.base.locations import Place, place
from hnscc.base.seeds import derive_seed
from hnscc.study.config import Study

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, order=True)
class Trial:
    """Variant x fold x repeat. Folds and repeats count from 0."""

    variant: str
    fold: int
    repeat: int

    @property
    def trial_id(self) -> str:
        return f"{self.variant}-f{self.fold}-r{self.repeat:02d}"


def plan_trials(study: Study) -> tuple[Trial, ...]:
    """Every trial of a study in canonical order: variants as the file lists them, then folds, then repeats."""
    return tuple(
        Trial(variant, fold, repeat)
        for variant in study.variants
        for fold in range(study.split.folds)
        for repeat in range(study.repeats_of(variant))
    )


def find_trial(study: Study, trial_id: str) -> Trial:
    """The planned trial of that id, or InputError."""
    for trial in plan_trials(study):
        if trial.trial_id == trial_id:
            return trial
    first, last = plan_trials(study)[0], plan_trials(study)[-1]
    raise InputError(
        "The study has no such trial.",
        where=f"study {study.name}",
        expected=f"an id from {first.trial_id} to {last.trial_id}",
        found=trial_id,
        do="variants are named in the study file; folds and repeats count from 0",
    )


def trial_seeds(study: Study, trial: Trial) -> dict[str, int]:
    """The trial's own seed and one for each use of randomness, drawn from the study's seed and the trial's name.

    Where repeats share their augmented copies, those are keyed by the fold alone. In a search, repeat r of every
    configuration shares all of them: configurations are compared in pairs, by what differs between them alone.
    """
    name = f"search-f{trial.fold}-r{trial.repeat:02d}" if study.search else trial.trial_id
    own = derive_seed(study.seed, name)
    shared = study.variants[trial.variant].augmentation.shared_by_repeats
    augmentation = derive_seed(study.seed, f"f{trial.fold}") if shared else own
    seeds = {use: derive_seed(own, use) for use in ("initialisation", "order", "dropout")}
    return {"trial": own, **seeds, "augmentation": derive_seed(augmentation, "augmentation")}


def trial_settings(
    study: Study, trial: Trial, *, device: str, precision: str, fold_digest: str
) -> dict[str, Any]:
    """All that determines a trial's result, as JSON: its identity is the hash of this.

    device (cpu or cuda) and precision (fp32 or bf16) are what `auto` chose; fold_digest stands for the data,
    and its hash for a file of encoder weights.
    """
    variant = study.variants[trial.variant].model_dump(mode="json")
    variant["training"] |= {"device": device, "precision": precision}
    weights = variant["training"]["network"]["encoder_weights"]
    if weights:
        variant["training"]["network"]["encoder_weights"] = sha256(Path(weights).read_bytes())
    return {**variant, "data": fold_digest, "seeds": trial_seeds(study, trial)}


def identity(settings: dict[str, Any]) -> str:
    return hash_of(settings)


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Each setting in which two nested JSON values differ, as `path: old -> new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield f"{path}: {old} -> {new}"


@dataclass(frozen=True)
class RunFolder:
    """Every path of a run folder. Nothing else in the project joins a path below it."""

    root: Place

    @property
    def study(self) -> Place:
        return self.root / "study.yaml"

    @property
    def trained(self) -> list["TrialFolder"]:
        """The folders of all trials that have a record, planned now or not."""
        return [TrialFolder(path.parent) for path in sorted(self.root.glob("trials/*/record.json"))]

    @property
    def provenance(self) -> Place:
        return self.root / "provenance.json"

    @property
    def lock(self) -> Place:
        return self.root / ".lock"

    def proof(self, name: str) -> Place:
        """A file by which machines prove to one another that they see this folder."""
        return self.root / ".shared" / name

    @property
    def search(self) -> Place:
        """What a search has proposed so far; only a search's run folder has it."""
        return self.root / "search.json"

    @property
    def winners(self) -> Place:
        """The study file that a search writes."""
        return self.root / "winners.yaml"

    @property
    def winners_run(self) -> Place:
        """The run folder of that study, where the search was told to run it."""
        return self.root / "winners"

    @property
    def html(self) -> Place:
        return self.root / "report.html"

    @property
    def markdown(self) -> Place:
        return self.root / "report.md"

    @property
    def tables(self) -> Place:
        return self.root / "tables"

    @property
    def figures(self) -> Place:
        return self.root / "figures"

    def table(self, name: str) -> Place:
        return self.tables / f"{name}.parquet"

    def figure(self, name: str, kind: str = "png") -> Place:
        return self.figures / f"{name}.{kind}"

    def fold(self, fold: int) -> "FoldFolder":
        return FoldFolder(self.root / "folds" / f"f{fold}")

    def trial(self, trial_id: str) -> "TrialFolder":
        return TrialFolder(self.root / "trials" / trial_id)


@dataclass(frozen=True)
class FoldFolder:
    """folds/f0: split.json (written last) vouches for the others by their hashes."""

    root: Place

    @property
    def split(self) -> Place:
        return self.root / "split.json"

    @property
    def slices(self) -> Place:
        return self.root / "slices.parquet"

    @property
    def scans(self) -> Place:
        return self.root / "scans.parquet"

    @property
    def truth(self) -> Place:
        return self.root / "truth.npz"


@dataclass(frozen=True)
class TrialFolder:
    """trials/<trial>: record.json (written last) vouches for the others by their hashes."""

    root: Place

    @property
    def record(self) -> Place:
        return self.root / "record.json"

    @property
    def history(self) -> Place:
        return self.root / "history.parquet"

    @property
    def predictions(self) -> Place:
        return self.root / "predictions.npz"

    @property
    def weights(self) -> Place:
        return self.root / "weights.safetensors"

    def slot(self, number: int) -> "Slot":
        return Slot(self.root / "checkpoint", number)


@dataclass(frozen=True)
class Slot:
    """checkpoint/: two slots written in turn; the facts (written last) vouch for the tensors by their crc32c."""

    root: Place
    number: int

    @property
    def facts(self) -> Place:
        return self.root / f"slot-{self.number}.json"

    @property
    def tensors(self) -> Place:
        return self.root / f"slot-{self.number}.safetensors"


def open_run(path: str | Place) -> RunFolder:
    """The run folder at `path`, which may be an s3:// URL. InputError where it is none."""
    folder = RunFolder(place(path))
    if not folder.study.is_file():
        raise InputError(
            "This is not a run folder.",
            where=str(path),
            expected="a folder with study.yaml, as `hnscc run` makes it",
            found="a folder without study.yaml" if folder.root.is_dir() else "no such folder",
            do="check the path, for example runs/demo or s3://bucket/runs/demo",
        )
    return folder
