"""SUV of a whole cohort: the store says it, and beside other units it is told or refused."""

from pathlib import Path

import dicom_files as made
import nibabel as nib
import numpy as np
import pytest
from scans import prepare

from hnscc.base.errors import InputError
from hnscc.commands.prepared_cohort import units_told

# 1 Bq/ml: 70,000 g of body over a dose of 370 MBq that decayed for an hour, with a half-life of 6586.2 s.
BY_HAND = 70000 / (370e6 * 0.5 ** (3600 / 6586.2))


def cohort(tmp_path, units) -> Path:
    """A scan for each of `units`, as it is stated: BQML and GML by DICOM, none by NIfTI; masks on their grid."""
    rng, rows = np.random.default_rng(8), ["patient_id,scan_id,pet,mask"]
    affine = np.diag([-2.0, -1.5, 3.0, 1.0])
    affine[:3, 3] = 20, 30, 40
    for number, unit in enumerate(units):
        values = rng.integers(0, 30000, (24, 20, 4)).astype(np.int16)
        lesion = np.zeros(values.shape, np.uint8)
        lesion[8:12, 8:12, 1:3] = 1
        nib.save(nib.Nifti1Image(lesion, affine), tmp_path / f"mask{number}.nii")
        if unit in ("NIfTI", "raw NIfTI"):
            scale = 4000 if unit == "NIfTI" else 1
            nib.save(nib.Nifti1Image((values / scale).astype(np.float32), affine), tmp_path / f"{number}.nii")
        else:
            kind = {"Units": "GML", "SUVType": unit} if unit != "BQML" else {}
            slope = 1 / 4000 / (BY_HAND if unit == "BQML" else 1)
            series = made.classic_series(
                values,
                modality="PT",
                slopes=[slope] * 4,
                PatientID=f"P{number}",
                **made.pet_attributes(**kind),
            )
            made.write(tmp_path / f"{number}", series)
        cell = f"{number}.nii" if "NIfTI" in unit else str(number)
        rows.append(f"p{number},s{number},./{cell},mask{number}.nii")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    return tmp_path / "manifest.csv"


def test_the_store_says_that_its_pet_is_suv(tmp_path):
    store = prepare(cohort(tmp_path, ["BQML", "BW"]), tmp_path / "a.zarr", size=16, workers=1)
    assert store.placed["units"] == {"pet": "SUV"}
    highs = [scan.placement["values"]["pet"]["high"] for scan in store.scans]
    np.testing.assert_allclose(highs, 7.5, atol=0.1)
    assert not store.odd


def test_suv_beside_files_that_state_no_unit_is_told(tmp_path):
    store = prepare(cohort(tmp_path, ["BQML", "NIfTI", "BW"]), tmp_path / "a.zarr", size=16, workers=1)
    assert "units" not in store.placed
    assert any("pet is in SUV in 2 of 3 scans" in str(odd) for odd in store.odd)
    # Below the table, where "which no file states" stood.
    assert units_told(store) == "in the files' own units of values"


def test_that_no_file_states_a_unit_of_values_is_said_where_it_is_so(tmp_path):
    store = prepare(cohort(tmp_path, ["NIfTI", "NIfTI"]), tmp_path / "a.zarr", size=16, workers=1)
    assert units_told(store) == "in the files' own units of values, which no file states"


def test_suv_beside_raw_values_is_refused(tmp_path):
    manifest = cohort(tmp_path, ["BQML", "BW", "raw NIfTI"])
    with pytest.raises(InputError, match="pet cannot be in one unit of values with 2 others"):
        prepare(manifest, tmp_path / "a.zarr", size=16, workers=1)


def test_another_type_of_suv_is_chosen_for_the_whole_cohort(tmp_path):
    manifest = cohort(tmp_path, ["BW", "LBMJANMA"])
    with pytest.raises(InputError, match=r"another type[^$]*row 3, scan s1, column pet"):
        prepare(manifest, tmp_path / "a.zarr", size=16, workers=1)
    with pytest.raises(InputError, match=r"another type[^$]*row 2, scan s0, column pet"):
        prepare(manifest, tmp_path / "b.zarr", size=16, workers=1, suv="lbm")
    with pytest.raises(InputError, match="--suv is unknown"):
        prepare(manifest, tmp_path / "c.zarr", size=16, workers=1, suv="bsa")
