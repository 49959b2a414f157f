"""Whether a store still holds the data that a run folder's fold was made of, and if not, what differs, in words."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hnscc.base.encode import table_of_parquet
from hnscc.base.errors import InputError
from hnscc.base.files import hash_of, read_errors, sha256
from hnscc.base.in_words import count_of, first_of
from hnscc.base.split_names import SPLITS
from hnscc.cohort.slices import Bounds
from hnscc.cohort.split_file import SplitFile, intact_split
from hnscc.cohort.splits import Division
from hnscc.cohort.store import Store
from hnscc.study.run_folder import FoldFolder, inside

MOST_NAMES = 5  # the most patients or scans that one message names


@dataclass(frozen=True)
class _Data:
    """What a fold is made of. slices: the number of all slices of its scans; sampled: split, scan and z of each sampled
    slice, in order."""

    patients: frozenset[str]
    scans: frozenset[str]
    slices: int
    sampled: tuple[tuple[str, str, int], ...]
    modalities: tuple[str, ...]
    size: int


def check_same_data(
    folder: FoldFolder,
    store: Store,
    division: Division,
    bounds: Mapping[str, Bounds] | None = None,
    why_others: Callable[[], str] = str,
) -> None:
    """Raise InputError, with what differs, unless store and division are those that the fold was made of.

    bounds: those of the fold's data (`FoldData`), if its images have been read. Otherwise the bounds that the fold
    keeps are used: bounds follow from the images, whose digests are compared. A fold whose split.json is absent or
    damaged is not compared: `hnscc run` writes it anew. InputError where a file may not be read. why_others: called
    where other slices are sampled, and returns what the caller knows of the reason; "" for nothing.
    """
    split = intact_split(folder)
    if split is None or split.digest == data_digest(
        store, division, split.bounds if bounds is None else bounds
    ):
        return
    before = _written(folder, split)
    if isinstance(before, str):
        found = [f"other data, by its digest; in what it differs cannot be told, for {before}"]
    else:
        found = list(_differences(before, _asked_for(store, division), why_others))
    if not found and bounds is not None:
        found = list(_values(split.bounds, bounds))
    raise InputError(
        "The run folder was made with other data or another division of them.",
        where=f"{inside(folder.root)}, store {store.location}",
        expected="the data that its trials were trained on",
        found="; ".join(found) or "other images or masks in the same slices, or another order of modalities",
        do="restore the store, seed, sampling, split and the variants' modalities, or use another run folder "
        "(--out, or another name)",
    )


def data_digest(store: Store, division: Division, bounds: Mapping[str, Bounds]) -> str:
    """Return a hash of what determines a fold's pixels: the content of their scans, the sampled slices in order,
    the bounds."""
    digests = {scan.scan_id: scan.digest for scan in store.scans}
    sampled = [[split, digests[each.scan_id], each.z] for split, each in division.order]
    return hash_of({"modalities": store.modalities, "size": store.size, "slices": sampled, "bounds": bounds})


def _asked_for(store: Store, division: Division) -> _Data:
    return _Data(
        patients=frozenset(patient for split in SPLITS for patient in division.patients[split]),
        scans=frozenset(scan.scan_id for scan in store.scans),
        slices=sum(scan.slices for scan in store.scans),
        sampled=tuple((split, each.scan_id, each.z) for split, each in division.order),
        modalities=tuple(sorted(store.modalities)),
        size=store.size,
    )


def _written(folder: FoldFolder, split: SplitFile) -> _Data | str:
    """Return what the fold's files say, or which of them is lost or damaged. InputError where one may not be read."""
    contents: dict[str, bytes] = {}
    for path in (folder.scans, folder.slices, folder.truth):
        try:
            with read_errors(path, inside(folder.root)):
                contents[path.name] = path.read_bytes()
        except OSError:  # the file is gone, or it is a folder
            return f"its file {path.name} is gone"
        if sha256(contents[path.name]) != split.files.get(path.name):
            return f"its file {path.name} is damaged"
    scans, scored = (
        table_of_parquet(contents[path.name]).to_pylist() for path in (folder.scans, folder.slices)
    )
    masks = np.load(io.BytesIO(contents[folder.truth.name]), allow_pickle=False)["masks"]
    return _Data(
        patients=frozenset(patient for names in split.patients.values() for patient in names),
        scans=frozenset(row["scan_id"] for row in scans),
        slices=sum({row["scan_id"]: row["slices"] for row in scans}.values()),
        sampled=tuple((row["split"], row["scan_id"], row["z"]) for row in scored if row.get("used", True)),
        modalities=tuple(sorted(split.bounds)),  # JSON does not keep their order
        size=int(masks.shape[-1]),
    )


def _differences(before: _Data, now: _Data, why_others: Callable[[], str]) -> Iterator[str]:
    yield from _names("patients", before.patients, now.patients)
    yield from _names("scans", before.scans, now.scans)
    if before.slices != now.slices:
        yield f"{before.slices} -> {count_of(now.slices, 'slice')}"
    if before.modalities != now.modalities:
        yield f"modalities {', '.join(before.modalities)} -> {', '.join(now.modalities)}"
    if before.size != now.size:
        yield f"{before.size} x {before.size} -> {now.size} x {now.size} pixels"
    if len(before.sampled) != len(now.sampled):
        yield f"{len(before.sampled)} -> {count_of(len(now.sampled), 'sampled slice')}"
    elif before.sampled != now.sampled:
        yield "other slices are sampled"
    if before.sampled != now.sampled and (why := why_others()):
        yield why


def _names(what: str, before: frozenset[str], now: frozenset[str]) -> Iterator[str]:
    """Yield how many there were and are, and the first names of those that are gone and of those that are new."""
    if before == now:
        return
    gone, new = sorted(before - now), sorted(now - before)
    named = [
        f"{word} {first_of(names, MOST_NAMES, ' ')}"
        for word, names in (("without", gone), ("with", new))
        if names
    ]
    yield f"{len(before)} -> {len(now)} {what} ({', '.join(named)})"


def _values(before: Mapping[str, Bounds], now: Mapping[str, Bounds]) -> Iterator[str]:
    for modality, (low, high) in now.items():
        old = before.get(modality)
        if old and old != (low, high):
            yield f"{modality} of the training slices {old[0]:g} to {old[1]:g} -> {low:g} to {high:g}"
