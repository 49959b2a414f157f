"""The lesion of a scan: which file and region it is, outlines made voxels, and both on the grid of its slices."""
