"""The paths of a run folder. No other module joins a path below it (`tests/test_run_paths.py`)."""

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from hnscc.base.files import HALF_WRITTEN
from hnscc.base.locations import Location, check_places, entries_of, locate, paths_matching
from hnscc.study.trials import fold_name

# The name of the study file in a run folder, and of a new one unless the user names it.
STUDY_FILE = "study.yaml"
# The files of a trial that its record names and vouches for by their hashes.
HISTORY_FILE = "history.parquet"
PREDICTIONS_FILE = "predictions.npz"
SCORES_FILE = "scores.json"  # what the trial says of its predictions at 0.5
WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True)
class RunFolder:
    """Every path of a run folder."""

    root: Location

    def __fspath__(self) -> str:
        """Return its path or s3:// URL, so that the functions of `import hnscc` take a run folder where they take
        its path."""
        return str(self.root)

    @property
    def study(self) -> Location:
        return self.root / STUDY_FILE

    @property
    def recorded(self) -> list["TrialFolder"]:
        """The folders of all trials that have a record, of the study as it is now or not."""
        records = sorted(paths_matching(self.root, "trials/*/record.json"), key=str)
        return [TrialFolder(path.parent) for path in records]

    @property
    def provenance(self) -> Location:
        return self.root / "provenance.json"

    @property
    def provenance_lock(self) -> Location:
        return self.root / ".provenance.lock"

    @property
    def precision(self) -> Location:
        """The file that says which number format `precision: auto` stands for here, chosen before the first trial."""
        return self.root / "precision.json"

    def others(self) -> int:
        """Return how many files and folders are here that no run made. It is 0 where a run or search has begun, since
        its user may have added notes."""
        if self.provenance.is_file() or self.holds_search or self.fold(0).root.parent.is_dir():
            return 0
        before = {
            each.name for each in (*self.locks, self.proof("any").parent, self.trial("any").root.parent)
        }
        # NFS gives such a name to a lock that was deleted while a process held it.
        passing = (HALF_WRITTEN, ".nfs*")
        return sum(
            name not in before and not any(fnmatch(name, each) for each in passing)
            for name in entries_of(self.root)
        )

    @property
    def locks(self) -> tuple[Location, ...]:
        """The locks of the folder, of which some may exist."""
        return self.provenance_lock, self.preparing_lock, self.tables_lock, self.lock

    @property
    def lock(self) -> Location:
        """The lock that is held by a command that trains here, see training.in_use."""
        return self.root / ".lock"

    @property
    def preparing_lock(self) -> Location:
        return self.root / ".preparing.lock"

    @property
    def tables_lock(self) -> Location:
        return self.root / ".tables.lock"

    @property
    def trial_locks(self) -> list[Location]:
        """The locks of trials that are or were trained by processes of their own."""
        return sorted(paths_matching(self.root, "trials/*/.lock"), key=str)

    def proof(self, name: str) -> Location:
        """Return the path of a file by which machines prove to one another that they see this folder."""
        return self.root / ".shared" / name

    def proofs(self) -> list[Location]:
        """Return the paths of all such files that exist."""
        return paths_matching(self.root, ".shared/*")

    def checkpoints(self, trials: set[str]) -> list[Location]:
        """Return every file in the checkpoint folders of these trials, by one listing of S3."""
        found = paths_matching(self.root, "trials/*/checkpoint/*")
        return [path for path in found if path.parent.parent.name in trials]

    def half_written(self) -> list[Path]:
        """Return the half-written files that killed processes left in the run folder, its folds and trials.

        There are none on S3, where a write is one request. Those of a search's winners are not among them: the winners
        have a run folder of their own.
        """
        below = ("", "tables/", "figures/", "folds/*/", "trials/*/")
        return _below(self.root, *(f"{each}{HALF_WRITTEN}" for each in below))

    def passing(self) -> list[Path]:
        """Return the folders that are deleted once they are empty; none on S3, which has no folders."""
        return _below(self.root, "trials/*/checkpoint", ".shared")

    @property
    def search(self) -> Location:
        """The file of what a search has proposed so far; only a search's run folder has it."""
        return self.root / "search.json"

    @property
    def holds_search(self) -> bool:
        """Whether a search has begun here, not a study without one."""
        return self.search.is_file()

    @property
    def winners(self) -> Location:
        """The study file that a search writes."""
        return self.root / "winners.yaml"

    @property
    def winners_run(self) -> Location:
        """The run folder of the winners' study, if the search was told to run it."""
        return self.root / "winners"

    @property
    def html(self) -> Location:
        return self.root / "report.html"

    @property
    def markdown(self) -> Location:
        return self.root / "report.md"

    def pages(self) -> list[Location]:
        """Return the report's pages. They are deleted before the tables that they describe are overwritten."""
        return [self.markdown, self.html]

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
        return FoldFolder(self.root / "folds" / fold_name(fold))

    def trial(self, trial_id: str) -> "TrialFolder":
        return TrialFolder(self.root / "trials" / trial_id)


