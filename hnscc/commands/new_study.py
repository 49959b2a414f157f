"""`hnscc init`: writes a study file with comments, for a store, or for a folder of scans together with its manifest."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.manifest.folder import FolderListing, list_scans_below, scans_in
from data_prep.manifest.made import image_columns, taken_back_unless_done, with_notes, write_manifest
from data_prep.settings import PrepareSettings
from hnscc.base import fewest
from hnscc.base.errors import InputError
from hnscc.base.files import write_errors, write_text
from hnscc.base.in_words import as_typed, count_of, noun_of
from hnscc.base.locations import ZARR_ROOT, Location, locate
from hnscc.base.steps import Progress
from hnscc.cohort.patients import lesion_patients
from hnscc.cohort.store import Store, open_store
from hnscc.study.loading import parse_study
from hnscc.study.run_folder import STUDY_FILE
from hnscc.study.schema import NAME_LENGTH
from hnscc.study.yaml_text import read_yaml, write_yaml

STEP = 32  # the encoders take slices whose sides are multiples of it
PAPER_STEP = 16  # the paper's network takes slices whose sides are multiples of it


@dataclass(frozen=True)
class CohortFacts:
    """What a study file depends on: the modalities, how many patients have a lesion, whether the manifest fixes their
    splits, and the side of slices in pixels. Also how many slices hold lesion, and how many are in scans without lesion
    (None, None if no scan is prepared yet), and for how many patients it is not known yet whether they have lesion."""

    modalities: tuple[str, ...]
    with_lesion: int
    splits: bool
    size: int
    lesion_slices: int | None = None
    lesion_free_slices: int | None = None
    unknown: int = 0


@dataclass(frozen=True)
class Begun:
    """What was written for a folder of scans: the study file, and the manifest with what to look at in it. store: the
    one that `hnscc prepare` is to make from it."""

    study: Path
    manifest: Path
    store: Path
    listing: FolderListing


def begin_study(
    folder: Path,
    study: Path | None = None,
    prefer: Sequence[str] = (),
    progress: Progress | None = None,
) -> Begun:
    """Write the manifest of a folder of scans, and a study of the store that is to be prepared from it.

    study: the new study file; study.yaml in the working directory unless given. The manifest and the store have its
    name, with .csv and .zarr. prefer: patterns of file names, for cells that several files may fill. progress: called
    with the number of files done and their total. InputError where one of the files exists already, the study has the
    name of its manifest or store, or the folder holds no scan that can be prepared: then nothing is written.
    """
    path = Path(STUDY_FILE) if study is None else study
    manifest, store = path.with_suffix(".csv"), path.with_suffix(".zarr")
    if path in (manifest, store):
        raise _named_as_another(path)
    _check_new(path, "study file", f"hnscc check {as_typed(path)}")
    _check_new(manifest, "manifest", f"hnscc prepare {as_typed(manifest)} {as_typed(store)}")
    listing = list_scans_below([folder], progress=progress, needed=False)
    scans = scans_in(listing, prefer)
    if not listing.series and not listing.files:
        raise _no_store("the folder", "a folder without scans that can be read")
    with_lesion = {each.patient for each in scans if each.mask}
    # A scan with FILL-IN is not known yet to be with or without lesion.
    unknown = {each.patient for each in scans} - with_lesion
    columns = tuple(image_columns(scans))
    cohort = CohortFacts(
        columns, len(with_lesion), splits=False, size=PrepareSettings.size, unknown=len(unknown)
    )
    text = _text(cohort, str(store), path) if cohort.modalities else ""
    with write_errors(path.parent):
        made = write_manifest(scans, manifest)
        with taken_back_unless_done(manifest):
            write_text(path, text)
    return Begun(path, manifest, store, with_notes(listing, made))


def init_study(
    store: str | Path,
    study: str | Path | None = None,
    prefer: Sequence[str] = (),
    progress: Progress | None = None,
) -> Path | Begun:
    """Do what `hnscc init` does: `write_study` for a store, which returns the new file, and `begin_study` for a folder
    of scans. InputError as in these, and if `prefer` is given without a folder of scans."""
    path = None if study is None else Path(study)
    if _is_folder_of_scans(locate(store)):
        return begin_study(Path(store), path, prefer, progress)
    if prefer:
        _check_store(locate(store))
        raise _no_folder_to_prefer_in()
    return write_study(str(store), path)


def _is_folder_of_scans(location: Location) -> bool:
    """Return whether a location is a folder on a disk, and no store."""
    try:
        return isinstance(location, Path) and location.is_dir() and not (location / ZARR_ROOT).is_file()
    except OSError:  # its text would show the path; InputError then says that nothing was found there
        return True


def write_study(store: str | Location, study: Path | None = None) -> Path:
    """Write a study file for a store, and return its path.

    study: the new file; the store's name with .yaml in the working directory unless given. InputError where the file
    exists already, there is no store, or its cohort or slices fit no study: then nothing is written.
    """
    location = locate(store)
    _check_store(location)
    opened = open_store(location)
    path = Path(f"{location.name.removesuffix('.zarr')}.yaml") if study is None else study
    _check_new(path, "study file", f"hnscc check {as_typed(path)}")
    _check_size(opened.size)
    text = _text(_cohort(opened), str(store), path)
    _check(text, str(path))
    with write_errors(path.parent):
        write_text(path, text)
    return path


def _no_folder_to_prefer_in() -> InputError:
    return InputError(
        "Nothing is to be preferred.",
        where="--prefer",
        expected="a folder of scans, of whose files some may be meant for one cell of the manifest",
        found="a store",
        do="leave --prefer out",
    )


def _check_new(path: Path, what: str, go_on: str) -> None:
    """Raise InputError where a file of this name exists. go_on: the command that uses it as it is."""
    if path.exists() or path.is_symlink():
        raise InputError(
            f"The {what} is there already.",
            where=str(path),
            expected="a name that is not there yet: an existing file is never replaced",
            found="a file or folder",
            do=f"give another name for the study, or go on with that file: {go_on}",
        )


def _named_as_another(path: Path) -> InputError:
    return InputError(
        f"The study file cannot be called so: its {'store' if path.suffix == '.zarr' else 'manifest'} would be too.",
        where=str(path),
        expected="a name that ends in .yaml: the manifest is called as it is, with .csv, and the store with .zarr",
        found=f"one that ends in {path.suffix}",
        do=f"give {path.with_suffix('.yaml')}",
    )


def _cohort(store: Store) -> CohortFacts:
    return CohortFacts(
        modalities=tuple(store.modalities),
        with_lesion=len(lesion_patients(store.scans, store.modalities)),
        splits=any(scan.split for scan in store.scans),
        size=store.size,
        lesion_slices=sum(scan.positive_slices for scan in store.scans),
        lesion_free_slices=sum(scan.slices for scan in store.scans if not scan.has_lesion),
    )


def _check_store(location: Location) -> None:
    """Raise InputError where there is no store, with the command that makes one."""
    if not (location / ZARR_ROOT).is_file():
        kind = "a file" if location.is_file() else "a folder of another kind"
        raise _no_store(str(location), kind if location.exists() else "nothing there")


def _check_size(size: int) -> None:
    """Raise InputError where neither network that a new study may have takes slices of this side, in pixels."""
    if size % PAPER_STEP:
        below = size // PAPER_STEP * PAPER_STEP
        raise InputError(
            "No network that a new study begins with takes the store's slices.",
            where=f"the store, slices of {size} x {size}",
            expected=f"a size that is a multiple of {PAPER_STEP}",
            found=str(size),
            do=f"prepare the store again with --size {f'{below} or ' if below else ''}{below + PAPER_STEP}, and "
            "make the study of that",
        )


def _no_store(where: str, found: str) -> InputError:
    return InputError(
        "There is no store to make a study of.",
        where=where,
        expected="a store made by hnscc prepare, or a folder of scans",
        found=found,
        do="make one of a manifest: `hnscc prepare manifest.csv STORE`; `hnscc scan FOLDER --manifest manifest.csv` "
        "writes that of a folder of scans",
    )


def _check(text: str, where: str) -> None:
    """Raise InputError where the study does not fit its store, as `hnscc check` does."""
    from hnscc.training.ready import check_networks, networks_of, open_and_divide

    study = parse_study(read_yaml(text, where).value, where)
    check_networks(*networks_of(study, *open_and_divide(study)))


def _text(cohort: CohortFacts, location: str, file: Path) -> str:
    """Return the study as YAML with comments. location: the store as the study is to name it. file: where the text
    will be."""
    name, typed = _name(file.stem), as_typed(file)
    return "\n".join(
        [
            "# What is compared, and how. `hnscc settings` tells of every setting that may stand here.",
            f"#   hnscc check {typed}    what this file would do",
            f"#   hnscc run {typed}      trains what is missing, then writes tables and report to runs/{name}",
            f"name: {name}",
            f"store: {_plain(location)}    # from the working directory",
            "protocol: corrected    # the preset of all that is not said here",
            "seed: 2023",
            "repeats: 5    # independent trainings of each variant; more can be added later, trained ones stay",
            *_sampling(cohort),
            *_split(cohort),
            f"training: {{network: {_network(cohort.size)}, epochs: 40, patience: 40}}",
            "# Each variant is a difference from the above. Names are yours; delete what you do not compare.",
            "variants:",
            *(f"  {line}" for line in _variants(cohort.modalities)),
            "",
        ]
    )


def _sampling(cohort: CohortFacts) -> list[str]:
    """Return the lines on where slices without lesion come from: there must be enough of them."""
    if cohort.lesion_free_slices is None or cohort.lesion_slices is None:
        return ["sampling: {negatives: any_scan}    # slices without lesion: from any scan"]
    if cohort.lesion_free_slices >= cohort.lesion_slices:
        return ["sampling: {negatives: lesion_free_scans}    # slices without lesion: from scans without any"]
    return [
        "sampling: {negatives: any_scan}    # scans without lesion hold "
        f"{count_of(cohort.lesion_free_slices, 'slice')}, too few for {cohort.lesion_slices} with"
    ]


def _split(cohort: CohortFacts) -> list[str]:
    if cohort.splits:
        return ["# Who is trained on and who is tested: as the manifest's column split says."]
    hold_out, enough = "{test: 0.3, validation: 0.3}", fewest.LESION_PATIENTS_FOR_FOLDS
    patients = count_of(cohort.with_lesion + cohort.unknown, "patient")
    so_far = f"{cohort.with_lesion} of {patients} {noun_of(cohort.with_lesion, 'has', 'have')} a mask so far"
    if cohort.with_lesion + cohort.unknown >= enough:
        unsure = [f"# {so_far}; if fewer than {enough} turn out to have a lesion: split: {hold_out}"]
        return [
            *(unsure if cohort.with_lesion < enough else []),
            "split: {folds: 5, validation: 0.2}    # every patient is tested once: five trainings of each repeat",
        ]
    few = so_far if cohort.unknown else f"{cohort.with_lesion} have a lesion"
    return [f"split: {hold_out}    # shares of the patients; {few}, few for a firm answer"]


def _network(size: int) -> str:
    return (
        "{architecture: unet, encoder: resnet18}" if size % STEP == 0 else "{architecture: paper, width: 16}"
    )


def _variants(modalities: Sequence[str]) -> list[str]:
    """Return the variants: each modality alone, all together, and these augmented."""
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
    """Return the text as YAML reads it: in quotes where it needs them."""
    return write_yaml({"value": text}).removeprefix("value: ").strip()


def _name(stem: str) -> str:
    """Return a study's name, made from the name of a file."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", stem).lstrip("_.")[:NAME_LENGTH] or "study"
