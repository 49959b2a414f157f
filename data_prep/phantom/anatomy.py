"""Computes a head and neck from formulas, with tumours and lookalikes, at any points in space.

Lengths are in mm. Patient coordinates: X to the left, Y to posterior, Z to superior, 0 in the middle of the neck.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Bools, Voxels

# Tissues: signal on MRI (relative) and uptake on PET (SUV), a range from which each patient, or each lesion, gets
# a value.
TISSUES = {
    "air": (0.02, (0.05, 0.1)),
    "skin": (0.45, (0.6, 0.9)),
    "fat": (0.85, (0.25, 0.4)),
    "muscle": (0.33, (0.7, 1.0)),
    "marrow": (0.62, (0.9, 1.4)),
    "cortex": (0.08, (0.4, 0.6)),
    "csf": (0.95, (0.3, 0.5)),
    "cord": (0.55, (1.2, 1.8)),
    "gland": (0.68, (1.4, 3.2)),
    "tonsil": (0.60, (2.5, 4.5)),
    "tongue": (0.42, (1.2, 2.0)),
    "mucosa": (0.58, (1.3, 2.2)),
    "vessel": (0.10, (1.3, 1.7)),
    "larynx": (0.38, (1.5, 3.5)),
    "brain": (0.52, (5.0, 8.0)),
    "node": (0.50, (1.0, 1.6)),
    "scar": (0.50, (0.9, 1.6)),
    "inflammation": (0.80, (4.5, 9.5)),
    "tumour": (0.50, (4.5, 9.5)),
}
Labels = NDArray[np.uint8]  # of tissues
# A lymph node: X, Y, Z of its centre, and its radius.
Node = tuple[float, float, float, float]
LABEL = {name: label for label, name in enumerate(TISSUES)}
# So many planes are computed at a time, so that their values stay in the processor's cache.
SLAB = 8
KEPT = ("air", "skin", "cortex", "marrow", "csf", "cord", "brain")  # no lesion grows into these

# Where lesions of any kind may lie: tonsils, tongue base, mouth, larynx, hypopharynx, nodes, nasopharynx.
SITES = (
    *((side * 19, -12, 12) for side in (-1, 1)),
    *((side * 8, -32, 4) for side in (-1, 1)),
    *((side * 14, -54, 20) for side in (-1, 1)),
    *((side * 15, -22, -28) for side in (-1, 1)),
    *((side * 42, 2, 6) for side in (-1, 1)),
    *((side * 36, -2, -24) for side in (-1, 1)),
    *((side * 36, -28, 16) for side in (-1, 1)),
    *((side * 14, -6, 34) for side in (-1, 1)),
    *((side * 44, 34, -14) for side in (-1, 1)),
)


@dataclass(frozen=True)
class Blob:
    """One lesion: an ellipsoid whose surface is made uneven by `waves` (1, count, 5), with its own signal on MRI and
    uptake on PET. centre and radii: in mm along x, y and z."""

    kind: str
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    waves: Voxels
    signal: float
    uptake: float


def tissues_at(
    points: list[Voxels], warp: Voxels, size: float, nodes: list[Node], blobs: list[Blob]
) -> tuple[Labels, Voxels, Voxels]:
    """Return the label of the tissue at each point, uint8, and the signal (relative) and uptake (SUV) of
    lesions, float32.

    Signal and uptake are 0 outside of lesions. points: x, y and z in mm, float32, of one shape, which each result has
    too. warp: (3, count, 5), the field of waves that moves them (`make_waves`).
    """
    slabs = [
        _tissues_of_slab([axis[start : start + SLAB] for axis in points], warp, size, nodes, blobs)
        for start in range(0, len(points[0]), SLAB)
    ]
    labels, signal, uptake = zip(*slabs, strict=True)
    return np.concatenate(labels), np.concatenate(signal), np.concatenate(uptake)


def _tissues_of_slab(
    points: list[Voxels], warp: Voxels, size: float, nodes: list[Node], blobs: list[Blob]
) -> tuple[Labels, Voxels, Voxels]:
    """Return labels, signal and uptake at the points of a slab, each of one shape with these;
    arguments as those of `tissues_at`."""
    shift = _evaluate(warp, points)
    x, y, z = (axis / np.float32(size) + move for axis, move in zip(points, shift, strict=True))
    labels = _anatomy(x, y, z, nodes)
    signal = np.zeros(labels.shape, np.float32)
    uptake = np.zeros(labels.shape, np.float32)
    free = ~np.isin(labels, [LABEL[name] for name in KEPT])
    for blob in blobs:
        grown = _grow(blob, x, y, z) & free
        labels[grown] = LABEL[blob.kind]
        signal[grown], uptake[grown] = blob.signal, blob.uptake
        free &= ~grown
    return labels, signal, uptake


def _grow(blob: Blob, x: Voxels, y: Voxels, z: Voxels) -> Bools:
    """Return where the lesion lies, in the shape of the points x, y and z, which are in mm."""
    offsets = [
        (axis - np.float32(at)) / np.float32(radius)
        for axis, at, radius in zip((x, y, z), blob.centre, blob.radii, strict=True)
    ]
    distance = np.sqrt(sum(offset * offset for offset in offsets))
    grown = distance < 1.6
    near = [axis[grown] for axis in (x, y, z)]
    grown[grown] = distance[grown] + _evaluate(blob.waves, near)[0] < 1
    return grown


@dataclass(frozen=True)
class _Points:
    """Points x, y and z in mm, of one shape, and surfaces of which tissues are made: a tissue lies where a sum of them
    is below 1."""

    x: Voxels
    y: Voxels
    z: Voxels

    def level(self, *values: float) -> Voxels:
        """Return a number, in the unit of values of the values, that changes from the larynx to the nasopharynx, at
        even steps; of the same shape as the points."""
        return np.interp(self.z, np.linspace(-48, 48, len(values)), values).astype(np.float32)

    def oval(self, at_x: float, at_y: float, wide: float, high: float) -> Voxels:
        """Return an ellipse of a slice with these half-axes in mm, 1 at its edge, and its mirror image; of the
        same shape as the points."""
        return ((np.abs(self.x) - at_x) / wide) ** 2 + ((self.y - at_y) / high) ** 2

    def ball(self, at_z: float, deep: float) -> Voxels:
        """Return what makes an ellipse end above and below, 1 at `deep` mm; of the same shape as the points."""
        return ((self.z - at_z) / deep) ** 2


def _anatomy(x: Voxels, y: Voxels, z: Voxels, nodes: list[Node]) -> Labels:
    """Return the labels of a head and neck from the larynx (z = -48) to the nasopharynx (z = 48), in the shape of the
    points x, y and z, in mm."""
    at = _Points(x, y, z)
    front = at.level(52, 54, 66, 84, 88, 88, 86)
    outline = np.sqrt(
        (x / at.level(56, 58, 62, 67, 70, 71, 72)) ** 2
        + (y / np.where(y < 0, front, at.level(58, 66, 78))) ** 2
    )
    labels = np.full(x.shape, LABEL["air"], np.uint8)
    _add_soft_tissue(labels, at, outline)
    _add_jaw(labels, at, outline)
    _add_spine(labels, at)
    for at_x, at_y, radius in ((30, 8, 3.6), (37, 11, 5.0), (22, 22, 2.2)):
        labels[at.oval(at_x, at_y, radius, radius) < 1] = LABEL["vessel"]
    labels[at.oval(0, 46, 48, 30) + at.ball(58, 22) < 1] = LABEL["brain"]
    _add_nodes(labels, at, nodes)
    return labels


def _add_soft_tissue(labels: Labels, at: _Points, outline: Voxels) -> None:
    """Write the soft tissues into `labels`, in place. outline: 0 or more, below 1 inside of the skin; of one shape with
    the labels."""
    oval, ball, level = at.oval, at.ball, at.level
    for where, name in (
        (outline < 1, "skin"),
        (outline < 0.97, "fat"),
        (outline < level(0.86, 0.88, 0.92), "muscle"),
        # Fat between the muscles, so that a slice looks like a neck.
        ((oval(47, 20, 7, 26) < 1) & (outline < 0.9), "fat"),
        (oval(29, -4, 6, 13) + ball(22, 30) < 1, "fat"),
        (oval(40, 24, 11, 13) + ball(-20, 45) < 1, "muscle"),
        (oval(0, -44, 33, 34) + ball(22, 26) < 1, "tongue"),
        (oval(0, -44, 3, 30) + ball(22, 24) < 1, "fat"),
        (oval(0, -8, 19, 12) < 1, "mucosa"),
        (oval(0, -18, 19, 15) + ball(-34, 22) < 1, "larynx"),
        (oval(17, -8, 7, 9) + ball(14, 13) < 1, "tonsil"),
        (oval(31, -26, 10, 14) + ball(-4, 15) < 1, "gland"),
        (oval(54, 4, 10, 18) + ball(24, 24) < 1, "gland"),
        (oval(0, -10, 12, 6) < level(0.6, 0.5, 0.7, 0.9, 1.1, 1.2), "air"),
    ):
        labels[where] = LABEL[name]


def _add_jaw(labels: Labels, at: _Points, outline: Voxels) -> None:
    """Write the lower jaw into `labels`, in place. labels, outline: of one shape with the points, as
    of `_add_soft_tissue`."""
    x, y, z = at.x, at.y, at.z
    jaw = np.sqrt((x / 52) ** 2 + ((y + 20) / 60) ** 2)
    ring = (
        (np.abs(jaw - 1) < 0.13) & (outline < 0.9) & (y < -6) & (z > at.level(-2, -2, -2) + 0.15 * (y + 80))
    )
    labels[ring & (z < 40)] = LABEL["cortex"]
    labels[ring & (z < 37) & (np.abs(jaw - 1) < 0.08)] = LABEL["marrow"]


def _add_spine(labels: Labels, at: _Points) -> None:
    """Write vertebrae, the discs between them, and the cord in its canal into `labels`, in place; of the
    points' shape."""
    spine = at.oval(0, 26, 17, 13)
    labels[spine < 1] = LABEL["cortex"]
    labels[(spine < 0.72) & (np.abs((at.z + 9) % 18 - 9) > 2)] = LABEL["marrow"]
    canal = at.oval(0, 45, 9, 8)
    for limit, name in ((1.7, "cortex"), (1.0, "csf"), (0.4, "cord")):
        labels[canal < limit] = LABEL[name]


