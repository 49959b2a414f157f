"""Trials that take turns in one process leave what each leaves alone, also where one stops early, fails or is cut."""

import json

import pytest
import torch
from stores import make_store, study_of

from hnscc.base.errors import StorageError
from hnscc.commands.train import main
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial
from hnscc.training.ready import Task, make_run_ready
from hnscc.training.records import Attempt, newest_facts, read_record
from hnscc.training.states import is_completed
from hnscc.training.trial import side_by_side, steps_of_trial

FRESH = {"modalities": ["pet"], "augmentation": {"copies": "fresh"}}
VARIANTS = {
    "pet": {"modalities": ["pet"]},
    "pet_mri": {"modalities": ["pet", "mri"], "training": {"patience": 4}},
    "fresh": FRESH,
    "broken": {"modalities": ["pet"], "training": {"learning_rate": 1e30}},
}
TRIALS = [
    Trial("pet", 0, 0),
    Trial("pet_mri", 0, 0),
    Trial("broken", 0, 0),
    Trial("fresh", 0, 0),
]
NAMES = [each.trial_id for each in TRIALS]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("store"))
    training = {"epochs": 8, "patience": 2, "learning_rate": 0.05}
    study = study_of(store.location, variants=VARIANTS, training=training)
    return study, make_run_ready(study, tmp_path_factory.mktemp("run")).folds[0]


def steps(small, run, trial):
    return steps_of_trial(Task(small[0], trial, small[1], run.trial(trial.trial_id), "cpu", "fp32"))


def trained(small, run, count):
    """All trials, `count` at a time; the ids in the order of the epochs that ended."""
    pairs = ((each.trial_id, steps(small, run, each)) for each in TRIALS)
    return [trial_id for trial_id, row in side_by_side(pairs, count) if row]


def left(run):
    """By trial: what each file holds, or the failure; and the epochs of each."""
    records = {name: read_record(run.trial(name)) for name in NAMES}
    files = ("weights.safetensors", "predictions.npz", "scores.json")
    return {
        name: [record.files[each] for each in files] if record.status == "completed" else record.failure
        for name, record in records.items()
    }, {name: record.epochs for name, record in records.items() if record.status == "completed"}


@pytest.fixture(scope="module")
def alone(small, tmp_path_factory):
    """What each trial leaves that is trained by itself."""
    run = RunFolder(tmp_path_factory.mktemp("alone"))
    for each in TRIALS:
        for _ in steps(small, run, each):
            pass
    found, epochs = left(run)
    assert found["broken-f0-r00"] == "Diverged"
    assert len(set(epochs.values())) > 1 and min(epochs.values()) < 8, "some must stop before others"
    return found, epochs


def test_bits_are_those_of_each_alone(small, alone, tmp_path):
    """Three at a time: the fourth takes the place of the one that fails."""
    run = RunFolder(tmp_path)
    ended = trained(small, run, 3)
    assert left(run) == alone
    assert ended[:2] == NAMES[:2], "they took turns"
    assert {name: ended.count(name) for name in NAMES if name in ended} == alone[1]


def test_a_place_goes_to_the_next_trial_and_none_is_begun_before():
    """Of four trials of 2, 5, 1 and 1 steps, two at a time; each later one begins where one has ended."""
    said = []

    def _steps(name, count):
        said.append(f"{name} begins")
        for number in range(count):
            yield f"{name}{number}"
        said.append(f"{name} ends")

    trials = [(name, _steps(name, count)) for name, count in (("a", 2), ("b", 5), ("c", 1), ("d", 1))]
    for _, row in side_by_side(trials, 2):
        said.append(row)
    expected = "a begins, a0, b begins, b0, a1, b1, a ends, b2, c begins, c0, b3, c ends, b4, d begins, d0, "
    assert said == f"{expected}b ends, d ends".split(", ")


def test_who_leaves_them_closes_all_that_have_begun():
    """Whoever else still names them: a training that is not closed may go on writing its checkpoints."""
    closed = []

    def _steps(name):
        try:
            yield 1
            yield 2
        finally:
            closed.append(name)

    trials = [(name, _steps(name)) for name in "abc"]
    turns = side_by_side(trials, 2)
    assert [next(turns), next(turns)] == [("a", 1), ("b", 1)]
    turns.close()
    assert sorted(closed) == ["a", "b"]


