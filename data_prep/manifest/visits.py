"""Finds ids that may be one patient's at several visits: the same stem, each with the word, number or date of
a visit."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from data_prep.files.whose import is_nobody, is_visit, may_be_id
from data_prep.files.words import Words, has_digit, words_of
from hnscc.base.in_words import count_of

# For stems that may be a site's as well as a patient's (S1-M01, P01-1): if one has more ids than this, and than there
# are stems, these are numbers of patients. A study of few patients with many visits each could not be divided.
A_FEW_VISITS = 4
# No patient has more visits than this, however many stems there are.
MOST_VISITS = 9

_TIMEPOINT = r"t\d{1,2}"  # in a file name it is a sequence of MRI, in a patient's id a time
# A year, or a date of six digits: it may be a number.
_YEAR = r"(19|20)\d\d|\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])"
_ENDS_IN_YEAR = re.compile(r"(.* )?(19|20)\d\d").fullmatch  # a stem
MOST_GROUPS = 8  # groups of ids in one sentence, at most
# What is said of groups of ids: patients P05_t1, P05_t2 ...
_BY_A_VISIT = (
    "differ by what may be a visit alone; if they are visits of one patient, write one patient_id into "
    "their rows"
)
_BY_A_NUMBER = (
    "have one stem, with a number or a letter behind it; are they visits of one patient, or patients of a site? If "
    "visits, write one patient_id into their rows"
)


def may_be_visits(ids: Iterable[str]) -> dict[str, list[tuple[str, ...]]]:
    """Return sentences on ids that may be visits of one patient, each with its groups (`of_visits`, `of_numbers`).

    A sentence without groups is left out.
    """
    ids = tuple(ids)
    told = {_BY_A_VISIT: of_visits(ids), _BY_A_NUMBER: of_numbers(ids)}
    return {text: groups for text, groups in told.items() if groups}


def of_visits(ids: Iterable[str]) -> list[tuple[str, ...]]:
    """Return ids that differ by a visit alone, in groups of two or more, in their order.

    Such are P05_pre and P05_post, P05_t1 and P05_t2, 05_20190101 and 05_20200301, V1_P05 and V2_P05. An id that is only
    a visit's word (V01, M01) has no stem. A site (A-V01), a year before numbers (2019-001), and a site with numbered
    patients (S1-M01 to S1-M20) are no stems either.
    """
    return [tuple(group) for group in _by_stem(_in_words(ids))]


def of_numbers(ids: Iterable[str]) -> list[tuple[str, ...]]:
    """Return ids that differ by a number up to 9 or one letter at their end, in groups of two or more, in their order.

    Such are P05-1 and P05-2, P05a and P05b, BraTS-GLI-00006-000 and BraTS-GLI-00006-001. They may be visits of a
    patient or patients of a site, which a person must decide. Left out is what surely is a site: one named so
    (site1-1), one without a number (HN-CHUM-001), a year (2019-1), and stems most of whose ids number patients (S1-001
    to S1-250, with more digits than the stem; 01-1 to 01-8 and 02-1 to 02-6, more than there are stems). Ids of
    `of_visits` are left out as well.
    """
    in_words = _in_words(ids)
    of_words = {each for group in _by_stem(in_words) for each in group}
    own: dict[str, list[str]] = {}
    may_be: dict[str, list[bool]] = {}  # of ids with more than a stem: may it be a visit?
    for each, words in in_words.items():
        if each not in of_words:
            stem, end = _end(words)
            own.setdefault(_key(stem), []).append(each)
            may_be.setdefault(_key(stem), []).extend([_may_number_visit(stem, end)] * bool(end))
    years = {stem for form in _forms(may_be) if all(map(_ENDS_IN_YEAR, form)) for stem in form}
    people = {*_people(may_be)} - years
    return [
        tuple(group)
        for stem, group in own.items()
        if stem in people and len(may_be[stem]) == len(group) > 1 and all(may_be[stem])
    ]


def in_groups(groups: Sequence[Sequence[str]]) -> str:
    """Return groups of names in words, `P05_t1, P05_t2; P06_t1, P06_t2`; of many only the first."""
    rest = len(groups) - MOST_GROUPS
    more = [f"and {count_of(rest, 'more such group')}"] * (rest > 0)
    return "; ".join([*(", ".join(group) for group in groups[:MOST_GROUPS]), *more])


def _by_stem(in_words: Mapping[str, Words]) -> Iterator[list[str]]:
    """Yield the ids with the same stem and a visit, by stem.

    Words that may be ids count as visits only after people, not after sites, and not after a stem that bare numbers
    follow too.
    """
    numbered = {_key(words[:-1]) for words in in_words.values() if words[-1:] and _is_number(words[-1])}
    sure: dict[str, list[str]] = {}
    unsure: dict[str, list[str]] = {}
    for each, words in in_words.items():
        stem, visit = _apart(words)
        if visit:
            (sure if _is_sure(visit) else unsure).setdefault(_key(stem), []).append(each)
    stems: dict[str, list[bool]] = {_key(words): [] for words in in_words.values()}
    people = _people(stems | {key: [True] * len(own) for key, own in unsure.items()})
    unsure = {key: own for key, own in unsure.items() if key in people}
    place = {each: at for at, each in enumerate(in_words)}
    for key in dict.fromkeys([*sure, *unsure]):
        own = sure.get(key, []) + (unsure.get(key, []) if key not in numbered else [])
        if len(own) > 1:
            yield sorted(own, key=place.__getitem__)


def _apart(words: Words) -> tuple[Words, Words]:
    """Return the stem of an id and its visit, which follows or precedes it; no visit where none is found."""
    first = next((at for at, word in enumerate(words) if at and _says_visit(word)), len(words))
    stem, visit = words[:first], words[first:]
    if visit and not any(map(_says_visit, stem)) and _may_follow(stem, visit):
        return stem, visit
    last = next((at for at, word in enumerate(words) if not _says_visit(word)), len(words))
    visit, stem = words[:last], words[last:]
    if visit and _is_person(stem) and (_is_lettered(stem) or _is_word(visit)) and not _is_year(visit):
        return stem, visit
    return words, ()


def _may_follow(stem: Words, visit: Words) -> bool:
    """Return whether a visit may follow a stem: P05 visit 2, P05 post op. After a year it is a patient's number."""
    remarks = all(_says_visit(word) or not has_digit(word) or len(word) <= 2 for word in visit[1:])
    if not remarks or is_nobody(stem):
        return False
    if _is_word(visit):
        return True  # even after initials: AB_pre, AB_post
    return _is_person(stem) and (_is_lettered(stem) or not _is_year(visit))


