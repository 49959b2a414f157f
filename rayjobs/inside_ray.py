"""Changes inside Ray, for which Ray has no setting: a Ray that we start ourselves starts no process that only watches,
and signals to our process group do not reach it. And what a Ray looks for, without a word, before it joins a cluster.

Nothing else depends on it. If another version of Ray is built differently, studies still begin, a few seconds later,
and end less well by such signals; tests/rayjobs/test_inside_ray.py then fails and names what is missing.
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
    """Within the `with` block, `ray.init` starts no autoscaler, no log reader and no dashboard server. Each of them
    takes a processor one or two seconds to load, Ray waits for the server, and nothing here uses them.

    What it starts is in process groups of its own. A terminal that is closed, `timeout` and batch systems send their
    signal to the whole group of the command. It would end Ray before us, who then wait a minute for it in vain.
    """
    with contextlib.ExitStack() as changed:
        if whole := getattr(parameter, "RayParams", None):
            known = inspect.signature(whole).parameters
            less = {name: value for name, value in LESS.items() if name in known}
            _change(changed, parameter, "RayParams", partial(whole, **less))
        if hasattr(services, "start_api_server"):
            _change(changed, services, "start_api_server", lambda *_, **__: NO_SERVER)
        if begins := getattr(services, "ConsolePopen", None):
            _change(changed, services, "ConsolePopen", partial(begins, process_group=0))
        yield


def _change(changed: contextlib.ExitStack, module: ModuleType, name: str, instead: Any) -> None:
    changed.callback(setattr, module, name, getattr(module, name))
    setattr(module, name, instead)


def ray_is_here() -> bool:
    """Return whether a Ray runs on this machine. `ray.init` waits a minute for that before it joins a cluster. True,
    too, where this version of Ray looks for it in another way."""
    find = getattr(services, "find_node_ids", None)
    return find is None or bool(find())
