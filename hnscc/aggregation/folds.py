"""Reads the folds of a run folder: their scored slices, truth and cohort, checked by their hashes."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from hnscc.base.arrays import Bools, Integers, Spacing, Texts
from hnscc.base.encode import table_of_parquet
from hnscc.base.errors import InputError
from hnscc.base.files import sha256, storage_errors
from hnscc.base.in_words import count_of
from hnscc.base.locations import Location
from hnscc.base.split_names import SPLITS
from hnscc.cohort import kept_of_store
from hnscc.cohort.kept_of_store import PackedMask
from hnscc.cohort.slices import rows_of_scans
from hnscc.cohort.split_file import damaged_fold, read_split
from hnscc.cohort.store_format import suv_modality
from hnscc.scores.thresholds import SliceChoice
from hnscc.study.run_folder import RunFolder, inside
from hnscc.study.schema import Study
from hnscc.study.trials import fold_name

NO_TRIAL = "no completed trial"  # why a variant has no scores


@dataclass(frozen=True)
class Fold:
    """The scored slices of one fold in stored order: split, patient and scan str (N,), masks bool (N, H, W).

    The sampled slices come first: sampled bool (N,). holds_whole_scans: whether the others were written too, so that
    the scans of validation and test are whole. digest: of everything that training depends on. others_digest: of the
    other slices, empty if there are none. spacing_mm: mm between voxels along z, y and x, for each scan of which every
    slice is scored. in_suv: the modality that is known to be in SUV, or None. drawn: the masks of these scans as they
    were drawn; empty where the store kept none.
    """

    number: int
    digest: str
    slices: pa.Table
    split: Texts
    patient: Texts
    scan: Texts
    sampled: Bools
    masks: Bools
    cohort: pa.Table
    holds_whole_scans: bool = False
    others_digest: str = ""
    spacing_mm: Mapping[str, Spacing] = field(default_factory=dict)
    in_suv: str | None = None
    drawn: Mapping[str, PackedMask] = field(default_factory=dict)

    @cached_property
    def rows(self) -> dict[str, Integers]:
        """The positions of the scored slices of each split: {split: int (n,)}."""
        return {split: np.flatnonzero(self.split == split) for split in SPLITS}

    @cached_property
    def scan_rows(self) -> dict[str, Integers]:
        """The positions of the slices of each whole scan of validation and test, from its first to its last: {scan:
        int (n,)}."""
        z = np.array(self.slices["z"])
        return rows_of_scans(sorted(self.spacing_mm), self.scan, z, self.split)

    @cached_property
    def scan_ids(self) -> dict[str, dict[str, list[str]]]:
        """The scans that have slices in each split, sorted: {split: {patient: [scan]}}."""
        found: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
        for split, rows in self.rows.items():
            both = zip(self.patient[rows].tolist(), self.scan[rows].tolist(), strict=True)
            for patient, scan in sorted(set(both)):
                found[split].setdefault(patient, []).append(scan)
        return found

    @cached_property
    def truth_px(self) -> Integers:
        """The lesion pixels of each slice: int64 (N,)."""
        truth: Integers = self.masks.sum(axis=(1, 2), dtype=np.int64)
        return truth

    @cached_property
    def sampled_rows(self) -> dict[str, Integers]:
        """The positions of the sampled slices of each split: {split: int (n,)}."""
        return {split: rows[self.sampled[rows]] for split, rows in self.rows.items()}

    def rows_of(self, split: str, slices: SliceChoice) -> Integers:
        """Return the positions of the slices of a split that a reading scores: int (n,)."""
        return self.sampled_rows[split] if slices == "sampled" else self.rows[split]

    def of_sampled(self) -> "Fold":
        """Return the same fold with the sampled slices alone."""
        last = int(self.sampled.sum())
        return replace(
            self,
            slices=self.slices[:last],
            split=self.split[:last],
            patient=self.patient[:last],
            scan=self.scan[:last],
            sampled=self.sampled[:last],
            masks=self.masks[:last],
            holds_whole_scans=False,
            others_digest="",
            spacing_mm={},
            drawn={},
        )


def scored_fold(run: RunFolder, study: Study, number: int) -> Fold:
    """Return one fold with the slices that the study evaluates. InputError where these are missing, or a file
    is damaged."""
    fold = load_fold(run, number)
    if not study.whole_splits:
        return fold.of_sampled()
    if fold.holds_whole_scans:
        return fold
    raise InputError(
        "The run folder holds the sampled slices alone, and the study evaluates every slice.",
        where=f"{inside(run.fold(number).root)}, evaluation.slices in study.yaml",
        expected="every slice of the validation and test scans",
        found=f"the {count_of(len(fold.split), 'sampled slice')}",
        do="`hnscc run STUDY` adds the others and predicts them by the weights that are there; or set `evaluation: "
        "{slices: sampled}`",
    )


def holds_evaluated(run: RunFolder, study: Study) -> bool:
    """Return whether all folds hold the slices that the study evaluates. InputError where a fold is missing
    or damaged."""
    folds = range(study.split.folds) if study.whole_splits else ()
    return all(read_split(run.fold(number)).slices == "all" for number in folds)


def load_fold(run: RunFolder, number: int) -> Fold:
    """Return one fold as `hnscc run` wrote it. InputError where a file is missing or differs from what
    split.json says."""
    folder = run.fold(number)
    split = read_split(folder)
    if split.unsaid:
        raise damaged_fold(folder, f"a {folder.split.name} that lacks {split.unsaid}")
    try:
        slices, cohort, truth = (
            _checked(path, split.files) for path in (folder.slices, folder.scans, folder.truth)
        )
        drawn = (
            kept_of_store.masks_from_bytes(_checked(folder.drawn, split.files), split.drawn)
            if split.drawn
            else {}
        )
    except Damaged as damage:
        raise damaged_fold(folder, str(damage)) from None
    table = table_of_parquet(slices)
    if "used" not in table.column_names:
        raise damaged_fold(folder, f"a {folder.slices.name} without the column used")
    return Fold(
        number=number,
        digest=split.digest,
        slices=table,
        split=np.array(table["split"].to_pylist(), dtype=str),
        patient=np.array(table["patient_id"].to_pylist(), dtype=str),
        scan=np.array(table["scan_id"].to_pylist(), dtype=str),
        sampled=np.array(table["used"]),
        masks=np.load(io.BytesIO(truth), allow_pickle=False)["masks"].astype(bool),
        cohort=table_of_parquet(cohort),
        holds_whole_scans=split.slices == "all",
        others_digest=split.others_digest,
        spacing_mm=split.spacing_mm,
        in_suv=suv_modality(split.placing.get("units", {})),
        drawn=drawn,
    )


def in_fold(reason: str, fold: int, folds: int) -> str:
    """Return a reason, naming its fold where there are several."""
    return f"{reason} in fold {fold_name(fold)}" if folds > 1 else reason


class Damaged(ValueError):
    """A file differs from what was written, or belongs to another fold. The text names the file without a path."""


def _checked(path: Location, hashes: dict[str, str]) -> bytes:
    try:
        with storage_errors(path):
            content = path.read_bytes()
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read ({type(error).__name__})") from None
    if sha256(content) != hashes.get(path.name):
        raise Damaged(f"{path.name} is not what was written: its SHA-256 differs from the recorded one")
    return content
