"""Whether a trial is completed. This is the one place that decides it, from the trial's record and the files that the
record vouches for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

from hnscc.base.files import read_errors, sha256
from hnscc.base.locations import S3Path
from hnscc.study.identity import other_settings, told_changes
from hnscc.study.run_folder import PREDICTIONS_FILE, SCORES_FILE, TrialFolder, inside
from hnscc.study.schema import Study
from hnscc.study.trials import Trial
from hnscc.training.records import NEEDED, Failed, Record, Trained, read_record, record_or_fault

# The files that tables read of a trial. Scores that are gone are computed again from the predictions.
READ_BY_TABLES = (*NEEDED, SCORES_FILE)
OTHER_SLICES = "it predicted other slices than the study evaluates: `hnscc run` predicts them by its weights"
BY_OTHER_SETTINGS = "it was trained by other settings"
_MENDED = {
    name: "; `hnscc run` predicts again by its weights, and trains it again only where these are gone"
    for name in (PREDICTIONS_FILE, SCORES_FILE)
}


class Why(Enum):
    """Why a trial is not completed: it has no record; it ended in an error; its files are there but cannot be trusted;
    it predicted other slices than the study evaluates now."""

    NO_RECORD = auto()
    ERROR = auto()
    UNUSABLE = auto()
    OTHER_SLICES = auto()


@dataclass(frozen=True)
class TrialState:
    """What a trial is: completed, failed or missing, and why it is not completed.

    found: the reason in words, either the kind of the error or what is wrong with the files. record: that of a
    completed or failed trial, and of a missing one that predicted other slices than are scored now. A trial whose
    weights failed to predict again has failed, and its record is a `Trained` one. contents: the verified bytes of the
    files that were asked for by name.
    """

    status: Literal["completed", "failed", "missing"]
    why: Why | None = None
    found: str = ""
    record: Record | None = None
    contents: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def completed(self) -> Trained | None:
        """The trial's record if the trial is completed, else None."""
        return self.record if isinstance(self.record, Trained) and self.status == "completed" else None

    @property
    def unusable(self) -> bool:
        """Whether the trial left results that are not used as they are."""
        return self.why in (Why.UNUSABLE, Why.OTHER_SLICES)

    @property
    def reason(self) -> str | None:
        """Why the trial is not completed, in words for people; None where it is completed."""
        return not_used(self.found) if self.unusable else self.found or None


def not_used(found: str) -> str:
    """Return the sentence on a trial whose results are there but not used. found: what is wrong with them."""
    return f"not used: {found}"


def trained_otherwise(study: Study, trial: Trial, record: Trained) -> str | None:
    """Return a sentence, with the cure, on a trial that was trained with other settings than the study's; None where it
    was not.

    This happens where single trials of two studies are trained in one run folder, and both began before either had
    trained one: neither saw the other's settings.
    """
    changed = other_settings(study, trial, record.settings)
    if not changed:
        return None
    return (
        f"{BY_OTHER_SETTINGS}: {'; '.join(told_changes(changed))} (give one of the two studies another --out, or move "
        "the trial's folder away)"
    )


def trial_state(
    folder: TrialFolder,
    *,
    others_digest: str = "",
    keep: tuple[str, ...] = (),
    check: tuple[str, ...] | None = None,
) -> TrialState:
    """Return a trial's state. It is completed if its record is whole and its own, and its files are what the
    record says.

    others_digest: of the slices that its fold scores beside the sampled ones (`FoldData.others_digest`); where it is
    not empty, the trial must have predicted these. keep: names of files whose contents are wanted. check: names of the
    files to be read and compared with their hashes; None for all (on S3 for those that tables read, because the weights
    are most of what a trial holds). A file that tables do not need may be gone, since weights can be pruned.
    StorageError where the disk or S3 does not answer, InputError where a file may not be read.
    """
    record = record_or_fault(folder)
    if isinstance(record, str):
        return TrialState("missing", Why.UNUSABLE, record)
    if record is None:
        return TrialState("missing", Why.NO_RECORD, "not run to its end")
    if isinstance(record, Failed):
        return TrialState("failed", Why.ERROR, record.failure, record)
    contents = _verified(folder, record, keep, check)
    predicted = others_digest in ("", record.others_digest)
    if predicted and not isinstance(contents, str):
        return TrialState("completed", record=record, contents=contents)
    if record.failure:
        return TrialState("failed", Why.ERROR, record.failure, record)
    if isinstance(contents, str):
        return TrialState("missing", Why.UNUSABLE, contents)
    return TrialState("missing", Why.OTHER_SLICES, OTHER_SLICES, record)


def _verified(
    folder: TrialFolder, record: Trained, keep: tuple[str, ...], check: tuple[str, ...] | None
) -> dict[str, bytes] | str:
    """Return the contents to be kept, or which file is not what the record says; arguments as in `trial_state`."""
    contents = {}
    for name, expected in record.files.items():
        path = folder.file(name)
        if check is not None and name not in check:
            continue
        if check is None and isinstance(path, S3Path) and name not in READ_BY_TABLES:
            continue
        try:
            with read_errors(path, inside(folder.root)):
                content = path.read_bytes()
        except FileNotFoundError:
            if name in NEEDED:
                return f"{name} is gone{_MENDED.get(name, '')}"
            continue
        except OSError as error:
            return f"{name} cannot be read ({type(error).__name__})"
        if sha256(content) != expected:
            return f"{name} is damaged: its content is not what was written{_MENDED.get(name, '')}"
        if name in keep:
            contents[name] = content
    return contents


def recorded_state(folder: TrialFolder) -> TrialState:
    """Return the state that the trial's record gives, without reading its other files. It is for callers that
    ask often."""
    return trial_state(folder, check=())


def is_completed(folder: TrialFolder, others_digest: str = "") -> bool:
    """Return whether the trial is completed; arguments as in `trial_state`."""
    return trial_state(folder, others_digest=others_digest).status == "completed"


def with_weights(folder: TrialFolder) -> tuple[Trained, bytes] | None:
    """Return the record of a trained trial and its weights, whatever became of its predictions.

    None where the record, the weights or the history are gone or damaged. Raises what `trial_state` raises.
    """
    record = read_record(folder)
    if not isinstance(record, Trained):
        return None
    contents = {}
    for path in (folder.weights, folder.history):
        try:
            with read_errors(path, inside(folder.root)):
                contents[path.name] = path.read_bytes()
        except OSError:  # the file is gone, or it is a folder
            return None
    if any(sha256(content) != record.files.get(name) for name, content in contents.items()):
        return None
    return record, contents[folder.weights.name]
