"""What is changed inside Ray, which has no setting for it: a Ray of one's own starts no process that only looks on.

Nothing else depends on it. With a Ray that is made otherwise, studies would begin all the same, a few seconds later;
tests/rayjobs/test_inside_ray.py fails then, and names what is not there any more.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from ray._private import parameter, services


@contextlib.contextmanager
def without_onlookers() -> Iterator[None]:
    """What `ray.init` starts within a `with` block has no autoscaler, no reader of the workers' logs and no server of a
    dashboard: each takes a processor's second or two to load, the server is waited for, and nothing here asks them."""
    modules: tuple[Any, Any] = parameter, services  # what is changed is not the type checker's to know
    of_parameters, of_services = modules
    before = of_parameters.RayParams, of_services.start_api_server
    of_parameters.RayParams = partial(before[0], no_monitor=True, include_log_monitor=False)
    of_services.start_api_server = lambda *_, **__: (
        None,
        None,
    )  # what it gives where there is no such server
    try:
        yield
    finally:
        of_parameters.RayParams, of_services.start_api_server = before