def _people(stems: Mapping[str, Sequence[bool]]) -> Collection[str]:
    """Return the stems that may be patients and are not surely sites; stems of one form are of the same kind.

    stems: for each id of a stem, whether its addition may be a visit; ids that are only a stem have no entry.
    """
    return {stem for form in _forms(stems) if not _are_sites([stems[stem] for stem in form]) for stem in form}


def _forms(stems: Iterable[str]) -> Collection[list[str]]:
    """Return stems in groups that differ by their numbers alone, such as S1 and S12."""
    forms: dict[str, list[str]] = {}
    for stem in stems:
        forms.setdefault(re.sub(r"\d+", "0", stem), []).append(stem)
    return forms.values()


def _are_sites(stems: Sequence[Sequence[bool]]) -> bool:
    """Return whether at least half of the ids that share a stem, of one form, are surely numbered patients of
    a site."""
    most = min(MOST_VISITS, max(A_FEW_VISITS, len(stems)))
    shared = [own for own in stems if len(own) > 1]
    many = sum(len(own) for own in shared if len(own) > most or not all(own))
    return 0 < sum(map(len, shared)) <= 2 * many


def _may_number_visit(stem: Words, end: str) -> bool:
    """Return whether the addition to a stem may number a visit.

    It may if it is a letter, or a number up to 9 that has at most two digits, or at most as many as the patient's.
    """
    digits = [2, *map(len, re.findall(r"\d+", " ".join(stem)))]
    may_be_number = end.isdecimal() and int(end) <= MOST_VISITS
    return end.isalpha() or (may_be_number and len(end) <= max(2, digits[-1]))


def _end(words: Words) -> tuple[Words, str]:
    """Return what precedes the letter or number at the end of an id, and that end; "" where no person's number
    precedes it."""
    stem, end = words[:-1], "".join(words[-1:])
    behind = re.fullmatch(r"(.*\d)([a-z])", end)
    if behind is not None:
        stem, end = (*stem, behind[1]), behind[2]
    if _is_person(stem) and (end.isdecimal() or len(end) == 1):
        return stem, end
    return words, ""


def _in_words(ids: Iterable[str]) -> dict[str, Words]:
    return {each: _words(each) for each in dict.fromkeys(ids)}


def _words(text: str) -> Words:
    """Return the words of an id; a visit's word that touches a number is a word of its own: P05pre, v2P05."""
    return tuple(part for word in words_of(text) if word for part in _pieces(word))


def _pieces(word: str) -> Sequence[str]:
    if _says_visit(word):
        return (word,)
    for pattern, at in ((r"(.*\d)([a-z]+\d*)", 1), (r"([a-z]+\d+)([a-z]+\d.*)", 0)):
        pieces = re.fullmatch(pattern, word)
        if pieces is not None and _says_visit(pieces.groups()[at]):
            return pieces.groups()
    return (word,)


def _says_visit(word: str) -> bool:
    """Return whether a word of an id is a visit's; a single letter is a site's or an initial (D-01, M-01)."""
    return len(word) > 1 and (is_visit(word) or re.fullmatch(f"{_TIMEPOINT}|{_YEAR}", word) is not None)


def _is_sure(visit: Words) -> bool:
    """Return whether a visit's first word cannot be a patient's number: pre, ses-1, a date with its day."""
    return _is_word(visit) or (len(visit[0]) == len("20190101") and visit[0].isdecimal())


def _is_word(visit: Words) -> bool:
    """Return whether a visit begins with a word that is never an id."""
    return is_visit(visit[0]) and not may_be_id(visit[0])


def _is_year(visit: Words) -> bool:
    return re.fullmatch(_YEAR, visit[0]) is not None


def _is_person(stem: Words) -> bool:
    return not is_nobody(stem) and any(map(has_digit, stem))


def _is_lettered(stem: Words) -> bool:
    return any(letter.isalpha() for word in stem for letter in word)


def _is_number(word: str) -> bool:
    return word.isdecimal() and not _says_visit(word)


def _key(stem: Words) -> str:
    return " ".join(re.sub(r"(?<!\d)0+(?=\d)", "", word) for word in stem)
