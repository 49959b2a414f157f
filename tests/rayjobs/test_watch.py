"""Who goes on and who is given up where processes die, machines are lost or their memory is full. No cluster: Tune's
own trials are told what becomes of their processes, and Ray is told which machines there are."""

import shutil

import pytest
import ray
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.error import TuneError
from ray.tune.experiment import Trial as TuneTrial

import rayjobs.watch
from hnscc.base.errors import InputError, StorageError, WorkerError
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial
from hnscc.training.checkpoint import save_checkpoint
from hnscc.training.records import OUT_OF_MEMORY, SoFar
from rayjobs.watch import FULL_ROUNDS, HOPELESS, STEP_SECONDS, AllDone, FullMemory, Watch, scratch_errors


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    """For how many seconds it would have waited."""
    seconds: list[float] = []
    monkeypatch.setattr(rayjobs.watch.time, "sleep", seconds.append)
    return seconds


def test_memory_that_stays_full_ends_the_study_with_exit_code_1(slept):
    said, full = [], FullMemory()
    for _ in range(FULL_ROUNDS - 1):
        full.wait(OutOfMemoryError("a worker was ended\nmore"), [(False, 3)], said.append)
    assert len(said) == FULL_ROUNDS - 1 and slept == [5, 10, 20, 40, 80]
    with pytest.raises(WorkerError, match="The memory of a machine stays full") as ended:
        full.wait(OutOfMemoryError("a worker was ended\nmore"), [(False, 3)], said.append)
    assert ended.value.exit_code == 1
    assert ended.value.found == "a worker was ended"


def test_an_epoch_finished_in_between_counts_from_the_start():
    full = FullMemory()
    for epoch in range(3 * FULL_ROUNDS):
        full.wait(OutOfMemoryError("full"), [(False, epoch)], lambda text: None)


class Filed(TuneTrial):
    """Keeps its errors in this folder, as Tune does in one of the running Ray."""

    local_path = ""


class Dying:
    """One trial whose process dies again and again, on machine `one` of two, in a study of so many trials."""

    def __init__(self, root, monkeypatch, trials: int = 2) -> None:
        self.nodes = [{"NodeID": name, "Alive": True} for name in ("one", "two")]
        monkeypatch.setattr(ray, "nodes", lambda: self.nodes)
        self.trial = Trial("pet", 0, 0)
        (root / "tune").mkdir()
        self.tune_trial = Filed(
            "none", stub=True, config={"assignment": {"trial": vars(self.trial)}}, max_failures=-1
        )
        self.tune_trial.local_path = str(root / "tune")
        self.folder, self.said = RunFolder(root), []
        self.watch = Watch(self.folder, trials, 600.0, self.said.append)

    def hear(self, epoch: int = 0, node: str = "one", **result) -> None:
        self.watch.on_trial_start(0, [], self.tune_trial)
        self.watch.on_trial_result(0, [], self.tune_trial, {"epoch": epoch, "node": node} | result)

    def save(self, epoch: int) -> None:
        slot = self.folder.trial(self.trial.trial_id).slot(epoch % 2)
        save_checkpoint(slot, SoFar(identity="i", epoch=epoch, history=[], attempts=()), {})

    def die(self, error: str = "killed") -> bool:
        """Return whether Tune begins another process, as it decides it."""
        self.tune_trial.handle_error(RayActorError(error_msg=error))
        if again := self.tune_trial.should_recover():
            self.watch.on_trial_recover(0, [], self.tune_trial)
        else:
            self.watch.on_trial_error(0, [], self.tune_trial)
        return again


@pytest.fixture
def dying(tmp_path, monkeypatch):
    return Dying(tmp_path, monkeypatch)


def test_six_deaths_without_an_epoch_give_a_trial_up(dying):
    again = [dying.die(f"\x1b[36mdeath {number}\x1b[39m,\nits causes") for number in range(6)]
    assert again == [True] * 5 + [False]
    assert dying.watch.dead == {dying.trial: "death 5,\nits causes"}
    assert dying.said == ["pet-f0-r00: its process died; it goes on after epoch 0"] * 5


def test_a_full_disk_of_tunes_own_files_is_told(dying, tmp_path):
    """Where a process died, it was a traceback of a hundred lines."""
    (tmp_path / "tune/error.pkl").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="The disk is full") as told, scratch_errors(tmp_path / "tune"):
        try:
            dying.die()
        except OSError:
            raise TuneError("its traceback")  # noqa: B904  # as Tune does, without naming the cause
    assert told.value.where == str(tmp_path)


def test_a_death_after_old_files_were_deleted_is_like_any_other(dying):
    """Tune raised FileNotFoundError, with a traceback of fifty lines, when a process died days after that."""
    dying.hear()
    shutil.rmtree(dying.tune_trial.local_path)
    dying.watch.on_step_end(0, [])
    assert dying.die()


def test_epochs_that_ended_forgive_all_deaths_before_them(dying):
    """A trial that had died five times was given up at its next death, however long it had trained by then."""
    for saved in (3, 4, 9):
        assert [dying.die() for _ in range(5)] == [True] * 5
        dying.hear(0)
        assert dying.tune_trial.max_failures == 0, "it has only begun again"
        dying.save(saved)
        dying.hear(saved)
    assert [dying.die() for _ in range(6)] == [True] * 5 + [False]


def test_a_lost_machine_is_no_fault_of_its_trials_but_forgives_nothing(dying):
    assert [dying.die() for _ in range(4)] == [True] * 4
    for machine in dying.nodes:
        dying.hear(node=machine["NodeID"])
        machine["Alive"] = False
        assert dying.die()
    assert dying.die() and not dying.die()


