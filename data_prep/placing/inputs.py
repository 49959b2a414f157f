"""How a scan's files lie and are written, in facts: what may tell scans with lesion from those without."""

from typing import Any

import numpy as np
from nibabel import orientations

from data_prep.volumes.grids import to_lps
from data_prep.volumes.volume import Volume
from hnscc.base.arrays import Floats


def input_of(volume: Volume) -> dict[str, Any]:
    """Shape and spacing (mm) with axes turned to LPS; the file's own axes, its tilt in degrees, by how many degrees two
    of its axes are off a right angle (`skew`), the share of its voxels that hold its lowest value, and how it is
    written (data_prep.files.written)."""
    lps = to_lps(volume.grid)
    upright = np.abs(np.diag(lps.affine[:3, :3])) / lps.spacing
    return {
        "shape": list(lps.shape),
        "spacing": [float(step) for step in lps.spacing],
        "axes": "".join(orientations.aff2axcodes(volume.grid.affine)),
        "tilt": round(float(np.degrees(np.arccos(np.clip(upright.min(), -1, 1)))), 1),
        "skew": _skew(lps.affine[:3, :3] / lps.spacing),
        "lowest": float((volume.data == volume.data.min()).mean()),
        "written": dict(volume.written) or {"kind": volume.grid.stated_by},
    }


def _skew(axes: Floats) -> float:
    """axes: (3, 3), a unit vector in each column."""
    along = (axes.T @ axes)[np.triu_indices(3, 1)]
    return round(float(np.degrees(np.abs(np.arcsin(np.clip(along, -1, 1))).max())), 2)
