"""Runs on the cluster's machines, and trains trials one after another in one process."""

import time
from typing import Any, TypedDict

import ray
from ray import tune

from hnscc.base.errors import InputError, StorageError
from hnscc.study.identity import changed_values, hash_of_weights, versions_here
from hnscc.study.trials import Trial
from hnscc.training.ready import ReadyRun, Task
from hnscc.training.records import Attempt
from hnscc.training.states import is_completed, trial_state
from rayjobs.cluster import address_here
from rayjobs.shared import see_shared

# Reports to Tune cost more than a small network's epoch: they are sent at most this often.
REPORT_SECONDS = 1.0


class Assignment(TypedDict):
    """What a worker is told of the trial that it is to train, in the plain types that Tune can pass on.

    trial: as in study.trials.Trial. gpus: its share of a GPU. weights: the hash of the file of encoder weights on the
    machine that started the run; None without one. attempts: the attempts that failed before (records.Attempt).
    pause_after: the epoch after which the trial pauses; None for never.
    """

    trial: dict[str, Any]
    gpus: float
    weights: str | None
    attempts: list[dict[str, Any]]
    pause_after: int | None


class TrialWorker(tune.Trainable):
    """Trains one trial at a time, that of config["assignment"]. All workers of a machine share the folds' arrays."""

    def setup(  # type: ignore[override]  # Tune passes the parameters of `with_parameters` by name
        self, config: dict[str, Any], ready: ReadyRun, token: str | None
    ) -> None:
        """token: what `prove_shared` wrote; a machine must see it whenever it begins a trial. Nothing here may hang on
        a file system, since only a step that hangs is noticed."""
        self.ready, self.token = ready, token
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        from hnscc.training.trial import steps_of_trial  # here, for the driving process needs no PyTorch

        assignment: Assignment = new_config["assignment"]
        trial = Trial(**assignment["trial"])
        self.task = self.ready.task(
            trial,
            gpus=assignment["gpus"],
            attempts=[Attempt.model_validate(each) for each in assignment["attempts"]],
            pause_after=assignment["pause_after"],
        )
        self.weights = assignment["weights"]
        self.steps = steps_of_trial(self.task)
        self.report: dict[str, Any] = {
            "trial": trial.trial_id,
            "variant": trial.variant,
            "epoch": 0,
            "val_soft_jaccard": 0.0,
            "node": ray.get_runtime_context().get_node_id(),
        }
        self.known = self.begun = False
        return True

    def step(self) -> dict[str, Any]:
        """Go on with the trial for a while, and report. The first report names this machine, before anything can end
        the process there. Later ones show that the trial is alive, also while it predicts."""
        if not self.known:
            self.known = True
            return self.report
        until = time.monotonic() + REPORT_SECONDS
        try:
            if not self.begun:
                self.begun = True
                if self.token:  # for each trial: storage may have been unmounted since the one before
                    see_shared(self.ready.folder, self.token)
                _check_versions(self.ready)
                _check_weights(self.task, self.weights)
                # A process of this trial may have died after it had written its record, before Tune heard of it.
                if is_completed(self.task.folder, self.task.data.others_digest):
                    return self._ended()
            for epoch in self.steps:
                if epoch:
                    best = max(self.report["val_soft_jaccard"], epoch["val_soft_jaccard"])
                    self.report |= {"epoch": epoch["epoch"], "val_soft_jaccard": best}
                if time.monotonic() > until:
                    return self.report
        except (InputError, StorageError) as error:
            return self.report | {"done": True, "told": error}
        return self._ended()

    def _ended(self) -> dict[str, Any]:
        """Return the last report of a trial, from what its folder then says."""
        state = trial_state(self.task.folder, others_digest=self.task.data.others_digest)
        record = state.completed
        if record is None:
            without = "no record" if self.task.pause_after is None else None
            failure = state.reason if state.status == "failed" else without
            return self.report | {"done": True, "failed": failure}
        # As recorded: another process of this trial may have trained it before Tune heard of it.
        self.report |= {"epoch": record.epochs, "val_soft_jaccard": record.best_val_soft_jaccard}
        return self.report | {"done": True, "failed": None, "val_dice": record.scores["validation"]["dice"]}


def _check_versions(ready: ReadyRun) -> None:
    """Raise InputError where this machine has other versions than those by which the run folder was made ready."""
    if ready.versions is None or ready.versions == versions_here():
        return
    raise InputError(
        "A machine of the cluster has other versions, which may give other weights.",
        where=f"machine {address_here()}",
        expected="the versions of the machine that started this run",
        found="; ".join(changed_values(dict(ready.versions), versions_here())),
        do="install the same versions on every machine, or go on with --accept-versions",
    )


def _check_weights(task: Task, expected: str | None) -> None:
    """Raise InputError where the trial's file of encoder weights is not the one on the machine that started the run.
    expected: the hash of that one; None without such a file."""
    found = hash_of_weights(task.variant.training.network.encoder_weights)
    if found == expected:
        return
    raise InputError(
        "A machine of the cluster has another file of encoder weights.",
        where=f"training.network.encoder_weights, machine {address_here()}",
        expected=f"the file of the machine that started this run, SHA-256 {expected}",
        found=f"one at the same path, SHA-256 {found}",
        do="put the same file there on every machine, then give the same command again",
    )
