"""Says what the path of a file tells, word by word: whose the file is, of which visit, and what it shows.

Words of a known list say what a file shows (`pet`, `T1w`, `mask`). Of other words, one with a digit, or a name, says
whose it is, and one that looks like a visit or a date says of which visit. So a hospital may have a folder for each
patient, one for each modality, or all files in one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from data_prep.files.whose import begins_an_id, whose, with_id
from data_prep.files.words import (
    columns_of_words,
    organ_of,
    says_lesion,
    says_mask,
    says_masks,
    says_nothing,
    words_of,
)

MASK, IMAGE = "mask", "image"  # columns: of a mask, and of an image whose modality no name says
_CHANNEL = re.compile(r"(.+)_(\d{4})")  # of nnU-Net: the last word of an image's name


@dataclass(frozen=True)
class Named:
    """What a path says. All words are in small letters.

    patient: the words that say whose the file is. scan: those of the visit. Both may be empty. modalities: the columns
    that its words stand for, with MRI by its sequence where that is said; for a mask, the column of the image that it
    was drawn on. mask: whether the file's own name says that it is a mask. in_masks: whether a folder's name does.
    channel: that of an image of nnU-Net. no_lesion: it is a mask of something else, such as the brain. organ: what its
    names say that is no lesion. organ_in_id: the same as part of an id (lung_001), where it may also be the site of
    the lesion.
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


def read_name(folders: Sequence[str], stem: str, shared: int = 0) -> Named:
    """Read the folders of a file, outermost first, and its name without the ending.

    The first `shared` folders hold all files that are asked about, and so do not say whose this one is.
    """
    of_images = any(each.casefold() in ("imagestr", "imagests", "images") for each in folders[-1:])
    channel = _CHANNEL.fullmatch(stem) if of_images else None
    parts = [words_of(each) for each in (*folders, channel[1] if channel else stem)]
    patient, scan = whose(parts[shared:])
    own = parts[-1]
    is_mask = any(says_mask(word) or (organ_of(word) and "mask" in word) for word in own)
    in_masks = any(_holds_masks(words) for words in parts[:-1])
    organ, organ_in_id = _organs(parts)
    said = next((found for words in reversed(parts) if (found := columns_of_words(words))), ())
    return Named(
        patient=patient,
        scan=scan,
        modalities=said,
        mask=is_mask,
        in_masks=in_masks,
        no_lesion=bool(organ) and (is_mask or in_masks),
        channel=channel[2] if channel else "",
        organ=organ,
        organ_in_id=organ_in_id,
    )


def of_patient(says: Named, letters: Sequence[str]) -> Named:
    """Return what a path says, with the patient found among words that look like visits (`M01` in `baseline/M01`)."""
    patient, scan = with_id(says.patient, says.scan, letters)
    return replace(says, patient=patient, scan=scan)


def _holds_masks(words: Iterable[str]) -> bool:
    return any(says_masks(word) for word in words)


def _organs(parts: Sequence[tuple[str, ...]]) -> tuple[str, str]:
    """Return what the names of a mask say that is no lesion, outside of an id and within; "" where its own name
    says lesion.

    Its own name counts, that of a folder of masks, and that of its folder if the file is only called mask.
    """
    *folders, own = parts
    if any(map(says_lesion, own)):
        return "", ""
    is_mask = all(says_mask(word) or says_nothing(word) for word in own)
    told = [own, *(words for words in folders if _holds_masks(words)), *(folders[-1:] if is_mask else [])]
    behind = within = ""
    for words in (words for words in told if not any(map(says_lesion, words))):
        for at, word in enumerate(words):
            organ = organ_of(word)
            if organ and not (word == "head" and "neck" in words):
                if begins_an_id(words, at):
                    within = within or organ
                else:
                    behind = behind or organ
    return behind, within


def modality_of_channel(name: str, number: int) -> str:
    """Return the column of a channel of nnU-Net: by its name where that is a modality's, else by its
    number (channel_0)."""
    found = columns_of_words(words_of(name))
    return found[0] if len(found) == 1 else f"channel_{number}"
