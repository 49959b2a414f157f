"""One fold's data: read from the store once, normalised by the training slices' bounds, kept for aggregation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hnscc.base.encode import npz_bytes, parquet_bytes
from hnscc.base.errors import InputError
from hnscc.base.files import hash_of, read_sealed, sha256, write_bytes, write_sealed
from hnscc.cohort.splits import FoldPlan
from hnscc.cohort.store import Store
from hnscc.study.plan import SPLITS
from hnscc.study.run_folder import FoldFolder
from hnscc.study.schema import Study

SCANS = pa.schema(
    [(name, pa.string()) for name in ("patient_id", "scan_id")]
    + [("fold", pa.int64()), ("split", pa.string())]
    + [(name, pa.int64()) for name in ("slices", "positive_slices", "used_positive", "used_negative")]
)


@dataclass(frozen=True)
class FoldData:
    """The used slices of one fold in canonical order: train, validation, test; within each by scan and z.

    images: float32 (N, C, H, W) in 0..1, C in the order of `modalities`. masks: uint8 (N, H, W) of 0 and 1.
    rows: for each split, the range of N that holds it. digest: hash of the pixels, bounds and order.
    """

    fold: int
    modalities: tuple[str, ...]
    images: np.ndarray
    masks: np.ndarray
    rows: Mapping[str, slice]
    bounds: Mapping[str, tuple[float, float]]
    digest: str

    @property
    def splits(self) -> list[str]:
        """The split of each of the N slices."""
        return [split for split in SPLITS for _ in range(self.rows[split].start, self.rows[split].stop)]


def read_fold(
    store: Store, study: Study, plan: FoldPlan, progress: Callable[[int, int], None] | None = None
) -> FoldData:
    """Read the used slices, whole scans at a time, and normalise them (paper section 2.2).

    Per modality (x - low) / (high - low), clipped to 0..1, low and high being the global minimum and maximum
    of the training slices (with `bounds: training_and_validation` of both). InputError for a constant modality.
    """
    order = [each for split in SPLITS for each in plan.slices[split]]
    images = np.empty((len(order), len(store.modalities), store.size, store.size), np.float32)
    masks = np.empty((len(order), store.size, store.size), np.uint8)
    wanted: dict[str, list[int]] = {}
    for row, each in enumerate(order):
        wanted.setdefault(each.scan_id, []).append(row)
    for done, (scan_id, rows) in enumerate(sorted(wanted.items()), start=1):
        scan_images, scan_masks = store.read(scan_id)
        z = [order[row].z for row in rows]
        images[rows], masks[rows] = scan_images[z], scan_masks[z]
        if progress:
            progress(done, len(wanted))
    ends = np.cumsum([0, *(len(plan.slices[split]) for split in SPLITS)]).tolist()
    rows_of = {split: slice(ends[i], ends[i + 1]) for i, split in enumerate(SPLITS)}
    used = ends[2] if study.normalisation.bounds == "training_and_validation" else ends[1]
    bounds = _bounds(images[:used], store.modalities)
    _normalise(images, bounds)
    digest = _digest(store, plan, bounds)
    return FoldData(plan.fold, store.modalities, images, masks, rows_of, bounds, digest)


def _bounds(images: np.ndarray, modalities: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    bounds = {}
    for channel, modality in enumerate(modalities):
        low, high = float(images[:, channel].min()), float(images[:, channel].max())
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


def _normalise(images: np.ndarray, bounds: Mapping[str, tuple[float, float]]) -> None:
    for channel, (low, high) in enumerate(bounds.values()):
        view = images[:, channel]
        np.subtract(view, np.float32(low), out=view)
        np.divide(view, np.float32(high - low), out=view)
        np.clip(view, 0.0, 1.0, out=view)


def _digest(store: Store, plan: FoldPlan, bounds: Mapping[str, tuple[float, float]]) -> str:
    """What the pixels follow from: the content of the used scans, the used slices in order, the bounds."""
    digests = {scan.scan_id: scan.digest for scan in store.scans}
    used = [[split, digests[e.scan_id], e.z] for split in SPLITS for e in plan.slices[split]]
    return hash_of({"modalities": store.modalities, "size": store.size, "slices": used, "bounds": bounds})


def write_fold(
    folder: FoldFolder, store: Store, plan: FoldPlan, data: FoldData, *, replace: bool = False
) -> None:
    """Write the fold's files once; split.json, last, vouches for the others.

    An existing fold of the same data is kept, and mended where a file is lost or damaged. One of other data is
    refused (InputError), unless told to `replace` it (nothing has been trained on it yet).
    """
    existing = _read_split(folder)
    if existing and not replace:
        _check_same(existing, data)
    contents = {
        folder.slices: parquet_bytes(_slices_table(plan, data)),
        folder.scans: parquet_bytes(_scans_table(store, plan)),
        folder.truth: npz_bytes(masks=data.masks),
    }
    split = {
        "fold": plan.fold,
        "digest": data.digest,
        "store_digest": store.digest,
        "bounds": {modality: list(pair) for modality, pair in data.bounds.items()},
        "patients": {split: list(patients) for split, patients in plan.patients.items()},
        "warnings": list(plan.warnings),
        "files": {path.name: sha256(content) for path, content in contents.items()},
    }
    whole = all(path.is_file() and path.read_bytes() == content for path, content in contents.items())
    if existing == split and whole:
        return
    for path, content in contents.items():
        write_bytes(path, content)
    write_sealed(folder.split, split)


def _read_split(folder: FoldFolder) -> dict | None:
    """What split.json says; None where there is none or where it is damaged, since it can be written again."""
    try:
        return read_sealed(folder.split)
    except (FileNotFoundError, ValueError):
        return None


def _check_same(existing: dict, data: FoldData) -> None:
    if existing.get("digest") != data.digest:
        raise InputError(
            "The run folder was made with other data or another split.",
            where=f"folds/f{data.fold}",
            expected=f"data digest {str(existing.get('digest'))[:12]}",
            found=data.digest[:12],
            do="use another run folder (--out or name), or restore its store, seed, sampling and split",
        )


def _slices_table(plan: FoldPlan, data: FoldData) -> pa.Table:
    order = [(split, each) for split in SPLITS for each in plan.slices[split]]
    return pa.table(
        {
            "row": pa.array(range(len(order)), pa.int32()),
            "split": [split for split, _ in order],
            "patient_id": [each.patient_id for _, each in order],
            "scan_id": [each.scan_id for _, each in order],
            "z": pa.array([each.z for _, each in order], pa.int32()),
            "positive": [each.positive for _, each in order],
            "truth_px": pa.array(data.masks.sum(axis=(1, 2), dtype=np.int64), pa.int32()),
        }
    )


def _scans_table(store: Store, plan: FoldPlan) -> pa.Table:
    """The `cohort` table's rows for this fold: each scan with its slices, in every split that it stands in."""
    rows = []
    for split in SPLITS:
        for scan in store.scans:
            if scan.patient_id not in plan.patients[split]:
                continue
            used = [each.positive for each in plan.slices[split] if each.scan_id == scan.scan_id]
            rows.append(
                {
                    "patient_id": scan.patient_id,
                    "scan_id": scan.scan_id,
                    "fold": plan.fold,
                    "split": split,
                    "slices": scan.slices,
                    "positive_slices": sum(px > 0 for px in scan.lesion_px),
                    "used_positive": sum(used),
                    "used_negative": len(used) - sum(used),
                }
            )
    return pa.Table.from_pylist(rows, schema=SCANS)