def _add_nodes(labels: Labels, at: _Points, nodes: list[Node]) -> None:
    """Write lymph nodes into `labels`, of the points' shape, in place. They lie in fat and muscle alone."""
    soft = np.isin(labels, [LABEL["fat"], LABEL["muscle"]])
    for x, y, z, radius in nodes:
        inside = (((at.x - x) ** 2 + (at.y - y) ** 2) / radius**2 + ((at.z - z) / (1.4 * radius)) ** 2) < 1
        labels[inside & soft] = LABEL["node"]


def make_lesions(rng: np.random.Generator, lesion: bool) -> list[Blob]:
    """Return the lesions of one scan. Lookalikes share the tumour's sizes and sites, and its uptake (inflammation) or
    its signal (scars). A scan without tumour has one more scar instead, and mostly an inflammation."""
    hot = int(rng.random() < 0.4) if lesion else int(rng.choice(3, p=(0.25, 0.6, 0.15)))
    like = int(rng.integers(3, 5)) + (not lesion)
    kinds = ["tumour"] * lesion + ["inflammation"] * hot + ["scar"] * like
    blobs: list[Blob] = []
    for site in rng.permutation(len(SITES)):
        x, y, z = (float(at + rng.uniform(-5, 5)) for at in SITES[site])
        centre = (x, y, z)
        clear = [
            np.hypot(*np.subtract(centre, blob.centre)[:2]) > 30 or abs(centre[2] - blob.centre[2]) > 42
            for blob in blobs
        ]
        if all(clear) and len(blobs) < len(kinds):
            blobs.append(_blob(rng, kinds[len(blobs)], centre))
    return blobs


