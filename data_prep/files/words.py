"""Splits names of files and folders into words, and knows those that say what a file shows."""

import re
import unicodedata
from collections.abc import Iterable

Words = tuple[str, ...]

_MODALITIES = {
    "pet": r"pet|pt|tep|suv(bw|lbm)?|fdg",
    "ct": r"ct|ctac|ldct|cect|ctres",
    "mri": r"mri?|mrt|irm|t[12](w|c|ce|gd|n|f|wi|tse|se)?|flair|dwi|adc|mprage|dixon|stir|pdw?",
}
_SEQUENCES = {  # of MRI, each with its spellings
    "mri": r"mri?|mrt|irm",  # says no more than that
    "t1": r"t1(w|n|wi|tse|se)?|mprage",
    "t1c": r"t1(c|ce|gd)",
    "t2": r"t2(w|wi|tse|se|c|ce|gd|n)?",
    "flair": r"t2f|t1f|flair",
    **{name: name for name in ("dwi", "adc", "dixon", "stir")},
    "pd": r"pdw?",
}
_MASKS = (
    r"(pet|pt|ct|mri?|t[12]|lesion|tumou?r|gtv)?(masks?|segs?|segmentations?)|[dm]seg|labels?|labelmaps?|gtv\w*|rois?"
    r"|maske|masque|l(ae|ä)sion|lesions?|tumou?rs?|contours?|annotations?|gt|groundtruth"
)
_OF_MASKS = r"masks?|segs?|segmentations?|labels?|annotations?|contours?|gt|groundtruth"
_NO_LESION = (  # what else a mask may show
    r"(brain|body|head|skull|liver|lungs?|heart|organs?|oars?|parotids?|submandibulars?|mandibles?|(spinal)?cord"
    r"|brainstem|larynx|pharynx|eyes?|lens(es)?|chiasm|cochleas?|thyroid|oesophagus|esophagus|spleen|kidneys?|bladder"
    r"|prostate|stomach|pancreas)(masks?)?"
)
_PART = (
    r"left|right|li|re|lt|rt|l|r|both|bilateral|spinal|stem|glands?|\d+"  # of an organ, or which of several
)
_LESION = r".*(lesion|l(ae|ä)sion|tumou?r).*|gtv.*"
_NEUTRAL = (
    r"images?|imgs?|volumes?|vols?|nii|nifti|data|raw|rawdata|sourcedata|derivatives|orig|original|anat|tr|ts|bids"
    r"|resampled|resliced|res|reg|registered|coreg|coregistered|norm|normali[sz]ed|preprocessed|n4|iso|final|dicom|dcm"
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


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a name in small letters, separated where a sign stands or capitals begin or end.

    A date is one word, and so is what BIDS says of subject and visit (`sub-01`). Details that BIDS adds (`desc-lesion`)
    become words only if they are known.
    """
    words: list[str] = []
    text = unicodedata.normalize("NFC", text)  # macOS writes an umlaut as two characters
    for chunk in re.split(r"[^\w-]|_", _DATE.sub(r"\1\2\3", text)):
        entity = _ENTITY.fullmatch(chunk)
        if entity is None:
            words += [word for part in chunk.split("-") for word in _by_capitals(part)]
        elif entity[1].lower() in ("sub", "ses"):
            words.append(chunk)
        elif is_known(entity[2]):
            words.append(entity[2])
    return tuple(word.casefold() for word in words)


def _by_capitals(text: str) -> list[str]:
    """Return the words of `imagesTr` and `petMask`; `BraTS` is one word, since its last letters say nothing and its
    first are a name."""
    words = [word for word in _CAPITALS.split(text) if word]
    cut = any(spells(_NEUTRAL, word) for word in words) and not all(is_known(word) for word in words)
    return [text] if cut and text else words


def is_known(word: str) -> bool:
    """Return whether a word says what a file shows, or is known to say nothing."""
    return any(spells(pattern, word) for pattern in (*_MODALITIES.values(), _MASKS, _NO_LESION, _NEUTRAL))


def says_nothing(word: str) -> bool:
    """Return whether a word says neither what a file shows nor whose it is: `images`, `resampled`."""
    return spells(_NEUTRAL, word)


def says_mask(word: str) -> bool:
    """Return whether a word of a file's name says that it is a mask."""
    return spells(_MASKS, word)


def says_masks(word: str) -> bool:
    """Return whether a word of a folder's name says that it holds masks."""
    return spells(_OF_MASKS, word)


def has_digit(word: str) -> bool:
    return any(letter.isdigit() for letter in word)


def says_lesion(word: str) -> bool:
    return spells(_LESION, word)


def organ_of(word: str) -> str:
    """Return the organ that a word names, `brain` for `brain` and `brainmask`; "" where it names none."""
    return re.sub(r"masks?$", "", word.casefold()) if spells(_NO_LESION, word) else ""


def organ_alone(name: str) -> str:
    """Return the organ that a name consists of, `parotid` for `Parotid_L`; "" where it says more, as
    `SCC_Larynx` does."""
    words = words_of(name)
    organs = [organ_of(word) for word in words]
    alone = all(organ or spells(_PART, word) for organ, word in zip(organs, words, strict=True))
    return next(filter(None, organs), "") if alone else ""


def spells(pattern: str, word: str) -> bool:
    """Return whether a pattern fits the whole word, in any capitals."""
    return re.fullmatch(pattern, word.casefold()) is not None


def columns_of_words(words: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that words stand for, each once: pet, ct, and for MRI its sequences, or mri where none
    is said."""
    found: dict[str, list[str]] = {}
    for word in words:
        for name, pattern in _MODALITIES.items():
            if spells(rf"({pattern})(masks?|segs?)?", word):
                found.setdefault(name, []).append(re.sub(r"(masks?|segs?)$", "", word))
    return (*(name for name in found if name != "mri"), *_sequence(found.get("mri", [])))


def _sequence(words: Iterable[str]) -> list[str]:
    """Return the one column for the words of an MRI: its sequence in one spelling, or mri if none is said; none
    without words."""
    of_words = [name for word in words for name, pattern in _SEQUENCES.items() if spells(pattern, word)]
    special = dict.fromkeys(name for name in of_words if name != "mri")
    if "flair" in special:
        special.pop("t2", None)
    return ["_".join(special) or "mri"] if of_words else []
