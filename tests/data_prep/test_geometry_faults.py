"""One table of what may be wrong with how a file lies, as NIfTI and as DICOM, of a scan with lesion and of one without:
each is corrected, so that the store is that of the sound cohort, refused by its row, or told; none passes in silence.

Faults that no header shows (an image that is moved, turned or mirrored together with all that its header says) need
more scans to compare with: test_lying_otherwise, test_off_border, test_bodies.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from geometry import (
    FREE,
    ILL,
    SIZE,
    all_of,
    cohort,
    dicom,
    doubled,
    each,
    header,
    mirrored,
    moved,
    nifti,
    numbered_backwards,
    other_qform,
    placed,
    scaled,
    sheared,
    swapped,
    transposed,
    turned,
    twice,
    without,
)
from scans import prepare, refused

from hnscc.cohort.store import Store

REFUSED, TOLD, CORRECTED = "refused", "told", "corrected"
COVER, OFF_GRID = "does not cover the grid of the slices", "The mask is off the grid of every modality"
SKEW, STEPS = "do not stand at right angles in its header", "as many voxels, of sizes that differ by 1.0%"
TWO_FORMS = "The sform and the qform of the volume disagree"

# What is wrong; which file; the change; what becomes of it, and its words.
NIFTI = [
    ("flip, said", "pet", nifti("pet", turned("LPI")), CORRECTED, ""),
    ("flip, said", "mri", nifti("mri", turned("RPS")), CORRECTED, ""),
    ("flip, said", "mask", nifti("mask", turned("RAI")), CORRECTED, ""),
    ("flip of the header", "pet", nifti("pet", scaled(-1, 1, 1)), REFUSED, COVER),
    ("flip of the header", "mri", nifti("mri", scaled(-1, 1, 1)), REFUSED, COVER),
    ("flip of the header", "mask", nifti("mask", scaled(-1, 1, 1)), REFUSED, OFF_GRID),
    ("axis swap, said", "pet", nifti("pet", turned("PLS")), CORRECTED, ""),
    ("axis swap, said", "mri", nifti("mri", turned("SPL")), CORRECTED, ""),
    ("axis swap, said", "mask", nifti("mask", turned("PLS")), CORRECTED, ""),
    ("axis swap", "pet", nifti("pet", swapped), TOLD, "covers 83% of the grid, in most scans 100%"),
    ("axis swap", "mri", nifti("mri", swapped), TOLD, "covers 83% of the grid, in most scans 100%"),
    ("axis swap", "mask", nifti("mask", swapped), REFUSED, "shape: 20 x 24 x 8 voxels, not 24 x 20 x 8"),
    (
        "shifted origin",
        "pet",
        nifti("pet", moved(0, 5, 0)),
        TOLD,
        "covers 75% of the grid, in most scans 100%",
    ),
    (
        "shifted origin",
        "mri",
        nifti("mri", moved(0, 5, 0)),
        TOLD,
        "covers 75% of the grid, in most scans 100%",
    ),
    (
        "shifted origin",
        "mask",
        nifti("mask", moved(0.5, 0, 0)),
        REFUSED,
        "origin: 0.5 mm (0.5 voxels) to right",
    ),
    ("spacing off by 1 %", "pet", nifti("pet", scaled(1.01, 1, 1)), TOLD, STEPS),
    ("spacing off by 1 %", "mri", nifti("mri", scaled(1, 1, 1.01)), TOLD, STEPS),
    (
        "spacing off by 1 %",
        "mask",
        nifti("mask", scaled(1.01, 1, 1)),
        REFUSED,
        "spacing: 1.01 x 1 x 3 mm, not 1 x 1 x 3",
    ),
    ("sform against qform", "pet", header("pet", other_qform), REFUSED, TWO_FORMS),
    ("sform against qform", "mri", header("mri", other_qform), REFUSED, TWO_FORMS),
    ("sform against qform", "mask", header("mask", other_qform), REFUSED, TWO_FORMS),
    ("shear", "pet", nifti("pet", sheared), TOLD, SKEW),
    ("shear", "mri", nifti("mri", sheared), TOLD, SKEW),
    ("shear", "mask", nifti("mask", sheared), REFUSED, OFF_GRID),
    (
        "missing slice",
        "pet",
        nifti("pet", without(2)),
        TOLD,
        "pet has 7 slices and mri 8, in most scans as many",
    ),
    (
        "missing slice",
        "mri",
        nifti("mri", without(2)),
        TOLD,
        "pet has 8 slices and mri 7, in most scans as many",
    ),
    (
        "missing slice",
        "mask",
        nifti("mask", without(2)),
        REFUSED,
        "shape: 24 x 20 x 7 voxels, not 24 x 20 x 8",
    ),
    ("slice twice", "pet", nifti("pet", doubled), TOLD, "pet does not show 1 of 8 slices"),
    ("slice twice", "mri", nifti("mri", doubled), TOLD, "mri does not show 1 of 8 slices"),
    ("metres", "pet", nifti("pet", scaled(*[1e-3] * 3)), REFUSED, "mm"),
    ("metres", "mri", nifti("mri", scaled(*[1e-3] * 3)), REFUSED, "mm"),
    ("metres", "mask", nifti("mask", scaled(*[1e-3] * 3)), REFUSED, "spacing: 0.001 x 0.001 x 0.003 mm"),
    ("metres, of images and mask", "all", all_of(scaled(*[1e-3] * 3)), REFUSED, "lengths in mm"),
    (
        "metres, said",
        "mri",
        header("mri", lambda image: image.header.set_xyzt_units("meter")),
        REFUSED,
        "meter",
    ),
]
DICOM = [
    ("flip, said", "mri", dicom("mri", mirrored), CORRECTED, ""),
    (
        "flip of the header",
        "mri",
        dicom("mri", each(ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])),
        REFUSED,
        COVER,
    ),
    ("axis swap, said", "mri", dicom("mri", transposed), CORRECTED, ""),
    (
        "axis swap",
        "mri",
        dicom("mri", each(ImageOrientationPatient=[0, 1, 0, 1, 0, 0])),
        TOLD,
        "mri covers 83% of the grid",
    ),
    ("files in another order", "pet", dicom("pet", lambda instances: instances[::-1]), CORRECTED, ""),
    ("numbers in another order", "pet", dicom("pet", numbered_backwards), CORRECTED, ""),
    (
        "shifted origin",
        "mri",
        dicom("mri", placed(lambda z: (0, 5, 3.0 * z))),
        TOLD,
        "covers 75% of the grid",
    ),
    (
        "shifted slice",
        "mri",
        dicom("mri", placed(lambda z: (0.4 * (z == 2), 0, 3.0 * z))),
        REFUSED,
        "one line",
    ),
    ("spacing off by 1 %", "mri", dicom("mri", each(PixelSpacing=[1, 1.01])), TOLD, STEPS),
    ("steps off by 1 %", "mri", dicom("mri", placed(lambda z: (0, 0, 3.03 * z))), TOLD, STEPS),
    (
        "thickness against positions",
        "mri",
        dicom("mri", each(SliceThickness=5, SpacingBetweenSlices=4)),
        CORRECTED,
        "",
    ),
    ("shear", "pet", dicom("pet", placed(lambda z: (0, 0.3 * z, 3.0 * z))), REFUSED, "tilted gantry"),
    (
        "missing slice",
        "pet",
        dicom("pet", lambda all_: [*all_[:2], *all_[3:]]),
        REFUSED,
        "Slices of the series are missing",
    ),
    (
        "missing last slice",
        "pet",
        dicom("pet", lambda all_: all_[:-1]),
        TOLD,
        "pet has 7 slices and mri 8, in most",
    ),
    ("slice twice", "pet", dicom("pet", twice), REFUSED, "stand twice"),
    (
        "metres",
        "mri",
        dicom("mri", lambda all_: placed(lambda z: (0, 0, 3e-3 * z))(each(PixelSpacing=[1e-3, 1e-3])(all_))),
        REFUSED,
        "mm",
    ),
]


def _cases(rows: list[tuple], form: str) -> list:
    """A row for the scan with lesion, and one for the scan without, which has no mask. `make test` runs those of NIfTI
    with lesion; pytest alone, and `make test-cluster`, all."""
    cases = []
    for what, file, damage, outcome, words in rows:
        for scan in (ILL, FREE) if file in ("pet", "mri") else (ILL,):
            name = f"{form}, {what}, {file}, {'with' if scan == ILL else 'without'} lesion"
            marks = () if form == "NIfTI" and scan == ILL else pytest.mark.slow
            cases.append(pytest.param(form, scan, damage, outcome, words, id=name, marks=marks))
    return cases


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Callable[[str], tuple[Path, Store]]:
    """The sound cohort of a form, and its store: nothing about it is odd."""
    made_: dict[str, tuple[Path, Store]] = {}

    def of(form: str) -> tuple[Path, Store]:
        if form not in made_:
            folder = tmp_path_factory.mktemp("sound")
            manifest = cohort(folder, form == "DICOM")
            made_[form] = folder, prepare(manifest, folder.with_suffix(".zarr"), size=SIZE, workers=1)
        return made_[form]

    return of


@pytest.mark.quick(16)
@pytest.mark.parametrize(
    "form, number, damage, outcome, words", [*_cases(NIFTI, "NIfTI"), *_cases(DICOM, "DICOM")]
)
def test_each_fault_is_corrected_refused_or_told(tmp_path, sound, form, number, damage, outcome, words):
    folder, store = sound(form)
    assert store.odd == ()
    faulty = tmp_path / "cohort"
    shutil.copytree(folder, faulty)
    damage(faulty / f"s{number}")
    manifest = faulty / "manifest.csv"
    if outcome == REFUSED:
        assert f"manifest row {number + 2}, scan S{number}" in refused(manifest, words, size=SIZE)
        return
    found = prepare(manifest, tmp_path / "s.zarr", size=SIZE, workers=1)
    if outcome == TOLD:
        assert any(each.startswith(f"scan S{number}: ") and words in each for each in found.odd)
        return
    assert found.odd == ()
    for scan in store.scans:
        for one, other in zip(found.read(scan.scan_id), store.read(scan.scan_id), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3)
