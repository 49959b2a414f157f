"""Registers modalities of a scan that do not lie together, by rigid motions, and judges whether this is needed
and worked."""
