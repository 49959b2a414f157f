"""Says whose a file is, and of which visit, by the words of its folders and of its name."""

from collections.abc import Iterable, Sequence

from data_prep.files.words import Words, has_digit, is_known, organ_of, says_nothing, spells

_PLACES = r"(site|center|centre|hospital|cohort|group|batch|arm)"
_GROUPS = rf"({_PLACES}|dataset|train|test|val|validation)([a-z]|\d+)?"
_NEVER_IDS = (  # words of visits that are never a patient's, whatever number follows
    r"(ses|session|visit|timepoint|time|followup|baseline|pre|post|day|week|month|year|staging|restaging|interim)\d*"
)
_SHORT = r"v|tp|fu|bl|d|w|m|y|scan|exam|study"  # M01 may be a patient as well as a month
_DATES = r"(19|20)\d\d(0[1-9]|1[0-2])[0-3]\d"
_RATHER_VISITS = r"v|tp|fu|bl|"  # letters of a word; "" for a year or a date
_VISITS = rf"{_NEVER_IDS}|({_SHORT})\d*|{_DATES}|(19|20)\d\d"


def whose(parts: Sequence[Words]) -> tuple[Words, Words]:
    """Return the words of the patient and those of the visit, from the words of each folder and of the name.

    If only words that look like visits may be a patient's (`baseline/M01`), all of them are among those of the visit,
    and `with_id` finds the patient's.
    """
    subject = next((word for words in parts for word in words if word.startswith("sub-")), None)
    if subject is not None:
        sessions = dict.fromkeys(word for words in parts for word in words if word.startswith("ses-"))
        return (subject,), tuple(sessions)
    patient: list[str] = []
    scan: list[str] = []
    settled = False  # whether the patient is known, so that names below tell the visit
    # Whether a folder said what the files show: names below are then a program's, except for visits.
    shown = False
    for at, words in enumerate(parts):
        own = [word for word in _of_someone(words, not is_nobody(patient)) if word not in (*patient, *scan)]
        visits = [word for nth, word in enumerate(own) if is_visit(word) or _is_letter(own, nth)]
        rest = _to_last_number([word for word in own if word not in visits])
        is_file = at == len(parts) - 1
        if is_file and not is_nobody(patient) and not any(has_digit(word) for word in rest):
            rest = []  # a remark: P01/atlas
        if settled:
            scan += [*([] if shown or is_file else rest), *visits]
        else:
            patient, scan = [*patient, *rest], [*scan, *visits]
            settled = any(has_digit(word) for word in _of_a_person(patient))
        shown = shown or any(is_known(word) and not says_nothing(word) for word in words)
    return tuple(patient), tuple(scan)


def letters_of_ids(found: Iterable[tuple[Words, Words]]) -> tuple[str, ...]:
    """Return the letters with which ids begin that look like visits, the likeliest first.

    found: the words of patient and visit of every file that is asked about. It is `m` for `V1/M01, V2/M01, V1/M02`.
    Letters that stand for visits elsewhere, in files whose patient is known or by custom (v1, a year), come last. Of
    the others, those with most values come first, and among equals the one that occurs first.
    """
    values: dict[str, set[str]] = {}
    visits: set[str] = set()
    for patient, visit in found:
        for word in filter(may_be_id, visit):
            if is_nobody(patient):
                values.setdefault(_letters(word), set()).add(word)
            else:
                visits.add(_letters(word))
    return tuple(
        sorted(values, key=lambda each: (each in visits, spells(_RATHER_VISITS, each), -len(values[each])))
    )


def with_id(patient: Words, visit: Words, letters: Sequence[str]) -> tuple[Words, Words]:
    """Return the words of patient and visit, with the patient's taken from those of the visit if there are none.

    letters: `letters_of_ids` of all files that are asked about. A file has no patient where no word may be an id; a
    year or a date is no id beside a word that surely is a visit's (`baseline_2019`).
    """
    ids = [word for first in letters for word in visit if may_be_id(word) and _letters(word) == first]
    if not (is_nobody(patient) and ids) or (ids[0].isdecimal() and not all(map(may_be_id, visit))):
        return patient, visit
    rest = list(visit)
    rest.remove(ids[0])
    return (*patient, ids[0]), tuple(rest)


def is_nobody(patient: Sequence[str]) -> bool:
    """Return whether words name at most a group, `centerA` or `site_1`, but nobody in it."""
    return not _of_a_person(patient)


def names_person(words: Sequence[str]) -> bool:
    """Return whether a name may be one patient's: it has a number that is not of a group, a visit or a date."""
    return any(has_digit(word) and not is_visit(word) for word in _of_a_person(words))


def _of_a_person(words: Sequence[str]) -> list[str]:
    """Return the words without those of a group, and without the letter or short number after the word for a place."""
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not spells(_GROUPS, word) and not (spells(_PLACES, before) and spells(r"[a-z]|\d{1,2}", word))
    ]


def is_visit(word: str) -> bool:
    """Return whether a word looks like a visit's: `ses-1`, `baseline`, `v2`, a date."""
    return word.startswith("ses-") or spells(_VISITS, word)


def may_be_id(word: str) -> bool:
    """Return whether a word that looks like a visit's may also be a patient's id: `M01`, `scan07`, a date."""
    return is_visit(word) and not word.startswith("ses-") and has_digit(word) and not spells(_NEVER_IDS, word)


def begins_an_id(words: Sequence[str], at: int) -> bool:
    """Return whether a bare number follows a word, with no word between that says what is shown: lung_001."""
    behind = words[at + 1 :]
    number = next((nth for nth, word in enumerate(behind) if word.isdecimal() and not is_visit(word)), None)
    return number is not None and not any(is_known(word) for word in behind[:number])


def _of_someone(words: Sequence[str], known: bool) -> list[str]:
    """Return the words of a name that may say whose it is, without those that say what it shows.

    After such a word, only a visit is searched for if a patient is known by then, else also a patient's
    number (`HN_PET_001`).
    """
    shows = [
        at
        for at, word in enumerate(words)
        if is_known(word) and not (organ_of(word) and begins_an_id(words, at))
    ]
    first = shows[0] if shows else len(words)
    before = [word for word in words[:first] if not is_visit(word)]
    numbered = known or any(has_digit(word) for word in before)

    def may_say(at: int, word: str) -> bool:
        if at < first or is_visit(word):
            return True
        if known or before:
            return word.isdecimal() and not numbered
        return len(word) > 1 or word.isdecimal()  # pet_a, pet_b: two files of one patient, not two patients

    return [word for at, word in enumerate(words) if at not in shows and may_say(at, word)]


def _is_letter(words: Sequence[str], at: int) -> bool:
    """Return whether a word is a single letter after a number: `p001_a` and `p001_b` are two visits."""
    return len(words[at]) == 1 and words[at].isalpha() and any(has_digit(word) for word in words[:at])


def _to_last_number(words: list[str]) -> list[str]:
    """Return the id up to its last number, since the rest is a remark (`P01_brain`); without a number all of it is
    the id."""
    numbered = [at for at, word in enumerate(words) if has_digit(word)]
    return words[: numbered[-1] + 1] if numbered else words


def _letters(word: str) -> str:
    return word.rstrip("0123456789")
