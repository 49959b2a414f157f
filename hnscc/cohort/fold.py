"""One fold: which slices are in which split and which are scored, the bounds of training slices, and its files."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from hnscc.base.arrays import Images, Integers, Masks, Spacing
from hnscc.base.encode import npz_bytes, parquet_bytes
from hnscc.base.errors import InputError
from hnscc.base.files import hash_of, read_errors, sha256, write_bytes
from hnscc.base.locations import Location
from hnscc.base.split_names import SPLITS
from hnscc.base.steps import Progress
from hnscc.cohort import kept_of_store
from hnscc.cohort.kept_of_store import PackedMask, usual_of
from hnscc.cohort.same_data import check_same_data, data_digest
from hnscc.cohort.slices import Bounds, Pixels, Slices, read_pixels, rows_of_scans
from hnscc.cohort.split_file import SplitFile, intact_split, write_split
from hnscc.cohort.splits import Division
from hnscc.cohort.store import Store
from hnscc.study.run_folder import FoldFolder, inside
from hnscc.study.schema import Study

SCANS = pa.schema(
    [(name, pa.string()) for name in ("patient_id", "scan_id")]
    + [("fold", pa.int64()), ("split", pa.string())]
    + [(name, pa.int64()) for name in ("slices", "positive_slices", "used_positive", "used_negative")]
)
# For each choice of `normalisation.bounds`, how many of SPLITS, from the first on, the bounds are taken from.
BOUNDED_BY = {"training": 1, "training_and_validation": 2}


@dataclass(frozen=True)
class FoldData:
    """One fold's slices in canonical order: train, validation, test; within each by scan and z.

    pixels: shared by all folds. at: int (N,), the positions of the fold's N sampled slices among the pixels. rows: for
    each split, the range of N that holds it. bounds: by modality, the values that become 0 and 1, from this fold's
    training slices. digest: hash of the data that trainings depend on: pixels, bounds and order of the sampled slices.

    The scored slices are the sampled ones, followed by others: int (M,), the positions of the M slices that complete
    the scans of validation and test; other_splits: the split of each. others_digest: hash of their pixels and order,
    empty for none. spacing_mm: of each scan of which every slice is scored, mm between stored voxels along z, y and x.
    in_suv: the modality that is known to be in SUV, or None.
    """

    fold: int
    pixels: Pixels
    at: Integers
    rows: Mapping[str, slice]
    bounds: Mapping[str, Bounds]
    digest: str
    others: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    other_splits: tuple[str, ...] = ()
    others_digest: str = ""
    spacing_mm: Mapping[str, Spacing] = field(default_factory=dict)
    in_suv: str | None = None

    def __len__(self) -> int:
        return len(self.at)

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.pixels.modalities

    @property
    def splits(self) -> list[str]:
        """The split of each of the N slices."""
        return [split for split in SPLITS for _ in range(self.rows[split].start, self.rows[split].stop)]

    @property
    def masks(self) -> Masks:
        """The masks of the sampled slices: uint8 (N, H, W) of 0 and 1, a new array."""
        masks: Masks = self.pixels.masks[self.at]
        return masks

    @property
    def scored_at(self) -> Integers:
        """The positions of the scored slices among the pixels, first the sampled ones: int (N + M,)."""
        return np.concatenate([self.at, self.others])

    @property
    def scored_splits(self) -> list[str]:
        """The split of each scored slice."""
        return [*self.splits, *self.other_splits]

    @property
    def scan_rows(self) -> dict[str, Integers]:
        """The positions of each whole scan's slices among the scored ones, from its first to its last: int (n,)."""
        keys = [self.pixels.keys[row] for row in self.scored_at]
        scan, z = np.array([name for name, _ in keys]), np.array([z for _, z in keys])
        return rows_of_scans(self.spacing_mm, scan, z, np.array(self.scored_splits))

    @property
    def scored_masks(self) -> Masks:
        """The masks of the scored slices: uint8 (N + M, H, W) of 0 and 1, a new array."""
        masks: Masks = self.pixels.masks[self.scored_at]
        return masks

    @property
    def images(self) -> Images:
        """The images of all sampled slices, float32 (N, C, H, W) in 0..1, a new array. Trainings read `slices`."""
        return self.slices(self.modalities).batch(np.arange(len(self.at)))[0]

    def slices(self, modalities: Sequence[str], split: str | None = None) -> Slices:
        """Return the sampled slices of a split, or all N, in the channels of these modalities, normalised per batch."""
        return self._slices_at(self.at if split is None else self.at[self.rows[split]], modalities)

    def scored_slices(self, modalities: Sequence[str]) -> Slices:
        """Return the scored slices, N + M, in the same way as `slices`."""
        return self._slices_at(self.scored_at, modalities)

    def uptake(self, rows: Integers) -> Images | None:
        """Return the SUV, float32 (n, H, W), of the scored slices at these positions, int (n,); None where no modality
        is known to be in SUV."""
        if self.in_suv is None:
            return None
        channel = self.modalities.index(self.in_suv)
        found: Images = self.pixels.images[self.scored_at[rows], channel]
        return found

    def _slices_at(self, rows: Integers, modalities: Sequence[str]) -> Slices:
        """Return the slices at these positions, int (n,), among the pixels."""
        channels = [self.pixels.modalities.index(modality) for modality in modalities]
        bounds = [self.bounds[modality] for modality in modalities]
        return Slices(self.pixels.images, self.pixels.masks, rows, channels, bounds)


