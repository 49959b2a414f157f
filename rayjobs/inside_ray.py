"""What is changed inside Ray, which has no setting for it: a Ray of one's own starts no process that only looks on.

Nothing else depends on it. With a Ray that is made otherwise, studies begin all the same, a few seconds later;
tests/rayjobs/test_inside_ray.py fails then, and names what is not there any more.
"""

import contextlib
import inspect
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

from ray._private import parameter, services

# Parameters of Ray's own that `ray.init` does not hand on.
LESS = {"no_monitor": True, "include_log_monitor": False}
# What `start_api_server` gives where there is no such server: neither address nor process.
NO_SERVER = None, None


@contextlib.contextmanager
def without_onlookers() -> Iterator[None]:
    """What `ray.init` starts within a `with` block has no autoscaler, no reader of the workers' logs and no server of a
    dashboard: each takes a processor's second or two to load, the server is waited for, and nothing here asks them."""
    with contextlib.ExitStack() as changed:
        if whole := getattr(parameter, "RayParams", None):
            known = inspect.signature(whole).parameters
            less = {name: value for name, value in LESS.items() if name in known}
            _change(changed, parameter, "RayParams", partial(whole, **less))
        if hasattr(services, "start_api_server"):
            _change(changed, services, "start_api_server", lambda *_, **__: NO_SERVER)
        yield


def _change(changed: contextlib.ExitStack, module: ModuleType, name: str, instead: Any) -> None:
    changed.callback(setattr, module, name, getattr(module, name))
    setattr(module, name, instead)
