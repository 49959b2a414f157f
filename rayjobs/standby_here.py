"""Imported by every process of a Ray of one's own when it starts; see `standby`."""

import atexit

from hnscc.base.errors import leave
from rayjobs.standby import load

load()
# The last thing that such a process does: else Python would take PyTorch apart, a second of a processor that the
# driving process needs for the tables.
atexit.register(leave, 0)
