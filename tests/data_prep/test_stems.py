"""Ids of one stem and a number or a letter each, as hospitals and archives write them: which are told, which not."""

import random

import numpy as np
import pytest
from scans import prepare, save, scan_arrays, write

from data_prep.manifest.visits import of_numbers, of_visits
from data_prep.phantom.phantom import made_up_scans

USUAL = [f"P{number:02d}" for number in range(1, 13)]
FEW, MANY = range(1, 9), range(1, 17)

# How ids are written, all of them, and one group that is told.
TOLD = {
    "scans of the phantom": ([each.scan_id for each in made_up_scans(16, 2023)], ("P03-1", "P03-2")),
    "two of all": ([f"P{who:02d}_{at}" for who in MANY for at in (1, 2)], ("P16_1", "P16_2")),
    "letters": ([f"P{who:02d}{at}" for who in MANY for at in "ab"], ("P07a", "P07b")),
    "sides": ([f"P{who:02d}{at}" for who in MANY for at in "LR"], ("P07L", "P07R")),
    "two patients": (["P01-1", "P01-2", "P02-1", "P02-2"], ("P01-1", "P01-2")),
    "BraTS": (
        [f"BraTS-GLI-{who:05d}-00{at}" for who in FEW for at in (0, 1)],
        ("BraTS-GLI-00006-000", "BraTS-GLI-00006-001"),
    ),
    "two digits": ([f"PAT_{who:03d}_0{at}" for who in FEW for at in (1, 2)], ("PAT_001_01", "PAT_001_02")),
    "bare numbers": ([f"{who}.{at}" for who in FEW for at in (1, 2)], ("8.1", "8.2")),
    "weekly": (
        [f"P{who:02d}-{at}" for who in MANY for at in range(1, 7)],
        tuple(f"P09-{at}" for at in range(1, 7)),
    ),
    "one of many": ([*USUAL, *(f"P40-{at}" for at in range(1, 6))], tuple(f"P40-{at}" for at in range(1, 6))),
    "one letter of many": ([*USUAL, "P40a", "P40b"], ("P40a", "P40b")),
    "one number of many": ([*USUAL, "P40-1", "P40-2"], ("P40-1", "P40-2")),
    "beside one of many visits": (
        [f"P{who:02d}-{at}" for who in MANY for at in (1, 2)] + [f"P20-{at}" for at in range(1, 13)],
        ("P02-1", "P02-2"),
    ),
    "beside a site of another form": (
        [f"P{who:02d}-{at}" for who in FEW for at in (1, 2)] + [f"S1-{who:03d}" for who in range(1, 251)],
        ("P03-1", "P03-2"),
    ),
    "patients or sites": (["01-1", "01-2", "01-3", "02-1", "02-2"], ("02-1", "02-2")),
    "numbers like years": (
        [f"{who}-{at}" for who in (1034, 1420, 1999, 2311) for at in (1, 2)],
        ("1999-1", "1999-2"),
    ),
}

SILENT = {
    "one of each": [f"P{who:02d}-1" for who in MANY],
    "a site": [f"S1-{who:03d}" for who in range(1, 251)],
    "a large site and a small one": [
        f"S{at}-{who:03d}" for at, last in ((1, 120), (2, 3)) for who in range(1, last)
    ],
    "nine sites of two digits": [f"S{at}-{who:02d}" for at in range(1, 10) for who in range(1, 20)],
    "three sites of six": [f"S{at}-{who}" for at in (1, 2, 3) for who in range(1, 7)],
    "eight and six": [f"0{at}-{who}" for at, last in ((1, 8), (2, 6)) for who in range(1, last + 1)],
    "many small sites of three digits": [f"{at:02d}-{who:03d}" for at in range(1, 13) for who in (1, 2, 3)],
    "sites named so": [f"site{at}-{who}" for at in FEW for who in (1, 2, 3)],
    "sites by words": [f"site_{at:02d}_{who:02d}" for at in FEW for who in (1, 2, 3)],
    "centres with letters": [f"center{at}{who}" for at in FEW for who in "abc"],
    "sites by letters": [f"{at}{who}" for at in "ABC" for who in range(1, 10)],
    "sites and months": [f"S{at}-M{who:02d}" for at in (1, 2, 3) for who in range(1, 21)],
    "HN-CHUM": [f"HN-CHUM-{who:03d}" for who in range(1, 201)],
    "STS": [f"STS_{who:03d}" for who in range(1, 52)],
    "A1 to A9": [f"A{who}" for who in range(1, 10)],
    "few of HNSCC": ["HNSCC-01-0003", "HNSCC-01-0007", "HNSCC-01-0009"],
    "few of R01": ["R01-001", "R01-002", "R01-003"],
    "LUNG1 and LUNG3": [f"LUNG{at}-{who:03d}" for at in (1, 3) for who in range(1, 80)],
    "TCGA": [f"TCGA-{at}-{who}" for at in ("D6", "4P", "CV") for who in (1987, 6515, 6516, 6824, 7243)],
    "RTOG": [f"0522c{who:04d}" for who in range(1, 80)],
    "BIDS": [f"sub-{who:02d}" for who in range(1, 31)],
    "years": [f"{year}-{who}" for year in range(2015, 2024) for who in (1, 2, 3)],
    "years and accessions": [
        f"{year}-{who}" for year in range(15, 24) for who in random.Random(year).sample(range(1000, 40000), 4)
    ],
    "check digits": ["100245-7", "100301-1", "100302-2", "100305-7"],
    "sex": ["001M", "002F", "003M", "004F"],
    "hashes": [f"PETCT_{random.Random(who).getrandbits(40):010x}" for who in range(900)],
    "UIDs": [f"1.3.6.1.4.1.14519.5.2.1.{random.Random(who).getrandbits(90)}" for who in range(300)],
    "numbers by chance": [f"{random.Random(who).randrange(10**8):08d}" for who in range(1000)],
    "a day each": np.arange("2019-01-01", "2019-03-01", dtype="datetime64[D]").astype(str).tolist(),
    "none": [],
}


@pytest.mark.parametrize("ids, group", TOLD.values(), ids=TOLD)
def test_ids_of_one_stem_are_told_whatever_their_share(ids, group):
    """Of a cohort in which more than a quarter of the patients had two visits nothing was said."""
    assert group in of_numbers(ids) and of_visits(ids) == []


@pytest.mark.parametrize("ids", SILENT.values(), ids=SILENT)
def test_patients_of_sites_are_not_told(ids):
    assert of_numbers(ids) == [] and of_visits(ids) == []


def test_visits_by_words_are_told_of_all_patients_with_five_each():
    """They were taken for numbers of patients, all of them, as soon as one stem had five."""
    ids = [f"P{who:02d}_v{at}" for who in FEW for at in range(1, 6)]
    assert len(of_visits(ids)) == 8 and of_numbers(ids) == []


@pytest.mark.parametrize("ends", ["12", "ab"])
def test_prepare_asks_in_one_sentence_and_takes_the_cohort(tmp_path, ends):
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    sign = "-" if ends.isdecimal() else ""
    ids = [f"P0{who}{sign}{end}" for who in (1, 2) for end in ends]
    for number, patient in enumerate(ids):
        write(tmp_path / f"{number}.nii", scan_arrays(number)[1])
        rows.append([patient, f"S{number}", f"{number}.nii", ""])
    (odd,) = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=16, workers=1).odd
    assert odd.startswith(f"patients {ids[0]}, {ids[1]}; {ids[2]}, {ids[3]} have one stem")
    assert "visits of one patient, or patients of a site?" in odd
