"""What the path of a file says, word by word: whose it is, of which visit, and what it shows.

Words of a known list say what a file shows (`pet`, `T1w`, `mask`); of the others, one with a digit, or a name, says
whose it is, and what looks like a visit or a date says of which visit. So it does not matter whether a hospital has a
folder for each patient, one for each modality, or all files in one.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MASK, IMAGE = "mask", "image"  # columns: of a mask, and of images where no name says which modality they are
_MODALITIES = {
    "pet": r"pet|pt|suv(bw|lbm)?|fdg",
    "ct": r"ct|ctac|ldct|cect|ctres",
    "mri": r"mri?|t[12](w|c|ce|gd|n|f|wi|tse|se)?|flair|dwi|adc|mprage|dixon|stir|pdw?",
}
_SEQUENCES = {  # of MRI, each in its spellings
    "mri": r"mri?",  # says no more than that
    "t1": r"t1(w|n|wi|tse|se)?|mprage",
    "t1c": r"t1(c|ce|gd)",
    "t2": r"t2(w|wi|tse|se|c|ce|gd|n)?",
    "flair": r"t2f|t1f|flair",
    **{name: name for name in ("dwi", "adc", "dixon", "stir")},
    "pd": r"pdw?",
}
_MASKS = (
    r"(pet|pt|ct|mri?|t[12]|lesion|tumou?r|gtv)?(masks?|segs?|segmentations?)|[dm]seg|labels?|labelmaps?|gtv\w*|rois?"
    r"|lesions?|tumou?rs?|contours?|annotations?|gt|groundtruth"
)
_MASK_FOLDERS = r"masks?|segs?|segmentations?|labels?|annotations?|contours?|gt|groundtruth"
_NO_LESION = (  # what else a mask may show
    r"(brain|body|head|skull|liver|lungs?|heart|organs?|oars?|parotids?|submandibulars?|mandibles?|(spinal)?cord"
    r"|brainstem|larynx|pharynx|eyes?|lens(es)?|chiasm|cochleas?|thyroid|oesophagus|esophagus|spleen|kidneys?|bladder"
    r"|prostate|stomach|pancreas)(masks?)?"
)
_LESION = r".*(lesion|tumou?r).*|gtv.*"
_NEUTRAL = (
    r"images?|imgs?|volumes?|vols?|nii|nifti|data|raw|rawdata|sourcedata|derivatives|orig|original|anat|tr|ts|bids"
    r"|resampled|resliced|res|reg|registered|coreg|coregistered|norm|normali[sz]ed|preprocessed|n4|iso|final|dicom|dcm"
)
_GROUPS = (
    r"(site|center|centre|hospital|cohort|group|batch|arm|dataset|train|test|val|validation)([a-z]|\d+)?"
)
_VISITS = (
    r"(ses|session|visit|v|tp|timepoint|time|fu|followup|baseline|bl|pre|post|day|week|month|year|d|w|m|y|scan|exam"
    r"|study|staging|restaging|interim)\d*|(19|20)\d\d(0[1-9]|1[0-2])[0-3]\d|(19|20)\d\d"
)
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_.](\d\d)[-_.](\d\d)(?!\d)")
_DETAILS = (
    "acq",
    "ce",
    "den",
    "desc",
    "dir",
    "echo",
    "hemi",
    "label",
    "part",
    "rec",
    "res",
    "run",
    "space",
    "task",
)
_ENTITY = re.compile(rf"(sub|ses|trc|{'|'.join(_DETAILS)})-([A-Za-z0-9]+)", re.IGNORECASE)  # of BIDS
_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z]{2})(?=[a-z]{2})")
_CHANNEL = re.compile(r"(.+)_(\d{4})")  # of nnU-Net: the last word of an image's name


@dataclass(frozen=True)
class Named:
    """What a path says. All words are in small letters.

    patient: the words that say whose the file is; scan: those of the visit; both may be empty. modalities: the columns
    that its words stand for, MRI by the sequence where that is said; of a mask, that of the image that it was drawn on.
    mask: whether the file's own name says that it is a mask, in_masks whether a folder's name does. channel: of an
    image of nnU-Net. no_lesion: a mask of something else, such as the brain. organ: what its names say that is no
    lesion; organ_in_id: the same as part of an id (lung_001), where it may as well be the place of the lesion.
    """

    patient: tuple[str, ...]
    scan: tuple[str, ...]
    modalities: tuple[str, ...]
    mask: bool
    in_masks: bool
    no_lesion: bool
    channel: str = ""
    organ: str = ""
    organ_in_id: str = ""


def named(folders: Sequence[str], stem: str, shared: int = 0) -> Named:
    """Read the folders of a file, outermost first, and its name without the ending. The first `shared` folders hold
    all files that are asked about, and so do not say whose this one is."""
    channel = _CHANNEL.fullmatch(stem) if any(_folder_of_images(each) for each in folders[-1:]) else None
    parts = [words_of(each) for each in (*folders, channel[1] if channel else stem)]
    patient, scan = _whose(parts[shared:])
    own = parts[-1]
    says_mask = any(_is(_MASKS, word) or (_is(_NO_LESION, word) and "mask" in word) for word in own)
    in_masks = any(_holds_masks(words) for words in parts[:-1])
    organ, organ_in_id = _organs(parts)
    said = next((found for words in reversed(parts) if (found := _modalities(words))), ())
    return Named(
        patient,
        scan,
        said,
        says_mask,
        in_masks,
        bool(organ) and (says_mask or in_masks),
        channel[2] if channel else "",
        organ,
        organ_in_id,
    )


def _holds_masks(words: Iterable[str]) -> bool:
    return any(_is(_MASK_FOLDERS, word) for word in words)


def _organs(parts: Sequence[tuple[str, ...]]) -> tuple[str, str]:
    """What the names of a mask say that is no lesion, behind an id and in it; none where its own says lesion.

    Its own name counts, that of a folder of masks, and, of a file that is called mask and no more, that of its folder.
    """
    *folders, own = parts
    if any(_is(_LESION, word) for word in own):
        return "", ""
    is_mask = all(_is(_MASKS, word) or _is(_NEUTRAL, word) for word in own)
    told = [own, *(words for words in folders if _holds_masks(words)), *(folders[-1:] if is_mask else [])]
    behind = within = ""
    for words in (words for words in told if not any(_is(_LESION, word) for word in words)):
        for at, word in enumerate(words):
            if _is(_NO_LESION, word) and not (word == "head" and "neck" in words):
                plain = re.sub(r"masks?$", "", word)
                if _begins_an_id(words, at):
                    within = within or plain
                else:
                    behind = behind or plain
    return behind, within


def _begins_an_id(words: Sequence[str], at: int) -> bool:
    """Whether a bare number stands behind a word with none that says what is shown between them: lung_001."""
    behind = words[at + 1 :]
    number = next((nth for nth, word in enumerate(behind) if word.isdecimal() and not is_visit(word)), None)
    return number is not None and not any(_is_known(word) for word in behind[:number])


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a name in small letters, apart where a sign stands or capitals begin or end.

    A date is one word, and so is what BIDS says of subject and visit (`sub-01`); details that it adds (`desc-lesion`)
    are words only where they are known ones.
    """
    words: list[str] = []
    text = unicodedata.normalize("NFC", text)  # macOS writes an umlaut as two signs
    for chunk in re.split(r"[^\w-]|_", _DATE.sub(r"\1\2\3", text)):
        entity = _ENTITY.fullmatch(chunk)
        if entity is None:
            words += [word for part in chunk.split("-") for word in _by_capitals(part)]
        elif entity[1].lower() in ("sub", "ses"):
            words.append(chunk)
        elif _is_known(entity[2]):
            words.append(entity[2])
    return tuple(word.casefold() for word in words)


