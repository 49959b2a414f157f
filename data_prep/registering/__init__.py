"""Modalities of a scan that do not lie together yet: whether they must, and a rigid registration of them, judged."""