def read_folds(
    store: Store,
    study: Study,
    divisions: Sequence[Division],
    progress: Progress | None = None,
) -> dict[int, FoldData]:
    """Read the slices of all folds once, and find each fold's bounds. InputError for a constant modality."""
    pixels = read_pixels(store, divisions, progress)
    return {division.fold: _fold_of(store, study, division, pixels) for division in divisions}


def _fold_of(store: Store, study: Study, division: Division, pixels: Pixels) -> FoldData:
    """Return a fold's data. Its bounds are the global minimum and maximum, per modality, of the training slices (paper
    section 2.2), with `bounds: training_and_validation` of both."""
    at = np.array([pixels.row_of[each.scan_id, each.z] for _, each in division.order], np.int64)
    ends = np.cumsum([0, *(len(division.slices[split]) for split in SPLITS)]).tolist()
    rows = {split: slice(ends[i], ends[i + 1]) for i, split in enumerate(SPLITS)}
    bounds = _bounds(pixels, at[: ends[BOUNDED_BY[study.normalisation.bounds]]])
    others, whole = division.others or (), set(division.whole_scans)
    return FoldData(
        fold=division.fold,
        pixels=pixels,
        at=at,
        rows=rows,
        bounds=bounds,
        digest=data_digest(store, division, bounds),
        others=np.array([pixels.row_of[each.scan_id, each.z] for _, each in others], np.int64),
        other_splits=tuple(split for split, _ in others),
        others_digest=digest_of_others(store, division),
        spacing_mm={scan.scan_id: scan.spacing_mm for scan in store.scans if scan.scan_id in whole},
        in_suv=store.in_suv,
    )


def _bounds(pixels: Pixels, rows: Integers) -> dict[str, Bounds]:
    """Return each modality's least and highest value in these slices, int (n,) of the pixels. InputError if equal."""
    bounds = {}
    for channel, modality in enumerate(pixels.modalities):
        planes = [pixels.images[row, channel] for row in rows]
        low, high = min(float(each.min()) for each in planes), max(float(each.max()) for each in planes)
        if not low < high:
            raise InputError(
                "A modality has the same value in every training pixel and cannot be normalised.",
                where=f"store, modality {modality}",
                expected="different values",
                found=f"{low:g} everywhere",
                do="check the modality's files, or prepare the store without it",
            )
        bounds[modality] = (low, high)
    return bounds


def digest_of_others(store: Store, division: Division) -> str:
    """Return a hash of what determines the scored slices beside the sampled ones: the content of their scans, and their
    order. It is empty where there are none."""
    if not division.others:
        return ""
    digests = {scan.scan_id: scan.digest for scan in store.scans}
    return hash_of([[split, digests[each.scan_id], each.z] for split, each in division.others])


