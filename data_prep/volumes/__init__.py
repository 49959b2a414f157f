"""What holds for volumes of every format: values on a grid in space, brought to other grids, and voxels without one."""
