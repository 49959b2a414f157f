"""Lists what a folder of scans holds: series of DICOM and other volumes, with patients under pseudonyms."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_prep.dicom.series_in_folder import ListedSeries, Listing, give_pseudonyms, list_folders, outermost
from data_prep.files.names import MASK
from data_prep.files.volumes_in_folder import FolderFiles, FoundFile, find_files, no_folder
from data_prep.files.whose import is_visit, may_be_id
from data_prep.files.words import Words, has_digit, words_of
from data_prep.manifest.ids import alike, may_be_one
from data_prep.manifest.listed import ListedFile, ListedScan, list_volumes, scan_of_files
from data_prep.manifest.of_series import organs_of_regions, patients_by_words, scans_of
from data_prep.manifest.preferred import check_prefer
from data_prep.manifest.visits import in_groups, may_be_visits
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from hnscc.base.steps import Progress

A_FEW_VISITS = 4  # visits of one patient that are plausible


@dataclass(frozen=True)
class FolderListing:
    """What a folder holds: series of DICOM and other volumes, both by patient and scan.

    unreadable: the number of DICOM files that cannot be read. others: the number of files of volumes in formats that
    are not read here, by ending. pseudonyms: of each patient, by the DICOM PatientID or, for other files, by the words
    of the path that say whose they are. notes: sentences on what a user must look at, also in the manifest made of it.
    to_fill_in: the scans whose mask must be filled in there; without_region: those whose mask needs a named region;
    without_image: those that lack an image.
    """

    series: list[ListedSeries]
    files: list[ListedFile]
    unreadable: int
    others: dict[str, int]
    pseudonyms: dict[str, str] = field(repr=False)
    notes: tuple[str, ...] = ()
    to_fill_in: tuple[str, ...] = ()
    without_region: tuple[str, ...] = ()
    without_image: tuple[str, ...] = ()


def list_scans_below(
    folders: Sequence[Path],
    known: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    *,
    needed: bool = True,
) -> FolderListing:
    """Read the headers of all series and volumes in and below some folders, as if one folder held them all.

    known: the pseudonyms that earlier listings gave; other patients get new ones. A patient with files of both kinds is
    recognised by the same id in DICOM and in the paths, or by one folder. progress: called with the files done,
    their number, and an empty text. InputError is raised where nothing can be read, if something is `needed`.
    """
    dicom = list_folders(folders, known, progress)
    places = sorted({path.parent for each in dicom.series for path in each.paths})
    found = {
        folder: find_files(folder, [each for each in places if each.is_relative_to(folder)], progress)
        for folder in outermost(folders)
    }
    files = [file for each in found.values() for file in each.files]
    others = sum((Counter(each.others) for each in found.values()), Counter())
    if needed and not dicom.series and not files:
        raise _nothing(folders, dicom.unreadable, others)
    patients, pseudonyms = _patients(files, dicom, patients_by_words(dicom, found))
    listed = {*patients.values(), *(each.patient for each in dicom.series)}
    before = Counter({each.scan: each.patient for each in dicom.series}.values())
    volumes = _joined(list_volumes(files, patients, before), dicom)
    notes = _may_be_several(files, patients) + _may_be_visits(files, patients)
    for each in found.values():
        notes += _may_be_files_of_one(each, patients)
    notes += _channels_unread(sum(each.unread_channels for each in found.values()))
    notes += _may_be_one(pseudonyms, listed)
    return FolderListing(
        series=dicom.series,
        files=volumes,
        unreadable=dicom.unreadable,
        others=dict(others),
        pseudonyms=pseudonyms,
        notes=notes,
    )


def _channels_unread(lists: int) -> tuple[str, ...]:
    if not lists:
        return ()
    return (
        "dataset.json, which names the channels of nnU-Net's images, cannot be read: their columns are called by "
        "number; mend it, or rename the columns of the manifest",
    )


def _may_be_files_of_one(found: FolderFiles, patients: Mapping[Words, str]) -> tuple[str, ...]:
    """Return a note where patients may be several files of one patient, who alone has a folder: P01/a_pet
    and P01/b_pet."""
    if not found.may_be_of_one:
        return ()
    names = sorted({patients[each.named.patient] for each in found.files if each.named.patient})
    return (
        f"{', '.join(names)}: a letter or a number in the names of their files tells them apart, and a folder above "
        "all of these may be named by one patient; if they are one, write one patient_id into the rows of all",
    )


def _may_be_several(files: Sequence[FoundFile], patients: Mapping[Words, str]) -> tuple[str, ...]:
    """Return notes on patients without a number whose scans differ by words that may be ids: HN_1987, HN_2001;
    HN/M01 to HN/M20.

    A patient may have a few visits, so only more are reported; years are reported from two on.
    """
    scans: dict[str, set[Words]] = {}
    for each in files:
        words = each.named
        numbered = any(map(has_digit, words.patient))
        if words.scan and not numbered and all(map(may_be_id, words.scan)):
            scans.setdefault(patients[words.patient], set()).add(words.scan)
    told = []
    for patient, own in sorted(scans.items()):
        years = all(word.isdecimal() and len(word) == 4 for words in own for word in words)
        if len(own) > (1 if years else A_FEW_VISITS):
            by = "years" if years else "words that look like visits"
            told.append(
                f"{patient}: {count_of(len(own), 'scan')} of one patient, whom {by} in the paths tell apart; if "
                "these are numbers of patients, write a patient_id for each"
            )
    return tuple(told)


def _may_be_visits(files: Sequence[FoundFile], patients: Mapping[Words, str]) -> tuple[str, ...]:
    """Return a note on patients who differ only by a word that may be a visit (V01, V02; M01 of V1/M01). Ids beside
    words that are surely visits, and nothing else, are left out (baseline/M01)."""
    found = {
        patients[each.named.patient]
        for each in files
        if each.named.patient
        and all(map(is_visit, each.named.patient))
        and (not each.named.scan or any(map(may_be_id, each.named.scan)))
    }
    if len(found) < 2:
        return ()
    return (
        f"{', '.join(sorted(found)[:3])}{' and others' if len(found) > 3 else ''}: only words that may be visits tell "
        f"these {count_of(len(found), 'patient')} apart; if they are visits of the same ones, correct patient_id, or "
        "one patient may stand in training and test",
    )


def _may_be_one(pseudonyms: Mapping[str, str], listed: Collection[str]) -> tuple[str, ...]:
    """Return notes on ids that may be of one patient; the pseudonyms in a manifest would no longer show it.

    pseudonyms: by id, also of patients in earlier listings. listed: those of this listing, which alone are reported.
    """
    in_words = {patient: words_of(patient) for patient in sorted(pseudonyms)}
    by_first: dict[Words, list[str]] = {}
    for patient, words in in_words.items():
        if len(words) > 1 and not has_digit(words[-1]):
            by_first.setdefault(words[:-1], []).append(patient)
    last_differs = [(later, first) for first, *others in by_first.values() for later in others]
    by_text = {
        text: [group for group in groups if {pseudonyms[each] for each in group} & {*listed}]
        for text, groups in may_be_visits(in_words).items()
    }
    pairs = dict.fromkeys([*alike(in_words), *may_be_one(in_words), *last_differs])
    notes = [
        f"{', '.join(sorted((pseudonyms[one], pseudonyms[other])))}: their ids differ by little; if they are one "
        "patient, write one patient_id into the rows of both"
        for one, other in pairs
        if {pseudonyms[one], pseudonyms[other]} & {*listed}
        and not any({one, other} <= set(group) for groups in by_text.values() for group in groups)
    ]
    for text, groups in by_text.items():
        if groups:
            told = sorted(sorted(pseudonyms[each] for each in group) for group in groups)
            notes.append(f"{in_groups(told)}: their ids {text}")
    return tuple(notes)


def _nothing(folders: Sequence[Path], unreadable: int, others: Mapping[str, int]) -> InputError:
    known = ", ".join(f"{count} of {ending}" for ending, count in sorted(others.items()))
    unread = (
        count_of(unreadable, "file that cannot be read", "files that cannot be read") if unreadable else ""
    )
    nowhere = next((told for folder in folders if (told := no_folder(folder))), "")
    return InputError(
        "There is no such folder."
        if nowhere
        else "The folder holds no DICOM file and no other volume that can be read.",
        where="the folder",
        expected="DICOM, NIfTI, Analyze, NRRD, MetaImage or MGZ files in it or in the folders below it",
        found=nowhere or "; ".join(each for each in (unread, known) if each) or "none",
        do="Name the folder that the scans, or the export of a scanner or an archive, are in.",
    )


def _patients(
    files: Sequence[FoundFile], dicom: Listing, by_folder: Mapping[Words, str]
) -> tuple[dict[Words, str], dict[str, str]]:
    """Return the pseudonym of each patient that paths name, and all pseudonyms by id."""
    of_files = {each.named.patient for each in files} - {()}
    by_id = {words_of(patient): pseudonym for patient, pseudonym in dicom.pseudonyms.items()}
    linked = {**by_folder, **by_id}
    new = ["_".join(words) for words in of_files if words not in linked]
    pseudonyms = give_pseudonyms(new, dicom.pseudonyms)
    return {words: linked.get(words) or pseudonyms["_".join(words)] for words in of_files}, pseudonyms


def _joined(files: list[ListedFile], dicom: Listing) -> list[ListedFile]:
    """Return the files; where a patient has one scan of files and one of series, the files are put into that of the
    series, if no column is then filled twice."""
    series = {each.scan: each for each in scans_of(dicom.series)}
    scans: dict[str, set[str]] = {}
    for patient, scan in [(each.patient, each.scan) for each in dicom.series] + [
        (each.patient, each.scan) for each in files
    ]:
        scans.setdefault(patient, set()).add(scan)
    columns: dict[str, set[str]] = {}
    for file in files:
        columns.setdefault(file.scan, set()).add(file.column)
    same: dict[str, str] = {}
    for patient, own in scans.items():
        of_series, of_files = sorted(own & series.keys()), sorted(own & columns.keys())
        if patient and len(own) == 2 and len(of_series) == len(of_files) == 1:
            there = series[of_series[0]]
            if not columns[of_files[0]] & {*there.images, *([MASK] if there.mask else [])}:
                same[of_files[0]] = there.scan
    return [replace(each, scan=same.get(each.scan, each.scan)) for each in files]


def scans_in(listing: FolderListing, prefer: Sequence[str] = ()) -> list[ListedScan]:
    """Return the scans that hold an image or a mask, by patient.

    prefer: patterns of file names and of names of DICOM regions. A scan whose only masks show something else than a
    lesion has an unclear mask. InputError is raised where there are patterns and no name fits any of them.
    """
    regions = [name for each in listing.series for name in each.regions]
    check_prefer([*(each.path.name for each in listing.files if each.column), *regions], prefer)
    scans = {each.scan: each for each in scans_of(listing.series, prefer)}
    own: dict[str, list[ListedFile]] = {}
    for file in listing.files:
        if file.column and file.scan:
            own.setdefault(file.scan, []).append(file)
    for scan, files in own.items():
        made = scan_of_files(files, prefer)
        scans[scan] = _merged(scans[scan], made) if scan in scans else made
    told = [_without_organs(each, listing) for each in scans.values()]
    return sorted(told, key=lambda each: (each.patient, len(each.scan), each.scan))


def _without_organs(scan: ListedScan, listing: FolderListing) -> ListedScan:
    """Return the scan with a note on the masks of organs that were left out, where it has no other mask."""
    series = [each for each in listing.series if each.scan == scan.scan and each.is_mask]
    files = [each for each in listing.files if each.scan == scan.scan and not each.column]
    named = {organ for each in series for organ in organs_of_regions(each)}
    organs = sorted(named | {each.organ for each in files if each.organ})
    if scan.mask or MASK in scan.unclear or not organs:
        return scan
    named_so = " and ".join([", ".join(organs[:3]), *(["others"] if len(organs) > 3 else [])])
    why = f"a mask was left out, since its name says {named_so}, which is no lesion"
    return replace(scan, unclear={**scan.unclear, MASK: why})


def _merged(one: ListedScan, other: ListedScan) -> ListedScan:
    """Return one scan of its series and its other files, which share no column."""
    return replace(
        one,
        images=one.images | other.images,
        mask=one.mask or other.mask,
        chosen=one.chosen | other.chosen,
        unclear=one.unclear | other.unclear,
        several=one.several + other.several,
    )