def _blob(rng: np.random.Generator, kind: str, centre: tuple[float, float, float]) -> Blob:
    radii = (rng.uniform(10, 17), rng.uniform(10, 17), rng.uniform(14, 22))
    signal, (least, most) = TISSUES[kind]
    return Blob(
        kind=kind,
        centre=centre,
        radii=radii,
        waves=make_waves(rng, 8, 14, 30, amplitude=0.3, components=1),
        signal=signal * rng.uniform(0.9, 1.1),
        uptake=float(rng.uniform(least, most)),
    )


def make_nodes(rng: np.random.Generator) -> list[Node]:
    """Return small lymph nodes along the vessels of the neck: X, Y, Z, radius."""
    return [
        (side * rng.uniform(34, 48), rng.uniform(-4, 26), rng.uniform(-45, 40), rng.uniform(3, 5.5))
        for side in (-1, 1)
        for _ in range(7)
    ]


def make_waves(
    rng: np.random.Generator,
    count: int,
    shortest: float,
    longest: float,
    *,
    amplitude: float,
    components: int,
) -> Voxels:
    """Return a smooth random field as a sum of waves: (components, count, 5) of wave vector (radians per mm), phase
    (radians), amplitude."""
    direction = rng.standard_normal((components, count, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    vector = direction * (2 * np.pi / rng.uniform(shortest, longest, (components, count, 1)))
    phase = rng.uniform(0, 2 * np.pi, (components, count, 1))
    height = np.full((components, count, 1), amplitude / np.sqrt(count))
    return np.concatenate([vector, phase, height], axis=-1).astype(np.float32)


def _evaluate(waves: Voxels, points: list[Voxels]) -> list[Voxels]:
    """Return each component of a field of waves, (components, count, 5), at the points x, y, z in mm, all of one shape,
    which each result has too, in the unit of values of the waves' amplitude."""
    x, y, z = points
    fields = []
    for component in waves:
        field = np.zeros_like(x)
        for a, b, c, phase, height in component:
            field += height * np.cos(a * x + b * y + c * z + phase)
        fields.append(field)
    return fields
