"""Every process of a Ray that we started ourselves imports this module when it starts; see `standby`."""

import atexit

from hnscc.base.command import leave
from rayjobs.standby import load


def _leave() -> None:
    """End the process as soon as everything else is done that is registered for its end. Otherwise Python would free
    PyTorch's modules one by one, which takes a second of a processor that the driving process needs for the tables."""
    atexit.unregister(_leave)
    leave(0)


load()
atexit.register(_leave)
