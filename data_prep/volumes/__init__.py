"""Volumes of every format: values on a grid in space, resampled to other grids, and voxels without a value."""
