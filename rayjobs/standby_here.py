"""Imported by every process of a Ray of one's own when it starts; see `standby`."""

import atexit

from hnscc.base.command import leave
from rayjobs.standby import load


def _leave() -> None:
    """End the process once all else that is registered for its end is done. Else Python would take PyTorch apart, a
    second of a processor that the driving process needs for the tables."""
    atexit.unregister(_leave)
    leave(0)


load()
atexit.register(_leave)
