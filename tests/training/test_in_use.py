"""Several processes in one run folder, real ones and really killed: single trials side by side, a run, aggregations.

Before, `python -m hnscc.train` took no lock, and a run that was refused deleted the first one's new folder.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from forked import Forked
from processes import ROOT
from stores import make_store, study_of

from hnscc.base.locks import locked
from hnscc.commands.train import main as train_one
from hnscc.study.loading import load_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of
from hnscc.training.in_use import alone
from hnscc.training.ready import make_run_ready
from hnscc.training.states import recorded_state, trial_state
from rayjobs.aggregate import main as aggregate
from rayjobs.study import main as run_study

SHORT, LONG = 3, 100_000  # epochs of a trial that ends, and of one that is always killed


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def begun():
    """Processes that are ended with the test, however it ends."""
    processes: list[subprocess.Popen | Forked] = []
    yield processes
    for each in processes:
        each.kill()
        each.communicate()


def write_study(folder: Path, store, epochs: int, **settings) -> Path:
    training = {"epochs": epochs, "patience": epochs}
    raw = study_of(store.location, training=training, **settings).model_dump(mode="json")
    (folder / "study.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return folder / "study.yaml"


def train(begun: list, home: Path, study: Path, trial: str, run: Path) -> Forked:
    begun.append(Forked(home, train_one, [str(study), trial, "--out", str(run)]))
    return begun[-1]


def training(begun: list, home: Path, study: Path, trial: str, run: Path) -> Forked:
    """Begun, and past its first epoch; from then on it takes of the processors what the others leave."""
    process = train(begun, home, study, trial, run)
    line = process.stdout.readline()
    assert line.startswith("epoch   1"), line + process.stderr.read()
    os.setpriority(os.PRIO_PROCESS, process.pid, 19)
    # Its later lines are read, or it would wait with a full pipe.
    threading.Thread(target=process.stdout.read, daemon=True).start()
    return process


def ended(process: subprocess.Popen | Forked) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=120)
    assert "Traceback" not in error, error
    return process.returncode, out, error


@pytest.mark.slow
def test_single_trials_side_by_side_give_the_tables_of_one_run(begun, store, home, tmp_path):
    """Four processes into one new folder at once, and aggregations among them: nothing is lost, nothing differs."""
    study = write_study(tmp_path, store, SHORT)
    trials = [trial.trial_id for trial in trials_of(load_study(study))]
    processes = [train(begun, home, study, trial, tmp_path / "many") for trial in trials]
    while not (tmp_path / "many" / "provenance.json").exists():
        assert all(each.poll() in (None, 0) for each in processes), [ended(each) for each in processes]
        time.sleep(0.05)
    among = [Forked(home, aggregate, [str(tmp_path / "many")]) for _ in range(2)]
    begun += among
    assert [ended(each)[0] for each in [*processes, *among]] == [0] * 6
    folder = RunFolder(tmp_path / "many")
    assert [trial_state(folder.trial(each)).status for each in trials] == ["completed"] * 4
    assert len(json.loads(folder.provenance.read_text())["invocations"]) == 4
    assert aggregate([str(folder.root)]) == 0
    one_by_one = RunFolder(tmp_path / "one")
    for trial in trials:
        assert train_one([str(study), trial, "--out", str(one_by_one.root)]) == 0
    assert aggregate([str(one_by_one.root)]) == 0
    for name in ("pooled", "slices", "protocol"):
        assert pq.read_table(folder.table(name)).equals(pq.read_table(one_by_one.table(name))), name


@pytest.mark.slow
def test_a_run_among_single_trials_is_refused_and_touches_nothing_of_theirs(
    begun, store, home, tmp_path, capfd
):
    study = write_study(tmp_path, store, LONG)
    run = RunFolder(tmp_path / "run")
    living = training(begun, home, study, "pet-f0-r00", run.root)
    half = run.trial("pet-f0-r00").root / ".weights.safetensors.0123456789abcdef.tmp"
    half.write_bytes(b"being written")
    assert run_study([str(study), "--out", str(run.root)]) == 2
    error = capfd.readouterr().err
    assert "Single trials are being trained in this run folder" in error
    assert str(run.root) in error
    assert living.poll() is None
    assert half.exists(), "what another process writes is not tidied away"
    assert recorded_state(run.trial("pet-f0-r00")).status == "missing", "nor is it called failed"
    living.send_signal(signal.SIGKILL)
    living.wait()
    with alone(run):
        pass  # a killed process holds nothing


def test_a_trial_that_another_process_trains_is_refused_until_that_one_is_killed(
    begun, store, home, here, tmp_path
):
    study = write_study(tmp_path, store, LONG)
    run = RunFolder(tmp_path / "run")
    first = training(begun, home, study, "pet-f0-r00", run.root)
    code, _, error = here(train_one, study, "pet-f0-r00", "--out", run.root)
    assert code == 2 and "Traceback" not in error
    assert error.count("error: ") == 1
    assert "Another process is training this trial." in error and "trial pet-f0-r00 in" in error
    beside = training(begun, home, study, "pet-f0-r01", run.root)
    assert first.poll() is None and beside.poll() is None
    first.send_signal(signal.SIGKILL)
    first.wait()
    again = train(begun, home, study, "pet-f0-r00", run.root)
    line = again.stdout.readline()
    assert line.startswith("epoch") and not line.startswith("epoch   1"), (
        "it goes on where the killed one was"
    )


def test_a_single_trial_is_refused_while_a_run_holds_the_folder(begun, store, home, tmp_path):
    study = write_study(tmp_path, store, SHORT)
    run = RunFolder(tmp_path / "run")
    with alone(run):
        code, _, error = ended(train(begun, home, study, "pet-f0-r00", run.root))
        assert code == 2
        assert "Another `hnscc run` or `hnscc search` is at work in this run folder." in error
        assert not run.study.exists()
    assert not run.root.exists(), "nothing came of the folder"


def test_a_run_that_is_refused_leaves_the_first_ones_new_folder(
    begun, store, home, tmp_path, capfd, monkeypatch
):
    """The second one looks for the folder before the first one makes it, and is refused after that."""
    study = write_study(tmp_path, store, SHORT)
    run = RunFolder(tmp_path / "run")
    whole, holding = Path.exists, []

    def _look_then_lose_the_race(path: Path, **how) -> bool:
        found = whole(path, **how)
        if path == run.root and not holding:
            hold = (
                "import sys, time; from pathlib import Path; from hnscc.base.locks import locked\n"
                "with locked(Path(sys.argv[1]) / '.lock'):\n"
                "    (Path(sys.argv[1]) / 'folds').mkdir(); print('held', flush=True); time.sleep(600)"
            )
            begun.append(
                subprocess.Popen(
                    [sys.executable, "-c", hold, str(run.root)],
                    cwd=ROOT,
                    env=os.environ | {"PYTHONPATH": str(ROOT)},
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            holding.append(begun[-1].stdout.readline())
        return found

    monkeypatch.setattr(Path, "exists", _look_then_lose_the_race)
    assert run_study([str(study), "--out", str(run.root)]) == 2
    assert holding == ["held\n"]
    assert "is at work in this run folder" in capfd.readouterr().err
    assert (run.root / "folds").is_dir() and run.lock.is_file()


def test_a_bad_study_leaves_no_folder_behind_single_trials_either(store, here, tmp_path):
    study = write_study(tmp_path, store, SHORT, variants={"ct": {"modalities": ["ct"]}})
    code, _, error = here(train_one, study, "ct-f0-r00", "--out", tmp_path / "run")
    assert code == 2 and "variants.ct.modalities" in error and "Traceback" not in error
    assert not (tmp_path / "run").exists()
    (tmp_path / "empty").mkdir()
    assert here(train_one, study, "ct-f0-r00", "--out", tmp_path / "empty")[0] == 2
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("trained", [True, False, None])
def test_what_was_trained_stays_though_the_folder_was_moved_meanwhile(tmp_path, trained):
    """Everything was deleted at the end, as in a folder in which no run could begin."""
    folder = RunFolder(tmp_path / "run")
    trial = folder.trial("pet-f0-r00")
    left = trial.record if trained else trial.lock
    with alone(folder):
        folder.study.touch()
        folder.root.rename(tmp_path / "moved")
        if trained is not None:  # else no trial has written there since
            left.parent.mkdir(parents=True)
            left.touch()
    assert left.exists() == folder.root.exists() == bool(trained)


def test_a_lock_is_shared_by_many_or_held_by_one(tmp_path):
    path = tmp_path / ".lock"
    with locked(path, shared=True), locked(path, shared=True), pytest.raises(BlockingIOError), locked(path):
        pass
    with locked(path):
        for shared in (True, False):
            with pytest.raises(BlockingIOError), locked(path, shared=shared):
                pass
        path.unlink()
        with locked(path):  # a file of the same name that is another lock
            pass


def test_a_single_trial_keeps_what_a_run_found_to_be_enough(store, tmp_path):
    """study.yaml of a study whose repeats end once they are precise, after a run that wrote `enough`."""
    rule = {"max": 8, "until": 0.5, "first": 6}
    study = write_study(tmp_path, store, 1, repeats=rule, variants={"pet": {"modalities": ["pet"]}})
    run = RunFolder(tmp_path / "run")
    known = load_study(study)
    settled = known.model_copy(update={"repeats": known.repeats.model_copy(update={"enough": {"pet": 6}})})
    make_run_ready(settled, run.root)
    assert train_one([str(study), "pet-f0-r00", "--out", str(run.root)]) == 0
    assert load_study(run.study).repeats.enough == {"pet": 6}
    # Another rule is another question.
    rule["until"] = 0.4
    write_study(tmp_path, store, 1, repeats=rule, variants={"pet": {"modalities": ["pet"]}})
    assert train_one([str(study), "pet-f0-r01", "--out", str(run.root)]) == 0
    assert load_study(run.study).repeats.enough == {}


def test_folds_that_another_process_may_read_are_not_replaced(begun, store, home, here, tmp_path):
    """Of other slices, before any trial is trained: `hnscc run` may write them anew, a single trial may not."""
    study = write_study(tmp_path, store, LONG)
    run = RunFolder(tmp_path / "run")
    living = training(begun, home, study, "pet-f0-r00", run.root)
    before = run.fold(0).split.read_bytes()
    other = write_study(tmp_path, store, LONG, sampling={"max_positive": 6})
    code, _, error = here(train_one, other, "pet-f0-r01", "--out", run.root)
    assert code == 2 and "Traceback" not in error and "other data or another division" in error
    assert run.fold(0).split.read_bytes() == before
    assert living.poll() is None
