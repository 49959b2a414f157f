"""Damages at random everything that a study rests on. Each damage must be found before it is used, or
change nothing."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from stores import make_store, study_of
from trials import train_trial

from hnscc.aggregation.build import build_table
from hnscc.aggregation.folds import load_fold
from hnscc.aggregation.results import load_results
from hnscc.aggregation.schemas import STUDY_TABLES
from hnscc.aggregation.trials import load_trial
from hnscc.base.encode import parquet_bytes
from hnscc.base.errors import InputError
from hnscc.base.locations import Location
from hnscc.cohort.fold import FoldData, read_folds, write_fold
from hnscc.cohort.store import verify_store
from hnscc.study.run_folder import RunFolder, TrialFolder
from hnscc.study.schema import Study
from hnscc.study.trials import Trial, trials_of
from hnscc.training.fit import Epoch
from hnscc.training.ready import make_run_ready, open_and_divide
from hnscc.training.records import Trained, read_record
from hnscc.training.states import trial_state

INTERRUPTED = Trial("pet_mri", 0, 0)
EPOCHS = 4
Damage = Callable[[Path, bytes, random.Random], None]
Kinds = tuple[str, str, str]  # the place, the kind of damage, the verdict


@dataclass(frozen=True)
class Sound:
    """A small finished study, and beside it one trial that was interrupted before its last epoch.

    tables: those of the finished run folder, as bytes.
    """

    study: Study
    folder: RunFolder
    data: FoldData
    interrupted: TrialFolder
    tables: dict[str, bytes]


def make_sound(root: Path) -> Sound:
    store = make_store(root, patients=6, slices=2, size=16)
    study = study_of(store.location, training={"epochs": EPOCHS}, evaluation={"bootstraps": 100})
    run = make_run_ready(study, root / "run")
    data = run.folds[0]
    for trial in trials_of(study):
        assert len(list(_train(study, trial, data, run.folder.trial(trial.trial_id)))) == EPOCHS
    interrupted = RunFolder(root / "interrupted").trial(INTERRUPTED.trial_id)
    rows = _train(study, INTERRUPTED, data, interrupted)
    for _ in range(EPOCHS - 1):
        next(rows)
    rows.close()
    return Sound(study, run.folder, data, interrupted, _tables(run.folder))


def damage_and_judge(sound: Sound, number: int, seed: int, scratch: Path) -> Counter[Kinds]:
    """Make `number` random damages, each to undamaged files; return how many were detected and how many harmless, by
    place and kind.

    AssertionError for one that is neither.
    """
    judges: dict[str, tuple[Callable[[], str], Location]] = {
        "store": (lambda: _judge_store(sound), Path(sound.study.store)),
        "fold": (lambda: _judge_fold(sound), sound.folder.fold(0).root),
        "trial": (lambda: _judge_trials(sound), sound.folder.root / "trials"),
    }
    judged: Counter[Kinds] = Counter()
    for i in range(number):
        # Each damage has its own generator, else one file of another length would change all later damages.
        rng = random.Random(f"{seed} {i}")
        what = rng.choice(["store", "checkpoint", "trial", "fold"])
        kind = rng.choice([_flip, _truncate, _delete])
        if what == "checkpoint":
            at = scratch / str(i) / INTERRUPTED.trial_id
            copy = TrialFolder(shutil.copytree(str(sound.interrupted.root), at))
            harmed = _harm(copy.slot(0).root, kind, rng)[0]
            verdict = _judge_checkpoint(sound, copy, harmed)
            shutil.rmtree(at)
        else:
            judge, below = judges[what]
            harmed, content = _harm(below, kind, rng)
            try:
                verdict = judge()
            finally:
                harmed.write_bytes(content)
        judged[what, kind.__name__.strip("_"), verdict] += 1
    assert _tables(sound.folder) == sound.tables
    return judged


def _harm(below: Location, kind: Damage, rng: random.Random) -> tuple[Path, bytes]:
    """Damage one file; return the file, and what it held."""
    path = rng.choice(sorted(each for each in Path(str(below)).rglob("*") if each.is_file()))
    content = path.read_bytes()
    kind(path, content, rng)
    return path, content


def _flip(path: Path, content: bytes, rng: random.Random) -> None:
    position = rng.randrange(len(content))
    changed = bytearray(content)
    changed[position] ^= 1 << rng.randrange(8)
    path.write_bytes(changed)


def _truncate(path: Path, content: bytes, rng: random.Random) -> None:
    path.write_bytes(content[: rng.randrange(len(content))])


def _delete(path: Path, content: bytes, rng: random.Random) -> None:
    path.unlink()


def _judge_store(sound: Sound) -> str:
    """Return `detected` where reading raises InputError. It is harmless where training would read the same, bit
    for bit."""
    try:
        store, (division,) = open_and_divide(sound.study)
        data = read_folds(store, sound.study, [division])[0]
    except InputError:
        return "detected"
    assert (data.digest, data.bounds, data.rows) == (sound.data.digest, sound.data.bounds, sound.data.rows)
    np.testing.assert_array_equal(data.images, sound.data.images)
    np.testing.assert_array_equal(data.masks, sound.data.masks)
    try:
        verify_store(store)
    except InputError:
        return "harmless, and found by verify"
    return "harmless"


def _judge_fold(sound: Sound) -> str:
    """Check that aggregation refuses the fold or gives the same tables, and that writing the fold again mends it."""
    try:
        tables = _tables(sound.folder)
    except InputError:
        verdict = "detected"
    else:
        assert tables == sound.tables
        verdict = "harmless"
    store, (division,) = open_and_divide(sound.study)
    write_fold(sound.folder.fold(0), store, division, sound.data)
    assert _tables(sound.folder) == sound.tables
    return verdict


def _judge_trials(sound: Sound) -> str:
    """Check that a damaged trial is trained again, and that tables use it only where they stay the same."""
    fold = load_fold(sound.folder, 0)
    trials = trials_of(sound.study)
    statuses = {trial_state(sound.folder.trial(trial.trial_id)).status for trial in trials}
    used = {load_trial(sound.folder, sound.study, trial, fold).status for trial in trials}
    if "missing" not in used:
        assert _tables(sound.folder) == sound.tables
    assert used <= statuses
    return "detected" if "missing" in statuses else "harmless"


def _judge_checkpoint(sound: Sound, folder: TrialFolder, harmed: Path) -> str:
    """Check that training ends with the same result. The damage is detected if the record names it and an earlier epoch
    was continued."""
    newest = (EPOCHS - 1) % 2
    is_newest = harmed in (folder.slot(newest).facts, folder.slot(newest).tensors)
    rows = list(_train(sound.study, INTERRUPTED, sound.data, folder))
    record, undisturbed = read_record(folder), read_record(sound.folder.trial(INTERRUPTED.trial_id))
    assert isinstance(record, Trained) and isinstance(undisturbed, Trained)
    for name in ("predictions.npz", "weights.safetensors"):
        assert record.files[name] == undisturbed.files[name]
    assert _without_seconds(folder) == _without_seconds(sound.folder.trial(INTERRUPTED.trial_id))
    refused = record.attempts[-1].not_used
    if not any(harmed.name in each for each in refused):
        return "harmless"
    assert len(rows) == 2 if is_newest else len(rows) == 1
    return "detected"


def _without_seconds(folder: TrialFolder) -> bytes:
    return parquet_bytes(pq.read_table(folder.history).drop_columns("seconds"))


def _tables(folder: RunFolder) -> dict[str, bytes]:
    results = load_results(folder)
    return {name: parquet_bytes(build_table(name, results)) for name in STUDY_TABLES}


def _train(study: Study, trial: Trial, data: FoldData, folder: TrialFolder) -> Generator[Epoch]:
    yield from train_trial(study, trial, data, folder, device="cpu", precision="fp32")


def told(judged: Counter[Kinds], kinds: Sequence[str] = ("flip", "truncate", "delete")) -> str:
    """Return a line for each place and kind of damage."""
    verdicts = sorted({verdict for _, _, verdict in judged})
    lines = []
    for what in ("store", "checkpoint", "trial", "fold"):
        for kind in kinds:
            counts = ", ".join(f"{judged[what, kind, each]} {each}" for each in verdicts)
            lines.append(f"{what:<10} {kind:<8} {counts}")
    return "\n".join(lines)