def _by_capitals(text: str) -> list[str]:
    """The words of `imagesTr` and `petMask`; `BraTS` is one: its last letters say nothing, and its first are a name."""
    words = [word for word in _CAPITALS.split(text) if word]
    cut = any(_is(_NEUTRAL, word) for word in words) and not all(_is_known(word) for word in words)
    return [text] if cut and text else words


def _folder_of_images(folder: str) -> bool:
    return folder.casefold() in ("imagestr", "imagests", "images")


def _is(pattern: str, word: str) -> bool:
    return re.fullmatch(pattern, word.casefold()) is not None


def _is_known(word: str) -> bool:
    """Whether a word says what a file shows, or nothing."""
    return any(_is(pattern, word) for pattern in (*_MODALITIES.values(), _MASKS, _NO_LESION, _NEUTRAL))


def is_visit(word: str) -> bool:
    """Whether a word looks like that of a visit: `ses-1`, `baseline`, `v2`, a date."""
    return word.startswith("ses-") or _is(_VISITS, word)


def _modalities(words: Iterable[str]) -> tuple[str, ...]:
    """The columns that words stand for, each once: pet, ct, and of MRI the sequences, or mri where none is said."""
    found: dict[str, list[str]] = {}
    for word in words:
        for name, pattern in _MODALITIES.items():
            if _is(rf"({pattern})(masks?|segs?)?", word):
                found.setdefault(name, []).append(re.sub(r"(masks?|segs?)$", "", word))
    return (*(name for name in found if name != "mri"), *_sequence(found.get("mri", [])))


