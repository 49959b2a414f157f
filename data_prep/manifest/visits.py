"""Ids of patients that may be one patient's at several visits: one stem with a visit's word, number or date each."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from data_prep.files.whose import is_nobody, is_visit, may_be_id
from data_prep.files.words import Words, has_digit, words_of
from hnscc.base.in_words import count_of

# Of one stem, by words that may be numbers of patients too (v1, m12, t2, 2019): where any has more, they are numbers of
# patients within a site.
A_FEW_VISITS = 4
# Of one stem, by a letter or number alone (P05a, P05-1): more are patients of a site, numbered.
A_FEW_PARTS = 3
# Of the stems, have one id where P05a and P05b may be two visits: where more have several, a site and a number is the
# way in which all are written.
MOST_ALONE_SHARE = 0.75

_TIMEPOINT = r"t\d{1,2}"  # a sequence of MRI in the name of a file; in a patient's id a time
_YEAR = r"(19|20)\d\d|\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])"  # or a date of six digits: a number as well
MOST_GROUPS = 8  # of ids in one sentence, at most


def of_visits(ids: Iterable[str]) -> list[tuple[str, ...]]:
    """Return ids that differ by a visit alone, in groups of two and more, as they come: P05_pre and P05_post, P05_t1
    and P05_t2, 05_20190101 and 05_20200301, V1_P05 and V2_P05.

    Where most ids stand alone, also those that differ by a letter or a single digit at their end: P05a and P05b, P05-1
    and P05-2. An id that is nothing but a visit's word (V01, M01) has no stem; nor is a site (A-V01), a year before
    numbers (2019-001) or a site's patients, numbered (S1-M01 to S1-M20), one.
    """
    in_words = {each: _words(each) for each in dict.fromkeys(ids)}
    groups = [tuple(group) for group in _by_stem(in_words)]
    told = {each for group in groups for each in group}
    return groups + [group for group in _numbered(in_words) if not told.intersection(group)]


def in_groups(groups: Sequence[Sequence[str]]) -> str:
    """Return groups of names in words, `P05_t1, P05_t2; P06_t1, P06_t2`; of many the first."""
    rest = len(groups) - MOST_GROUPS
    more = [f"and {count_of(rest, 'more such group')}"] * (rest > 0)
    return "; ".join([*(", ".join(group) for group in groups[:MOST_GROUPS]), *more])


def _by_stem(in_words: Mapping[str, Words]) -> Iterator[list[str]]:
    """Ids with one stem and a visit, by stem. Words that may be ids count where no stem has many of them, and none that
    is followed by bare numbers as well."""
    numbered = {_key(words[:-1]) for words in in_words.values() if words[-1:] and _is_number(words[-1])}
    sure: dict[str, list[str]] = {}
    unsure: dict[str, list[str]] = {}
    for each, words in in_words.items():
        stem, visit = _apart(words)
        if visit:
            (sure if _is_sure(visit) else unsure).setdefault(_key(stem), []).append(each)
    if any(len(own) > A_FEW_VISITS for own in unsure.values()):
        unsure = {}
    place = {each: at for at, each in enumerate(in_words)}
    for key in dict.fromkeys([*sure, *unsure]):
        own = sure.get(key, []) + (unsure.get(key, []) if key not in numbered else [])
        if len(own) > 1:
            yield sorted(own, key=place.__getitem__)


def _apart(words: Words) -> tuple[Words, Words]:
    """The stem of an id and its visit, which stands behind or before it; no visit where none is found."""
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
    """Whether a visit may stand behind a stem: P05 visit 2, P05 post op; behind a year it is a patient's number."""
    remarks = all(_says_visit(word) or not has_digit(word) or len(word) <= 2 for word in visit[1:])
    if not remarks or is_nobody(stem):
        return False
    if _is_word(visit):
        return True  # of initials too: AB_pre, AB_post
    return _is_person(stem) and (_is_lettered(stem) or not _is_year(visit))


def _numbered(in_words: Mapping[str, Words]) -> Iterator[tuple[str, ...]]:
    """Ids that differ by a letter or a single digit at their end, where most stems have one id."""
    by_stem: dict[str, list[tuple[str, str]]] = {}
    for each, words in in_words.items():
        stem, end = _end(words)
        by_stem.setdefault(_key(stem), []).append((each, end))
    sizes = Counter(map(len, by_stem.values()))
    if max(sizes, default=0) > A_FEW_PARTS or sizes[1] < MOST_ALONE_SHARE * len(by_stem):
        return
    for own in by_stem.values():
        if len(own) > 1 and all(len(end) == 1 for _, end in own):
            yield tuple(each for each, _ in own)


def _end(words: Words) -> tuple[Words, str]:
    """What stands before the letter or number at the end of an id, and that; "" where a person's number does not
    stand before it."""
    stem, end = words[:-1], "".join(words[-1:])
    behind = re.fullmatch(r"(.*\d)([a-z])", end)
    if behind is not None:
        return (*stem, behind[1]), behind[2]
    if any(map(has_digit, stem)) and (end.isdecimal() or len(end) == 1):
        return stem, end
    return words, ""


def _words(text: str) -> Words:
    """The words of an id; also apart where a visit's word stands right behind or before a number: P05pre, v2P05."""
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
    """Whether a word of an id is a visit's; a letter alone is a site's or an initial (D-01, M-01)."""
    return len(word) > 1 and (is_visit(word) or re.fullmatch(f"{_TIMEPOINT}|{_YEAR}", word) is not None)


def _is_sure(visit: Words) -> bool:
    """Whether a visit's first word is no patient's number: pre, ses-1, a date with its day."""
    return _is_word(visit) or (len(visit[0]) == len("20190101") and visit[0].isdecimal())


def _is_word(visit: Words) -> bool:
    """Whether a visit begins with a word that is never an id."""
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