@dataclass(frozen=True)
class FoldFolder:
    """The folder of a fold, folds/f0. split.json, which is written last, vouches for its other files by
    their hashes."""

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

    @property
    def drawn(self) -> Location:
        """The masks of whole scans as they were drawn; absent where the store keeps none."""
        return self.root / "drawn.npz"


@dataclass(frozen=True)
class TrialFolder:
    """The folder of a trial, trials/<trial>. record.json, which is written last, vouches for its other files by
    their hashes."""

    root: Location

    @property
    def trial_id(self) -> str:
        return self.root.name

    def file(self, name: str) -> Location:
        """Return the path of a file that the trial's record names."""
        return self.root / name

    @property
    def record(self) -> Location:
        return self.root / "record.json"

    @property
    def lock(self) -> Location:
        """The lock that is held by a process that trains only this trial."""
        return self.root / ".lock"

    @property
    def history(self) -> Location:
        return self.file(HISTORY_FILE)

    @property
    def predictions(self) -> Location:
        return self.file(PREDICTIONS_FILE)

    @property
    def scores(self) -> Location:
        return self.file(SCORES_FILE)

    @property
    def weights(self) -> Location:
        return self.file(WEIGHTS_FILE)

    @property
    def checkpoint(self) -> Location:
        return self.root / "checkpoint"

    def slot(self, number: int) -> "Slot":
        return Slot(self.checkpoint, number)

    @property
    def slots(self) -> tuple["Slot", "Slot"]:
        return self.slot(0), self.slot(1)

    def half_written(self) -> list[Path]:
        """Return the half-written files and checkpoints of this trial that killed processes left; none on S3."""
        return _below(self.root, HALF_WRITTEN) + _below(self.checkpoint, HALF_WRITTEN)


@dataclass(frozen=True)
class Slot:
    """One of the two slots in a trial's folder checkpoint/, which are written in turn. The facts, which are written
    last, vouch for the tensors by their crc32c."""

    root: Location
    number: int

    @property
    def facts(self) -> Location:
        return self.root / f"slot-{self.number}.json"

    @property
    def tensors(self) -> Location:
        return self.root / f"slot-{self.number}.safetensors"


def run_folder_of(study: str, out: str | Location | None = None) -> RunFolder:
    """Return the run folder of the study of this name: `out`, or runs/<its name> where `out` is not given."""
    if not out:
        return RunFolder(Path("runs") / study)
    check_places(out=out)
    return RunFolder(locate(out))


def _below(folder: Location, *patterns: str) -> list[Path]:
    """Return the paths on a disk that match; nothing on S3."""
    found = (
        [each for pattern in patterns for each in paths_matching(folder, pattern)]
        if isinstance(folder, Path)
        else []
    )
    return [each for each in found if isinstance(each, Path)]


def inside(path: Location) -> str:
    """Return the path of a fold's or trial's folder, or of a table, from the run folder on: for messages."""
    return f"{path.parent.name}/{path.name}"
