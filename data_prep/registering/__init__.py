"""Registers modalities of a scan that do not lie together, by rigid motions; judges whether this is needed, and whether
it worked."""