def _sequence(words: Iterable[str]) -> list[str]:
    """The one column of the words of an MRI: its sequence in one spelling, mri where none is said; none of no words."""
    of_words = [name for word in words for name, pattern in _SEQUENCES.items() if _is(pattern, word)]
    special = dict.fromkeys(name for name in of_words if name != "mri")
    if "flair" in special:
        special.pop("t2", None)
    return ["_".join(special) or "mri"] if of_words else []


def modality_of_channel(name: str, number: int) -> str:
    """The column of a channel of nnU-Net, by its name where that is a modality's, else by its number: channel_0."""
    found = _modalities(words_of(name))
    return found[0] if len(found) == 1 else f"channel_{number}"


def _whose(parts: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of the patient and those of the visit, from the words of each folder and of the name."""
    subject = next((word for words in parts for word in words if word.startswith("sub-")), None)
    if subject is not None:
        sessions = dict.fromkeys(word for words in parts for word in words if word.startswith("ses-"))
        return (subject,), tuple(sessions)
    patient: list[str] = []
    scan: list[str] = []
    settled = False  # whether the patient is known, so that what stands below says of which visit a file is
    shown = False  # whether a folder said what the files show: names below it are those of a program, but for visits
    for at, words in enumerate(parts):
        own = [word for word in _of_someone(words, bool(patient)) if word not in (*patient, *scan)]
        visits = [word for nth, word in enumerate(own) if is_visit(word) or _is_letter(own, nth)]
        rest = _to_last_number([word for word in own if word not in visits])
        is_file = at == len(parts) - 1
        if is_file and patient and not any(_has_digit(word) for word in rest):
            rest = []  # a remark: P01/atlas
        if settled:
            scan += [*([] if shown or is_file else rest), *visits]
        else:
            patient, scan = [*patient, *rest], [*scan, *visits]
            settled = any(not _is(_GROUPS, word) and _has_digit(word) for word in rest)
        shown = shown or any(_is_known(word) and not _is(_NEUTRAL, word) for word in words)
    if not patient:  # ids that look like visits: M01, V02
        return tuple(scan[:1]), tuple(scan[1:])
    return tuple(patient), tuple(scan)


def _of_someone(words: Sequence[str], known: bool) -> list[str]:
    """The words of a name that may say whose it is: none that says what it shows. Behind such a word only a visit is
    looked for, where a patient is known by then, and the number of a patient who has none yet (`HN_PET_001`)."""
    shows = [
        at
        for at, word in enumerate(words)
        if _is_known(word) and not (_is(_NO_LESION, word) and _begins_an_id(words, at))
    ]
    first = shows[0] if shows else len(words)
    before = [word for word in words[:first] if not is_visit(word)]
    numbered = known or any(_has_digit(word) for word in before)
    return [
        word
        for at, word in enumerate(words)
        if at not in shows
        and (
            at < first
            or not (known or before)
            or is_visit(word)
            or (word.isdecimal() and at > first and not numbered)
        )
    ]


def _is_letter(words: Sequence[str], at: int) -> bool:
    """Whether a word is a single letter behind a number: `p001_a` and `p001_b` are two visits."""
    return len(words[at]) == 1 and words[at].isalpha() and any(_has_digit(word) for word in words[:at])


def _to_last_number(words: list[str]) -> list[str]:
    """What stands behind the last number of an id is a remark (`P01_brain`); without a number all of it is the id."""
    numbered = [at for at, word in enumerate(words) if _has_digit(word)]
    return words[: numbered[-1] + 1] if numbered else words


def _has_digit(word: str) -> bool:
    return any(letter.isdigit() for letter in word)
