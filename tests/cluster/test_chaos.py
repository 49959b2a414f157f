"""A short run of chaos.py, and single faults that must come to a known end. A few minutes on 2 cores, as root.

The cluster's workers declare a GPU each, which is not real: trials are trained by the processor.
"""

import os
import random
import subprocess
from pathlib import Path

import chaos
import chaos_lab
import pytest
from machines import await_started, wait_until

from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.study.section_schema import Resources
from hnscc.training.records import read_record
from rayjobs.watch import RESTARTS

SEED = 3
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")


@pytest.fixture(scope="module")
def lab():
    with chaos_lab.lab(repeats=3, epochs=30, gpus=1) as made:
        yield made


@pytest.fixture(scope="module")
def moments(lab):
    return chaos.undisturbed(lab, times=1)


def test_workers_killed_stopped_and_lost_with_their_machine(lab, moments):
    rng = random.Random(SEED)
    actions = [chaos.kill_worker, chaos.kill_worker, chaos.lose_machine, chaos.hang_worker]
    happened = chaos.disturb(lab, actions, 1.5, rng)
    # A worker that is stopped once it has ended its last trial, or with its machine, keeps nobody waiting.
    for _ in range(3):
        if not happened["found hanging"]:
            happened += chaos.disturb(lab, [chaos.hang_worker], 1.5, rng)
    assert happened["interruptions"] and happened["found hanging"]


def test_workers_killed_inside_their_writes(lab, moments):
    assert chaos.kill_in_writes(lab, 3, SEED)["kills"] >= 3


def test_driver_and_cluster_killed(lab, moments):
    rng = random.Random(SEED)
    assert chaos.kill_drivers(lab, 4, moments, rng)["kills"] == 4
    chaos.kill_clusters(lab, 1, rng)


def test_a_trial_whose_record_is_written_is_not_trained_again(lab, moments):
    """Its process dies after that, before Tune hears of it."""
    out = lab.fresh()
    lab.set_faults(below=str(out), kill_at=["renamed", "trials/pet-f0-r00/record.json"])
    lab.finish(out, lab.start(out))
    assert len(lab.logged("kill")) == 1
    assert len([trial for trial, *_ in lab.logged("start") if trial == "pet-f0-r00"]) == 1
    lab.check(out)


def test_a_crashing_trial_fails_by_name_and_one_without_memory_gets_a_larger_share(lab, moments):
    out = lab.fresh()
    lab.set_faults(crash="pet-f0-r01", memory="pet_mri-f0-r00")
    resources = Resources(cpus=1, gpus=0.25, hung_after=chaos_lab.HUNG_AFTER)
    study = lab.study.model_copy(update={"resources": resources})
    assert lab.start(out, study).wait(timeout=chaos_lab.RUN_SECONDS) == 1
    said = lab.output(out).read_text()
    assert f"failed: pet-f0-r01: its process died {RESTARTS + 1} times" in said
    assert "5 trials completed, 1 failed, 0 missing" in said
    assert [trial for trial, *_ in lab.logged("start")].count("pet-f0-r01") == RESTARTS + 1
    assert "its worker process has died" in read_record(RunFolder(out).trial("pet-f0-r01")).error
    attempts = read_record(RunFolder(out).trial("pet_mri-f0-r00")).attempts
    assert [(each.gpus, each.ended) for each in attempts] == [
        (0.25, "OutOfMemoryError"),
        (0.5, None),
    ]
    lab.set_faults()
    lab.finish(out, lab.start(out, study))
    lab.check(out)


@as_root
@pytest.mark.parametrize("late", [False, True], ids=["from the start", "that joins later"])
def test_a_machine_that_does_not_see_the_run_folder_is_named(lab, late):
    """Also where it joins when trials are trained elsewhere: no trial is taken for failed by its fault."""
    shared = lab.folder / f"shared-{late}"
    shared.mkdir()
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(shared)]
    out = shared / "run"
    lab.fresh()
    if late:
        process = lab.start(out, _longer(lab.study))
        lab.await_training(out, 0, random.Random(SEED))
        machine = lab.cluster.add(inside=hide)
    else:
        machine = lab.cluster.add(inside=hide)
        await_started([machine])
        process = lab.start(out)
    assert process.wait(timeout=chaos_lab.RUN_SECONDS) == 2
    said = lab.output(out).read_text()
    assert said.count("A machine of the cluster does not share the run folder.") == 1, said
    assert "Traceback" not in said
    lab.cluster.remove(machine)
    if late:
        records = [read_record(folder) for folder in RunFolder(out).recorded]
        assert all(record.status == "completed" for record in records)
    else:
        assert not out.exists()


def _longer(study: Study) -> Study:
    """Trials of several seconds: Tune gives those that last a second to the workers it has, whoever joins."""
    training = study.training.model_copy(update={"epochs": 400, "patience": 400})
    variants = {name: each.model_copy(update={"training": training}) for name, each in study.variants.items()}
    return study.model_copy(update={"repeats": 5, "training": training, "variants": variants})


def test_a_study_waits_for_its_first_machine(lab, moments):
    """A cluster whose machines start when they are needed, or are still on their way: the driver says that it waits.

    It waits for the first or, while Ray still takes a lost one for alive, for a free one.
    """
    for machine in lab.cluster.machines[1:]:
        lab.cluster.remove(machine)
    out = lab.fresh()
    process = lab.start(out)
    said = lab.output(out)
    wait_until(lambda: "waiting for " in said.read_text(), 120, said.read_text)
    await_started([lab.cluster.add() for _ in range(lab.cluster.workers)])
    lab.finish(out, process)
    lab.check(out)


def test_a_machine_lost_a_moment_before_is_not_asked_for(lab, moments):
    """Ray still takes it for alive."""
    out = lab.fresh()
    lab.cluster.remove(lab.cluster.machines[1:][-1])
    process = lab.start(out)
    lab.cluster.add()
    lab.finish(out, process)
    lab.check(out)


@as_root
def test_a_full_disk_is_told_and_the_same_command_goes_on(lab, moments):
    """First while trials are trained, then while the tables of a finished study are written again."""
    lab.fresh()
    disk = lab.folder / "disk"
    disk.mkdir()
    out = disk / "run"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=True)
    try:
        _told_full(lab, out)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        lab.finish(out, lab.start(out))
        lab.check(out)
        _fill(disk / "filler")
        _told_full(lab, out)
        assert chaos_lab.tables(out) == lab.expected
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def _told_full(lab: chaos_lab.Lab, out: Path) -> None:
    lab.output(out).write_text("")
    assert lab.start(out).wait(timeout=chaos_lab.RUN_SECONDS) == 1
    said = lab.output(out).read_text()
    assert said.count("The disk is full.") == 1, said
    assert "Traceback" not in said


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
