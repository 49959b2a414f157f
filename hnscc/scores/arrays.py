"""Types of arrays, by what they hold; the shape is said where one is taken or given."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
Texts = NDArray[np.str_]
StoredProbabilities = NDArray[np.uint16]  # stored probabilities: q stands for q / 65535