def test_a_trial_computes_with_what_its_task_gives_it_and_keeps_who_worked_on_it_before(
    small, tmp_path, monkeypatch
):
    study, told = study_of(small[0].store, training={"threads": 2}), []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    folder = RunFolder(tmp_path).trial(NAMES[0])
    before = Attempt(node="m", pid=1, gpus=0.125, from_epoch=1, ended="OutOfMemoryError")
    task = Task(study, TRIALS[0], small[1], folder, "cpu", "fp32", gpus=0.25, attempts=[before])
    rows = steps_of_trial(task)
    next(rows)
    rows.close()
    first, now = newest_facts(folder).attempts
    assert told == [2] and first == before
    assert (now.gpus, now.from_epoch, now.ended) == (0.25, 1, None)


def test_interrupted_they_go_on_from_their_checkpoints_to_the_same_bits(small, alone, tmp_path):
    run = RunFolder(tmp_path)
    pairs = ((each.trial_id, steps(small, run, each)) for each in TRIALS)
    turns = side_by_side(pairs, 3)
    for _ in range(4):  # two epochs of pet and of pet_mri; broken has failed between them
        next(turns)
    turns.close()
    assert [newest_facts(run.trial(name)).epoch for name in NAMES[:2]] == [2, 2]
    trained(small, run, 2)
    assert left(run) == alone
    assert [each.from_epoch for each in read_record(run.trial(NAMES[0])).attempts] == [1, 3]


def test_a_full_disk_ends_all_and_they_go_on_once_there_is_room(small, alone, tmp_path):
    run = RunFolder(tmp_path)
    full = run.trial(NAMES[1]).slot(0).tensors
    full.parent.mkdir(parents=True)
    full.symlink_to("/dev/full")
    with pytest.raises(StorageError, match="The disk is full"):
        trained(small, run, 2)
    assert [newest_facts(run.trial(name)).epoch for name in NAMES[:2]] == [2, 1]
    full.unlink()
    trained(small, run, 2)
    assert left(run) == alone


def test_the_command_trains_several_and_names_each(small, tmp_path, capsys):
    study, names = tmp_path / "study.yaml", ["pet-f0-r00", "broken-f0-r00", "pet_mri-f0-r00", "pet-f0-r00"]
    study.write_text(json.dumps(small[0].model_dump(mode="json")))
    command = [str(study), *names, "--out", str(tmp_path / "run"), "--side-by-side", "2"]
    assert main(command) == 1
    said = capsys.readouterr()
    first, then, last = (line.partition(" loss")[0] for line in said.out.splitlines()[:3])
    assert (first, then, last) == (
        "pet-f0-r00  epoch   1 ",
        "pet-f0-r00  epoch   2 ",
        "pet_mri-f0-r00  epoch   1 ",
    )
    assert "Diverged" in said.err
    assert is_completed(RunFolder(tmp_path / "run").trial("pet_mri-f0-r00"))
    assert main([*command[:2], command[3], *command[5:7]]) == 0
    assert "pet-f0-r00 is completed already" in capsys.readouterr().out


def test_trials_of_other_threads_are_not_trained_side_by_side(small, tmp_path, capsys):
    """A process has one number of threads, and bits follow from it."""
    variants = {"one": VARIANTS["pet"], "two": VARIANTS["pet"] | {"training": {"threads": 2}}}
    raw = study_of(small[0].store, variants=variants).model_dump(mode="json")
    (tmp_path / "study.yaml").write_text(json.dumps(raw))
    command = [str(tmp_path / "study.yaml"), "one-f0-r00", "two-f0-r00", "--out", str(tmp_path / "run")]
    assert main([*command, "--side-by-side", "2"]) == 2
    said = capsys.readouterr().err
    assert "cannot be trained side by side" in said and "one: cpu, fp32, threads 1; two:" in said
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--side-by-side", "0"])
    assert "expected a number of trials, 1 or more, found '0'" in capsys.readouterr().err
