"""What is changed inside Ray Tune, which has no setting for it: trials begin in processes that stand by (`standby`).

Nothing else depends on it. With a Ray that is made otherwise, trials would be trained all the same, each a few seconds
later; tests/rayjobs/test_inside_tune.py fails then, and names what is not there any more.
"""

from ray.air.execution import FixedResourceManager, PlacementGroupResourceManager
from ray.tune.execution import class_cache, tune_controller


def take_processes_that_stand_by(*, counting: bool) -> None:
    """Have the studies that Tune begins from now on take processes that are there, with all that trains loaded.

    Ray reuses a waiting process only for a trial without environment variables, so Tune's own variable, for a library
    that is not used here, is removed. counting: Tune counts itself what its trials have reserved. Else it reserves a
    placement group for each, by a task; and a process that ran a task is given to no trial, so that one that stood by
    is lost.
    """
    getattr(class_cache, "DEFAULT_ENV_VARS", {}).pop("PL_DISABLE_FORK", None)
    manager = FixedResourceManager if counting else PlacementGroupResourceManager
    tune_controller.PlacementGroupResourceManager = manager  # type: ignore[attr-defined,assignment]
