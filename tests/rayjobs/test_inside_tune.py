"""What is changed inside Ray Tune is there in this version of Ray, and Tune goes by it."""

import pytest
from ray.air.execution import FixedResourceManager, PlacementGroupResourceManager
from ray.tune.execution import class_cache, tune_controller

from rayjobs.inside_tune import take_processes_that_stand_by

MEND = "rayjobs/inside_tune.py changes what this Ray does not have: find what took its place, or take it out"


@pytest.mark.parametrize(
    ("module", "holder", "method", "name"),
    [
        (tune_controller, "TuneController", "__init__", "PlacementGroupResourceManager"),
        (class_cache, "_ActorClassCache", "get", "DEFAULT_ENV_VARS"),
    ],
)
def test_tune_looks_up_what_is_changed(module, holder, method, name):
    assert name in vars(module), MEND
    assert name in getattr(getattr(module, holder), method).__code__.co_names, MEND


@pytest.mark.parametrize(
    ("counting", "manager"), [(True, FixedResourceManager), (False, PlacementGroupResourceManager)]
)
def test_tune_counts_where_it_is_told_to_and_asks_for_no_environment(counting, manager, monkeypatch):
    monkeypatch.setattr(
        tune_controller, "PlacementGroupResourceManager", tune_controller.PlacementGroupResourceManager
    )
    take_processes_that_stand_by(counting=counting)
    assert tune_controller.PlacementGroupResourceManager is manager
    assert "PL_DISABLE_FORK" not in class_cache.DEFAULT_ENV_VARS
