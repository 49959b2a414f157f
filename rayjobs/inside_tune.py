"""Changes inside Ray Tune, for which Tune has no setting: trials begin in processes that stand by (`standby`).

Nothing else depends on it. If another version of Ray is built differently, trials are still trained, each a few seconds
later; tests/rayjobs/test_inside_tune.py then fails and names what is missing.
"""

from ray.air.execution import FixedResourceManager, PlacementGroupResourceManager
from ray.tune.execution import class_cache, tune_controller


def take_processes_that_stand_by(*, counting: bool) -> None:
    """Let the studies that Tune begins from now on use processes that are already there, with everything loaded
    that trains.

    Ray reuses a waiting process only for a trial without environment variables. So this removes a variable that Tune
    sets for a library that is not used here. counting: whether Tune itself counts what its trials have reserved. If
    not, Tune reserves a placement group for each trial, by a task; a process that has run a task is given to no trial,
    so that one process that stood by is lost.
    """
    getattr(class_cache, "DEFAULT_ENV_VARS", {}).pop("PL_DISABLE_FORK", None)
    manager = FixedResourceManager if counting else PlacementGroupResourceManager
    tune_controller.PlacementGroupResourceManager = manager  # type: ignore[attr-defined,assignment]