def test_deaths_before_an_epoch_do_not_count_where_a_machine_is_lost_after_it(dying):
    """The four of before were kept, and the first one afterwards made the next its last."""
    assert [dying.die() for _ in range(4)] == [True] * 4
    dying.hear()
    dying.save(7)
    dying.hear(7)
    dying.nodes[0]["Alive"] = False
    assert dying.die()
    dying.hear(node="two")
    assert [dying.die() for _ in range(6)] == [True] * 5 + [False]


def test_a_process_that_died_before_it_named_its_machine_is_excused_if_one_was_lost_meanwhile(dying):
    dying.nodes[1]["Alive"] = False
    assert dying.die()
    assert [dying.die() for _ in range(6)] == [True] * 5 + [False]


def test_deaths_of_all_trials_in_a_row_end_the_study_unless_an_epoch_ends(dying):
    for number in range(2 * (HOPELESS - 1)):
        dying.hear(epoch=number == HOPELESS - 1)
        dying.die()
        dying.watch.deaths.clear()  # as of ever other trials
        dying.tune_trial.max_failures = -1
        dying.watch.on_step_end(0, [])
    dying.die("raised in \x1b[36mray::__init__()\x1b[39m\n  a full disk")
    with pytest.raises(WorkerError, match="No trial gets anywhere") as ended:
        dying.watch.on_step_end(0, [])
    assert ended.value.found.endswith("last with: a full disk")


def test_a_machine_that_cannot_load_hnscc_ends_the_study_at_its_first_death(dying):
    """It has free places for ever, so that trial after trial failed there, each with its process dead six times."""
    dying.die(
        "The actor died because of an error raised in its creation task, "
        "\x1b[36mray::Worker.__init__()\x1b[39m (pid=12, ip=10.0.0.7, actor_id=ab)\n"
        "ModuleNotFoundError: No module named 'torch'\n"
    )
    with pytest.raises(InputError, match="cannot load hnscc") as ended:
        dying.watch.on_step_end(0, [])
    assert ended.value.where == "machine 10.0.0.7"
    assert ended.value.found == "ModuleNotFoundError: No module named 'torch'"


@pytest.mark.parametrize("failed", [None, OUT_OF_MEMORY])
def test_a_study_is_over_once_all_have_ended_unless_memory_is_to_be_tried_again(dying, failed):
    dying.hear()
    dying.tune_trial.run_metadata.last_result = {"failed": failed}
    dying.watch.on_trial_complete(0, [], dying.tune_trial)
    dying.watch.on_step_end(0, [])
    dying.watch.on_trial_complete(0, [], dying.tune_trial)
    if failed:
        dying.watch.on_step_end(0, [])
        return
    with pytest.raises(AllDone):
        dying.watch.on_step_end(0, [])


def test_an_interrupt_ends_the_loop_between_two_steps(dying):
    """An exception of the signal's own, amid a step, was lost in finalizers, and printed there."""
    signals: list[float] = []
    watch = Watch(dying.folder, 2, 600.0, dying.said.append, signals)
    watch.on_step_end(0, [])
    signals.append(1.0)
    with pytest.raises(AllDone):
        watch.on_step_end(0, [])


@pytest.fixture
def silence(dying, monkeypatch):
    """Begins a trial that says nothing from then on; returns a clock that a test sets, and whose process was ended."""
    now, killed = [1000.0], []
    monkeypatch.setattr(rayjobs.watch.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(ray, "kill", killed.append)
    dying.watch = Watch(dying.folder, 2, 600.0, dying.said.append)
    dying.hear()
    dying.tune_trial.status = "RUNNING"
    dying.tune_trial.temporary_state.ray_actor = "its process"
    return now, killed


def test_a_trial_that_says_nothing_for_too_long_is_ended_once(dying, silence):
    now, killed = silence
    for second in range(1, 1203):
        now[0] += 1
        dying.tune_trial.status = "PAUSED" if second == 601 else "RUNNING"
        dying.watch.on_step_end(0, [])
        assert killed == ["its process"] * ((second > 601) + (second > 1202)), second
    assert dying.said == [
        "pet-f0-r00: no epoch ended within 600 s, and nothing predicted; its process is ended"
    ]
    now[0] += 1
    dying.watch.on_step_end(0, [])
    assert len(killed) == 2


def test_while_this_process_stood_still_no_trial_was_silent(dying, silence):
    """After Ctrl-Z or in a job that had been suspended, the processes of all trials but one were ended, although their
    reports were waiting; with 50 trials at once the study ended for it."""
    now, killed = silence
    now[0] += 100_000
    dying.watch.on_step_end(0, [])
    assert not killed
    for _ in range(round(600 / STEP_SECONDS)):
        now[0] += STEP_SECONDS
        dying.watch.on_step_end(0, [])
    assert killed == ["its process"], "it hangs all the same"


def test_where_no_machine_of_rays_is_left_the_study_ends_with_a_word(dying):
    """Ray ended this process when Tune asked it for another one, after a line on objects and `max_retries`."""
    for machine in dying.nodes:
        machine["Alive"] = False
    dying.die()
    with pytest.raises(WorkerError, match="A process of Ray's own has ended"):
        dying.watch.on_step_end(0, [])


def test_what_a_machine_told_ends_the_study(dying):
    dying.hear(told=WorkerError("It is broken.", where="here", expected="a", found="b", do="mend it"))
    dying.hear()
    with pytest.raises(WorkerError, match="It is broken"):
        dying.watch.on_step_end(0, [])
