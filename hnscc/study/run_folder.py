"""The paths of a run folder; nothing else in the project joins a path below it."""

from dataclasses import dataclass
from pathlib import Path

from hnscc.base.errors import InputError
from hnscc.base.locations import Location, locate
from hnscc.study.loading import load_study
from hnscc.study.schema import Study


@dataclass(frozen=True)
class RunFolder:
    """Every path of a run folder. Nothing else in the project joins a path below it."""

    root: Location

    @property
    def study(self) -> Location:
        return self.root / "study.yaml"

    @property
    def trained(self) -> list["TrialFolder"]:
        """The folders of all trials that have a record, planned now or not."""
        records: list[Location] = [*self.root.glob("trials/*/record.json")]
        return [TrialFolder(path.parent) for path in sorted(records, key=str)]

    @property
    def provenance(self) -> Location:
        return self.root / "provenance.json"

    @property
    def provenance_lock(self) -> Location:
        return self.root / ".provenance.lock"

    @property
    def precision(self) -> Location:
        """The number format that `precision: auto` stands for here, chosen before the first trial."""
        return self.root / "precision.json"

    @property
    def lock(self) -> Location:
        """Held by whoever trains here, see training.in_use."""
        return self.root / ".lock"

    @property
    def preparing_lock(self) -> Location:
        return self.root / ".preparing.lock"

    @property
    def tables_lock(self) -> Location:
        return self.root / ".tables.lock"

    @property
    def trial_locks(self) -> list[Location]:
        """The locks of trials that are trained by processes of their own, or were."""
        locks: list[Location] = [*self.root.glob("trials/*/.lock")]
        return sorted(locks, key=str)

    def proof(self, name: str) -> Location:
        """A file by which machines prove to one another that they see this folder."""
        return self.root / ".shared" / name

    @property
    def search(self) -> Location:
        """What a search has proposed so far; only a search's run folder has it."""
        return self.root / "search.json"

    @property
    def winners(self) -> Location:
        """The study file that a search writes."""
        return self.root / "winners.yaml"

    @property
    def winners_run(self) -> Location:
        """The run folder of that study, where the search was told to run it."""
        return self.root / "winners"

    @property
    def html(self) -> Location:
        return self.root / "report.html"

    @property
    def markdown(self) -> Location:
        return self.root / "report.md"

    @property
    def tables(self) -> Location:
        return self.root / "tables"

    @property
    def figures(self) -> Location:
        return self.root / "figures"

    def table(self, name: str) -> Location:
        return self.tables / f"{name}.parquet"

    def figure(self, name: str, kind: str = "png") -> Location:
        return self.figures / f"{name}.{kind}"

    def fold(self, fold: int) -> "FoldFolder":
        return FoldFolder(self.root / "folds" / f"f{fold}")

    def trial(self, trial_id: str) -> "TrialFolder":
        return TrialFolder(self.root / "trials" / trial_id)


@dataclass(frozen=True)
class FoldFolder:
    """folds/f0: split.json (written last) vouches for the others by their hashes."""

    root: Location

    @property
    def split(self) -> Location:
        return self.root / "split.json"

    @property
    def slices(self) -> Location:
        return self.root / "slices.parquet"

    @property
    def scans(self) -> Location:
        return self.root / "scans.parquet"

    @property
    def truth(self) -> Location:
        return self.root / "truth.npz"


@dataclass(frozen=True)
class TrialFolder:
    """trials/<trial>: record.json (written last) vouches for the others by their hashes."""

    root: Location

    @property
    def record(self) -> Location:
        return self.root / "record.json"

    @property
    def lock(self) -> Location:
        """Held by a process that trains this trial alone."""
        return self.root / ".lock"

    @property
    def history(self) -> Location:
        return self.root / "history.parquet"

    @property
    def predictions(self) -> Location:
        return self.root / "predictions.npz"

    @property
    def scores(self) -> Location:
        return self.root / "scores.json"

    @property
    def weights(self) -> Location:
        return self.root / "weights.safetensors"

    def slot(self, number: int) -> "Slot":
        return Slot(self.root / "checkpoint", number)


@dataclass(frozen=True)
class Slot:
    """checkpoint/: two slots written in turn; the facts (written last) vouch for the tensors by their crc32c."""

    root: Location
    number: int

    @property
    def facts(self) -> Location:
        return self.root / f"slot-{self.number}.json"

    @property
    def tensors(self) -> Location:
        return self.root / f"slot-{self.number}.safetensors"


def open_run(path: str | Location) -> RunFolder:
    """The run folder at `path`, which may be an s3:// URL. InputError where it is none."""
    folder = RunFolder(locate(path))
    if not folder.study.is_file():
        found, do = _instead(folder.root)
        raise InputError(
            "This is not a run folder.",
            where=str(path),
            expected="a folder with study.yaml, as `hnscc run` makes it",
            found=found,
            do=do or "check the path, for example runs/demo or s3://bucket/runs/demo",
        )
    return folder


def run_folder_of(study: Study) -> RunFolder:
    """The run folder of a study for which no other is named: runs/<its name>."""
    return RunFolder(Path("runs") / study.name)


def _instead(path: Location) -> tuple[str, str | None]:
    """What stands at a path that is no run folder, and which one is meant, where that can be told."""
    above = RunFolder(path.parent)
    kind = "file" if path.is_file() else "folder" if path.is_dir() else None
    if kind and above.study.is_file():
        return f"a {kind} inside a run folder", f"name the run folder itself: {above.root}"
    if kind == "file":
        return _of_study_file(path)
    if kind == "folder":
        return "a folder without study.yaml", None
    near = RunFolder(Path("runs") / path.name)
    return "no such folder", f"name the run folder {near.root}" if near.study.is_file() else None


def _of_study_file(path: Location) -> tuple[str, str | None]:
    try:
        folder = run_folder_of(load_study(path))
    except InputError:
        return "a file", None
    if folder.study.is_file():
        return "a study file", f"name its run folder: {folder.root}"
    return (
        "a study file",
        f"name its run folder: {folder.root} once `hnscc run {path}` has made it, or the one given as --out",
    )
