"""Imported by every process of a Ray of one's own when it starts; see `standby`."""

from rayjobs.standby import load

load()
