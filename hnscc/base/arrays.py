"""Types of arrays, by what they hold, and of the distances of their voxels. Functions that take or return an array say
its shape."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
Texts = NDArray[np.str_]
Images = NDArray[np.float32]  # of slices, in raw values or in 0..1
Voxels = NDArray[np.float32]  # of a volume, in raw values
Masks = NDArray[np.uint8]  # 0 and 1
StoredProbabilities = NDArray[np.uint16]  # q stands for q / 65535
Spacing = tuple[float, float, float]  # mm between voxels along z, y, x
