"""The lesion of a scan: finds its file and region, makes voxels of outlines, and brings both to the grid of
its slices."""
