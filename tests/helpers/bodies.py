"""A made-up body in arrays. Many of them look as much alike as those of patients."""

import numpy as np
from scipy import ndimage


def body(seed: int, alike: float = 1.0) -> np.ndarray:
    """Return a body (Z, H, W) in noise: it narrows upwards, has a spine at its back, and holds something of its own."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices((12, 32, 32))
    wide = 14 - 0.5 * z + rng.normal(0, 0.3)
    outline = ((x - 15.5) / wide) ** 2 + ((y - 16) / (0.75 * wide)) ** 2 < 1
    spine = (x - 15.5) ** 2 + (y - 23) ** 2 < 9
    own = ndimage.gaussian_filter(rng.normal(size=z.shape), 2) * 6
    image: np.ndarray = alike * (outline + 2.0 * spine * outline) + own + rng.normal(0, 0.05, z.shape)
    return image.astype(np.float32)
