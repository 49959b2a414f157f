"""How a scan's files lie and are written, in facts: what may tell scans with lesion from those without."""

from typing import Any

import numpy as np
from nibabel import orientations

from data_prep.volumes.grids import to_lps
from data_prep.volumes.volume import Volume


def input_of(volume: Volume) -> dict[str, Any]:
    """Shape and spacing (mm) with axes turned to LPS; the file's own axes, its tilt in degrees, the share of its voxels
    that hold its lowest value, and how it is written (data_prep.files.written)."""
    lps = to_lps(volume.grid)
    upright = np.abs(np.diag(lps.affine[:3, :3])) / lps.spacing
    return {
        "shape": list(lps.shape),
        "spacing": [float(step) for step in lps.spacing],
        "axes": "".join(orientations.aff2axcodes(volume.grid.affine)),
        "tilt": round(float(np.degrees(np.arccos(np.clip(upright.min(), -1, 1)))), 1),
        "lowest": float((volume.data == volume.data.min()).mean()),
        "written": dict(volume.written) or {"kind": volume.grid.stated_by},
    }
