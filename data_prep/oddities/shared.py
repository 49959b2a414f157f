"""Judges what scans share: the same images under two patients are refused, and other copies are reported.

Those are copies from one visit, or from one modality, to another.
"""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np
from numpy.typing import NDArray

from data_prep.manifest.manifest import Fault, Row, refused
from data_prep.oddities.copies import Copied, Kept, find_copies
from data_prep.oddities.marks import Marks
from data_prep.oddities.moved import find_moved
from data_prep.oddities.oddity import Odd
from data_prep.oddities.twins import SAME_CORRELATION, ReadImages, Twins, find_between, find_twins
from hnscc.base.in_words import count_of

# The correlation of two visits of a patient with one modality: a still head on one atlas may come near it. With several
# modalities, another visit's PET differs far more than twins.ALIKE_CORRELATION.
ONE_MODALITY_CORRELATION = 0.9995


@dataclass(frozen=True)
class Compared:
    """What is kept of each scan of a cohort to find shared images, in the order of its rows.

    patterns: what oddities.twins.reduced gave. marks, files: what oddities.marks.marks and oddities.copies.kept_of gave
    of each modality. read: reads the stored images (Z, C, H, W), in raw values, of the scan at a position.
    """

    rows: Sequence[Row]
    patterns: Sequence[NDArray[np.float32]]
    marks: Sequence[Sequence[Marks]]
    files: Sequence[Sequence[Kept]]
    read: ReadImages

    @property
    def modalities(self) -> list[str]:
        return list(self.rows[0].files)


def shared_images(scans: Compared) -> list[Odd]:
    """Return what is odd about images that scans share: of one patient, nearly those of two, or those of
    another modality.

    InputError is raised where two patients share the images of a modality, which would put one image into training and
    test, or where the manifest lists a scan twice.
    """
    copies = find_copies(scans.files)
    copied = [each for each in copies if each.first[1] == each.second[1]]
    return [
        *_between_scans(scans, copied),
        *_between_visits(scans, copied),
        *_between_modalities(scans, [each for each in copies if each.same and each not in copied]),
    ]


def copies_among(scans: Sequence[tuple[Row, Sequence[Kept]]], lines: Container[int]) -> list[Fault]:
    """Return a fault for each file that holds, or nearly holds, the image of the same modality in another scan.

    Only rows on these lines are judged: they are refused for something that a wrong file may be the reason of. scans:
    rows with what oddities.copies.kept_of returned for each modality.
    """
    found = []
    for each in find_copies([files for _, files in scans]):
        (first, of), (second, modality) = each.first, each.second
        at, other = (second, first) if scans[second][0].line in lines else (first, second)
        row, twin = scans[at][0], scans[other][0]
        if of == modality and at != other and row.line in lines:
            own = row.patient_id == twin.patient_id
            fault = refused(
                f"Two scans hold {'the' if each.same else 'nearly the'} same images.",
                f"{row.where}, column {list(row.files)[modality]}",
                "different scans" if own else "images of another patient",
                f"those of {twin.where} (compared by content, without the masks)",
            )
            found.append((row.line, fault))
    return found


def _between_scans(scans: Compared, copied: Sequence[Copied]) -> Iterator[Odd]:
    rows, modalities = scans.rows, scans.modalities
    pairs = _pairs(scans, copied)
    shared = Counter((twins.first, twins.second) for twins in pairs if twins.same)
    for twins in pairs:
        first, second, name = rows[twins.first], rows[twins.second], modalities[twins.modality]
        own = first.patient_id == second.patient_id
        if twins.same and not (own and shared[twins.first, twins.second] < len(modalities)):
            raise refused(
                "Two scans hold the same images.",
                f"{second.where}, column {name}",
                "different scans" if own else "images of another patient",
                f"those of {first.where} (compared by content, without the masks)",
            )
        whose = "of the same patient" if own else "of another patient"
        if twins.same:
            text = f"{name} is that of scan {first.scan_id}, {whose}, too: of which visit is it?"
            yield _of_both(second, first, text, name)
        elif not own:
            text = f"{name} is nearly that of scan {first.scan_id}, {whose} {_how(twins)}"
            yield _of_both(second, first, text, name)