def write_fold(
    folder: FoldFolder, store: Store, division: Division, data: FoldData, *, replace: bool = False
) -> tuple[str, ...]:
    """Write the fold's files, split.json last, which vouches for the others. Return the names of files that were
    damaged or gone and are written again; none for a new fold, which has no split.json.

    A fold of the same data that exists already is kept, and repaired. One of other data raises InputError, unless it is
    to be replaced with `replace` (nothing has been trained on it yet).
    """
    existing = intact_split(folder)
    if existing and not replace:
        check_same_data(folder, store, division, data.bounds)
    contents = {
        folder.slices: parquet_bytes(_slices_table(division, data)),
        folder.scans: parquet_bytes(_scans_table(store, division)),
        folder.truth: npz_bytes(masks=data.scored_masks),
    }
    drawn = kept_of_store.read_masks(store, division.whole_scans)
    if drawn:
        contents[folder.drawn] = kept_of_store.masks_to_bytes(drawn)
    digests = {path.name: sha256(each) for path, each in contents.items()}
    split = _split_file(store, division, data, digests, drawn)
    damaged = _damaged(folder, existing, digests)
    if existing != split or damaged:
        for path, content in contents.items():
            write_bytes(path, content)
        write_split(folder, split)
    return damaged


def _damaged(folder: FoldFolder, split: SplitFile | None, names: Iterable[str]) -> tuple[str, ...]:
    """Return which of these files are damaged or gone. split: the content of split.json, None if damaged."""
    if split is None:
        return (folder.split.name,) if folder.split.is_file() else ()
    files = split.files
    return tuple(name for name in names if name in files and not _holds(folder.root / name, files[name]))


def _holds(path: Location, digest: str) -> bool:
    """Return whether a file exists and has this SHA-256. InputError where it may not be read."""
    try:
        with read_errors(path, inside(path.parent)):
            return sha256(path.read_bytes()) == digest
    except OSError:  # the file is gone, or it is a folder
        return False


def _split_file(
    store: Store, division: Division, data: FoldData, files: dict[str, str], drawn: Mapping[str, PackedMask]
) -> SplitFile:
    return SplitFile(
        fold=division.fold,
        digest=data.digest,
        others_digest=data.others_digest,
        slices="sampled" if division.others is None else "all",
        spacing_mm=dict(data.spacing_mm),
        store_digest=store.digest,
        bounds=dict(data.bounds),
        placing=store.placing,
        usual=usual_of(store),
        patients=dict(division.patients),
        warnings=division.warnings,
        warning_parts=tuple(each.parts for each in division.told),
        odd=store.odd,
        files=files,
        drawn={scan: dict(mask.lies) for scan, mask in drawn.items()},
    )


def _slices_table(division: Division, data: FoldData) -> pa.Table:
    """Return the table of the scored slices; its column `used` says whether the slice is a sampled one."""
    order = division.scored
    return pa.table(
        {
            "row": pa.array(range(len(order)), pa.int32()),
            "split": [split for split, _ in order],
            "patient_id": [each.patient_id for _, each in order],
            "scan_id": [each.scan_id for _, each in order],
            "z": pa.array([each.z for _, each in order], pa.int32()),
            "positive": [each.with_lesion for _, each in order],
            "used": [row < len(data) for row in range(len(order))],
            "truth_px": pa.array(data.scored_masks.sum(axis=(1, 2), dtype=np.int64), pa.int32()),
        }
    )


def _scans_table(store: Store, division: Division) -> pa.Table:
    """Return this fold's rows of the table `cohort`: each scan with its slices, in every split that it is in."""
    rows = []
    for split in SPLITS:
        patients = set(division.patients[split])
        sampled = Counter((each.scan_id, each.with_lesion) for each in division.slices[split])
        for scan in store.scans:
            if scan.patient_id not in patients:
                continue
            rows.append(
                {
                    "patient_id": scan.patient_id,
                    "scan_id": scan.scan_id,
                    "fold": division.fold,
                    "split": split,
                    "slices": scan.slices,
                    "positive_slices": scan.positive_slices,
                    "used_positive": sampled[scan.scan_id, True],
                    "used_negative": sampled[scan.scan_id, False],
                }
            )
    return pa.Table.from_pylist(rows, schema=SCANS)
