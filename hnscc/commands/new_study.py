"""`hnscc init`: a study file for a store, with comments, which `hnscc check` takes as it is."""

import re
from collections.abc import Sequence
from pathlib import Path

from hnscc.base.errors import InputError
from hnscc.base.files import write_text, writing_to
from hnscc.base.locations import ZARR_ROOT, Location, locate
from hnscc.cohort.store import Store, open_store
from hnscc.study.loading import parse_study
from hnscc.study.schema import NAME_LENGTH
from hnscc.study.yaml_text import read_yaml, write_yaml

MANY = (
    10  # patients with lesion, from which each patient can be tested once and enough are left to learn from
)
STEP = 32  # the sides of slices that the encoders take are multiples of it


def write_study(store: str | Location, study: Path | None = None) -> Path:
    """Write a study file for a store; returns its path.

    study: the new file; the store's name with .yaml in the working directory unless given. InputError where the file is
    there already, there is no store, or its cohort or slices fit no study: nothing is written then.
    """
    location = locate(store)
    _check_store(location)
    opened = open_store(location)
    path = Path(f"{location.name.removesuffix('.zarr')}.yaml") if study is None else study
    if path.exists() or path.is_symlink():
        raise InputError(
            "The study file is there already.",
            where=str(path),
            expected="a name that is not there yet: an existing file is never replaced",
            found="a file or folder",
            do="give another name behind the store, or go on with that file: hnscc check STUDY",
        )
    text = _text(opened, str(store), path)
    _check(text, str(path))
    with writing_to(path.parent):
        write_text(path, text)
    return path


def _check_store(location: Location) -> None:
    """InputError that names the way to a store, where there is none."""
    if (location / ZARR_ROOT).is_file():
        return
    raise InputError(
        "There is no store to make a study of.",
        where=str(location),
        expected="a store made by hnscc prepare",
        found="a folder or file of another kind" if location.exists() else "nothing there",
        do="make one of your scans: `hnscc scan FOLDER --manifest manifest.csv` writes the manifest of a folder of "
        "scans, and `hnscc prepare manifest.csv STORE` the store",
    )


def _check(text: str, where: str) -> None:
    """InputError where the study does not fit its store; as `hnscc check` does."""
    from hnscc.training.ready import plan_folds  # here, for torch takes seconds

    plan_folds(parse_study(read_yaml(text, where).value, where))


def _text(store: Store, location: str, file: Path) -> str:
    """YAML with comments. location: the store as the study is to name it. file: where the text is to stand."""
    name = _name(file.stem)
    return "\n".join(
        [
            "# What is compared, and how. `hnscc settings` tells of every setting that may stand here.",
            f"#   hnscc check {file}    what this file would do",
            f"#   hnscc run {file}      trains what is missing, then writes tables and report to runs/{name}",
            f"name: {name}",
            f"store: {_plain(location)}    # from the working directory",
            "protocol: corrected    # the preset of all that is not said here",
            "seed: 2023",
            "repeats: 5    # independent trainings of each variant; more can be added later, finished ones stay",
            *_sampling(store),
            *_split(store),
            f"training: {{network: {_network(store.size)}, epochs: 40, patience: 40}}",
            "# Each variant is a difference from the above. Names are yours; delete what you do not compare.",
            "variants:",
            *(f"  {line}" for line in _variants(store.modalities)),
            "",
        ]
    )


def _sampling(store: Store) -> list[str]:
    """From where slices without lesion come: enough of them must be there."""
    positive = sum(px > 0 for scan in store.scans for px in scan.lesion_px)
    free = sum(scan.slices for scan in store.scans if not any(scan.lesion_px))
    if free >= positive:
        return ["sampling: {negatives: lesion_free_scans}    # slices without lesion: from scans without any"]
    return [
        f"sampling: {{negatives: any_scan}}    # scans without lesion hold {free} slices, too few for {positive} with"
    ]


def _split(store: Store) -> list[str]:
    if any(scan.split for scan in store.scans):
        return ["# Who is trained on and who is tested: as the manifest's column split says."]
    ill = len({scan.patient_id for scan in store.scans if any(scan.lesion_px)})
    if ill >= MANY:
        return [
            "split: {folds: 5, validation: 0.2}    # every patient is tested once: five trainings of each repeat"
        ]
    return [
        f"split: {{test: 0.3, validation: 0.3}}    # shares of the patients; {ill} have a lesion, few for a firm answer"
    ]


def _network(size: int) -> str:
    return (
        "{architecture: unet, encoder: resnet18}" if size % STEP == 0 else "{architecture: paper, width: 16}"
    )


def _variants(modalities: Sequence[str]) -> list[str]:
    """Each modality alone, all together, and these augmented."""
    lists = [[name] for name in modalities] + ([list(modalities)] if len(modalities) > 1 else [])
    names: list[str] = []
    for each in lists:
        name = re.sub(r"[^a-z0-9]+", "_", "_".join(each).lower()).strip("_") or "images"
        names.append(name if name not in names else f"{name}_{len(names) + 1}")
    told = [
        f"{name}: {{modalities: [{', '.join(map(_plain, each))}]}}"
        for name, each in zip(names, lists, strict=True)
    ]
    last = ", ".join(map(_plain, lists[-1]))
    return [*told, f"{names[-1]}_augmented: {{modalities: [{last}], augmentation: {{copies: fresh}}}}"]


def _plain(text: str) -> str:
    """The text as YAML reads it: in quotes where it needs them."""
    return write_yaml({"value": text}).removeprefix("value: ").strip()


def _name(stem: str) -> str:
    """A study's name of a file's."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", stem).lstrip("_.")[:NAME_LENGTH] or "study"