def _between_visits(scans: Compared, copied: Sequence[Copied]) -> Iterator[Odd]:
    """Yield a sentence on modalities that two visits of a patient nearly share, even on different grids.

    They may be copied from one visit's files into the other's row, one of them or all.
    """
    rows, modalities = scans.rows, scans.modalities
    visits = [
        (first, second)
        for first, second in combinations(range(len(rows)), 2)
        if rows[first].patient_id == rows[second].patient_id
    ]
    told = {(each.first[0], *each.second) for each in copied if each.same}
    found = {_key(twins): twins for twins in map(_twins_of, copied) if (twins.first, twins.second) in visits}
    found |= {_key(twins): twins for twins in find_between(scans.patterns, visits, scans.read)}
    in_order = [found[key] for key in sorted(found)]
    for (first, second), both in groupby(in_order, key=lambda twins: (twins.first, twins.second)):
        alike = list(both)
        of = f"scan {rows[first].scan_id}, of the same patient"
        if len(alike) == len(modalities):
            least = min(alike, key=lambda twins: twins.correlation)
            if len(alike) > 1 or least.correlation > ONE_MODALITY_CORRELATION:
                text = f"its images are nearly those of {of} {_how(least)}: is one visit listed twice?"
                yield Odd(rows[second].scan_id, text, files=tuple(modalities))
            continue
        for twins in alike:
            name = modalities[twins.modality]
            if not twins.same and (first, second, twins.modality) not in told:
                nearly = f"{name} is nearly that of {of} {_how(twins)}"
                text = f"{nearly}, while other modalities differ: is it of this visit?"
                yield _of_both(rows[second], rows[first], text, name)


def _of_both(second: Row, first: Row, text: str, name: str) -> Odd:
    """Return a sentence on the later of two scans that share a modality; either may be the one with the wrong image."""
    shown = ((second.scan_id, name), (first.scan_id, name))
    return Odd(second.scan_id, text, files=(name,), shown=shown)


def _between_modalities(scans: Compared, copies: Sequence[Copied]) -> Iterator[Odd]:
    """Yield a sentence on files that hold the image of another modality, of their scan or of another one."""
    for each in copies:
        (at, of), (later, modality) = each.first, each.second
        first, second = scans.rows[at], scans.rows[later]
        name, other = scans.modalities[modality], scans.modalities[of]
        where = "" if at == later else f" of scan {first.scan_id}"
        text = f"{name} is the image that {other}{where} is, too: which of both is it?"
        files = (name,) if at != later else (other, name)
        yield Odd(second.scan_id, text, files=files, shown=tuple((second.scan_id, file) for file in files))


def _how(twins: Twins) -> str:
    if twins.places is None:
        return f"(correlation {twins.correlation:.4f})"
    return (
        f"(moved or changed: {count_of(twins.places, 'place')} of it lie alike; correlation {twins.correlation:.4f} "
        "where one is laid on the other)"
    )


def _key(twins: Twins) -> tuple[int, int, int]:
    return twins.first, twins.second, twins.modality


def _twins_of(each: Copied) -> Twins:
    """Return two files of one modality as two scans that share it."""
    correlation = 1.0 if each.same else min(each.correlation, SAME_CORRELATION)
    return Twins(each.first[0], *each.second, correlation)


def _pairs(scans: Compared, copied: Sequence[Copied]) -> list[Twins]:
    """Return scans that share images, as they were read or as they are stored; for two patients, also images that are
    the same once one is moved or changed."""
    rows = scans.rows
    pairs = {_key(twins): twins for twins in find_twins(scans.patterns, scans.read)}
    for twins in map(_twins_of, copied):
        if twins.same or _key(twins) not in pairs:
            pairs[_key(twins)] = twins
    moved = find_moved(
        scans.marks,
        lambda one, two, of: rows[one].patient_id != rows[two].patient_id and (one, two, of) not in pairs,
        scans.read,
    )
    return sorted([*pairs.values(), *moved], key=lambda twins: (twins.second, twins.first, twins.modality))
