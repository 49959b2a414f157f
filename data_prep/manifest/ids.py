"""Finds ids that were meant to be one, but were mistyped or damaged by a spreadsheet.

They differ only by capitals, leading zeros, dashes, underscores, dots or a decimal `.0`, or look alike.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from data_prep.manifest.birthdays import as_birthday
from hnscc.base.in_words import noun_of

FEW_OTHERS = 10  # times as many ids have the usual form as have one that may be a slip
DIGITS_KEPT = 15  # digits of a number that spreadsheets keep
FAR = 10  # between an id's number and all others of a cohort that is numbered without such gaps

# Months as spreadsheets write them, in English and German.
MONTHS = {
    name: number + 1
    for names in (
        "jan feb mar apr may jun jul aug sep oct nov dec",
        "jan feb mrz apr mai jun jul aug sep okt nov dez",
    )
    for number, name in enumerate(names.split())
}
TWO_NUMBERS = re.compile(r"(\d{1,2})([-_./ ])(\d{1,2})")
DATE = re.compile(r"(\d{1,2})\W*([^\W\d_]{3})\w*\.?|([^\W\d_]{3})\w*\W*(\d{1,2})")
# An umlaut as two letters within a word: Mueller, which others write Muller.
UMLAUT = re.compile(r"(?<=[^\W\d_])([aou])e(?=[^\W\d_]{2})")
# Letters that are taken for digits: o for 0, i and l for 1, z for 2, s for 5, b for 8.
LOOKS = str.maketrans("oilzsb", "011258")


def alike(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs (later id, earlier id) that mean the same: P01, p1 and P.01; 007, 7 and 7.0; 2023-001 and 2023001.

    Dashes between numbers in both ids must separate the same numbers, so P1-11 and P11-1 stay two ids. Leading zeros
    are ignored at the start of a number only, so P02_2 is P022, not P22; it is neither if there is a P02, whose second
    visit it may be (`may_be_one`). An id is the later one of one pair only, with the first id that it is like.
    """
    return list(_of_one_spelling({each: each for each in ids}))


def look_alike(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs (later id, earlier id) that look alike and may mean the same: PO1 and P01, l7 and 17, Mueller,
    Müller and Muller.

    Pairs of `alike`, which are certain, are left out.
    """
    looks = {each: UMLAUT.sub(r"\1", _without_accents(each.casefold())).translate(LOOKS) for each in ids}
    sure = {later for later, _ in alike(looks)}
    return [pair for pair in _of_one_spelling(looks) if pair[0] not in sure]


def _without_accents(text: str) -> str:
    """Return the text with plain letters; ids of a manifest have no others, names of folders and PatientIDs may."""
    return "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))


def _of_one_spelling(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield pairs, as `alike` does, of ids by their texts."""
    firsts: dict[tuple[str, ...], str] = {}
    undashed: dict[str, list[str]] = {}
    visits = {longer for longer, _ in _extended(list(texts))}
    for each, text in texts.items():
        first = firsts.setdefault(_parts(text), each)
        others = undashed.setdefault(_joined(text), [])
        if first == each:  # no earlier id has the same parts, but one may be the same with or without dashes
            first = next((other for other in others if _is_undashed(each, other, texts, visits)), each)
        if first != each:
            yield each, first
        others.append(each)


def _is_undashed(one: str, other: str, texts: Mapping[str, str], visits: Container[str]) -> bool:
    """Return whether one of two ids of the same letters and digits may be the other without dashes.

    It is not if the parts that dashes separate are a patient and a visit.
    """
    whole = [len(_parts(texts[each])) == 1 for each in (one, other)]
    return any(whole) and not any(
        each in visits for each, single in zip((one, other), whole, strict=True) if not single
    )


def may_be_one(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs (later id, earlier id) that may mean one patient, and that a person should look at.

    Pairs are of these kinds. Those of `alike` are left out, and sites that count from 1 each (A01, B01) do not count.

    - They look alike (`look_alike`).
    - One is the other with a second visit's addition: P05 and P05_v2, P05-2, P05b, v2P05.
    - One has an unusual form and the number of a usual one: 5, 05P or Pat05 where there are P01, P02, ... P05.
    - Letters and number, or two words, are exchanged: AB-05, 05-AB.
    - Both are one date: 1961-03-07, 07.03.61, 19610307.
    - A spreadsheet took one for a date: 11-02, 11-Feb, 11.02.
    - A spreadsheet took one for a number, of which it keeps 15 digits: 1E3 and 1000, 1.2345E+04 and 0012345,
      4.714.350 and 4714350.
    - A number far from all others is one of them with two digits exchanged or a year inserted: P102 or P2012 where
      there are P001 to P020. P021 is not far, and may be a patient.
    """
    distinct = list(dict.fromkeys(ids))
    sure = {later for later, _ in alike(distinct)}
    pairs = dict.fromkeys(look_alike(distinct))
    place = {each: at for at, each in enumerate(distinct)}
    beside = [*_extended(distinct), *_of_one_number(distinct), *_turned_round(distinct), *_as_date(distinct)]
    beside += [*_far_off(distinct), *_as_number(distinct), *as_birthday(distinct)]
    for longer, shorter in beside:
        later, first = sorted((longer, shorter), key=place.__getitem__, reverse=True)
        if later not in sure:
            pairs[later, first] = None
    return list(pairs)


def _extended(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of an id and the longest other id that it begins or ends with, up to the border of a word or number;
    P2_2 begins with P02, too."""
    by_parts = {_parts(each): each for each in ids}
    for each in ids:
        ends = range(len(each) - 1, 0, -1)
        begun = (each[:end] for end in ends if _parted(each, end))
        ended = (each[-end:] for end in ends if _parted(each, len(each) - end))
        for pieces in (begun, ended):
            found = (by_parts.get(_parts(piece), each) for piece in pieces)
            if (other := next((one for one in found if one != each), None)) is not None:
                yield each, other


def _parted(text: str, at: int) -> bool:
    """Return whether a word or number ends at a place and another begins there: 05-2, 05b; not 052, b05."""
    before, after = text[at - 1], text[at]
    return not (before.isalnum() and after.isalnum()) or (before.isdigit() and after.isalpha())


def _of_one_number(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of an id in an unusual form and the one in the usual form that has the same number."""
    numbered = {each: re.findall(r"\d+", each) for each in ids}
    written = {
        each: re.sub(r"[\W_]+", "", re.sub(r"\d+", "0", each)).casefold()
        for each in ids
        if len(numbered[each]) == 1
    }
    counts = Counter(written.values())
    usual, most = max(counts.items(), key=lambda each: each[1], default=("", 0))
    if 2 * most <= len(ids):
        return
    of_number = {int(numbered[each][0]): each for each in written if written[each] == usual}
    for each, how in written.items():
        number = int(numbered[each][0])
        if how != usual and counts[how] <= most / FEW_OTHERS and number in of_number:
            yield each, of_number[number]


def _turned_round(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of ids of the same letters and numbers in exchanged positions, or of the same words in another order,
    such as a name and a first name."""
    firsts: dict[tuple[str, ...], tuple[list[str], str]] = {}
    for each in ids:
        pieces = [piece.lstrip("0") for piece in re.findall(r"[^\W\d_]+|\d+", each.casefold())]
        theirs, first = firsts.setdefault(tuple(sorted(pieces)), (pieces, each))
        kinds, of_theirs = ([piece.isalpha() for piece in those] for those in (pieces, theirs))
        if kinds != of_theirs or (all(kinds) and pieces != theirs):
            yield each, first


def _as_date(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of which a spreadsheet may have made one a date (11-02 and 11-Feb or 2-Nov), and pairs that separate
    the same two numbers by different signs (11-02 and 11.02)."""
    firsts: dict[tuple[int, int], tuple[str, str]] = {}
    dates = []
    for each in ids:
        if numbers := TWO_NUMBERS.fullmatch(each):
            sign, first = firsts.setdefault((int(numbers[1]), int(numbers[3])), (numbers[2], each))
            if sign != numbers[2]:
                yield each, first
        elif (date := DATE.fullmatch(each)) and (month := MONTHS.get((date[2] or date[3]).casefold())):
            dates.append((each, int(date[1] or date[4]), month))
    for each, day, month in dates:
        for pair in {(day, month), (month, day)} & firsts.keys():
            yield each, firsts[pair][1]


def _as_number(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of an id that a spreadsheet takes for a number, and what it makes of it.

    Such are 1E3 and 1000; 123456789012 and 1.23E+11, in as many digits as the column is wide; 4.714.350, with dots
    between thousands, and 4714350; and a number of more than 15 digits, of which it makes the rest zeros.
    """
    there = {each.lstrip("0"): each for each in ids}
    for each in ids:
        if re.fullmatch(r"\d[.,]\d{1,14}[eE]\+?\d{1,2}", each):
            made = next((number for number in there if _rounded(number, each)), each)
        elif re.fullmatch(r"\d{1,15}[eE]\+?\d{1,2}", each):
            made = f"{float(each):.0f}"
        elif re.fullmatch(r"\d{1,3}(\.\d{3})+", each):
            made = each.replace(".", "").lstrip("0")
        elif each.isdecimal():
            made = each[:DIGITS_KEPT] + "0" * len(each[DIGITS_KEPT:])
        else:
            continue
        if made != each and made in there:
            yield each, there[made]


def _rounded(number: str, shown: str) -> bool:
    """Return whether a number is rounded to what is shown, such as 1.23E+11."""
    places = len(re.split("[eE]", shown)[0]) - len("1.")
    return number.isdecimal() and Decimal(f"{Decimal(number):.{places}E}") == Decimal(shown.replace(",", "."))


def _far_off(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of an id whose number is far from those of a consecutively numbered cohort, and one of those, where
    exchanging two digits or inserting a year makes the first of the second."""
    written: dict[str, dict[int, tuple[str, str]]] = {}
    for each in ids:
        if len(numbers := re.findall(r"\d+", each)) == 1:
            how = re.sub(r"\d+", "0", each).casefold()
            written.setdefault(how, {})[int(numbers[0])] = numbers[0], each
    for of_number in written.values():
        usual = _numbered_on(sorted(of_number))
        for number in of_number.keys() - usual if usual else ():
            digits, each = of_number[number]
            for theirs, other in (of_number[at] for at in sorted(usual)):
                if _exchanged(digits, theirs) or _with_year(digits, theirs):
                    yield each, other


def _numbered_on(numbers: Sequence[int]) -> set[int]:
    """Return the numbers of a sorted list without the few that are far from all others.

    It is empty where the rest has gaps too, so that no number is out of place, or is not much more than the few.
    """
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number - groups[-1][-1] <= FAR:
            groups[-1].append(number)
        else:
            groups.append([number])
    most = max(groups, key=len, default=[])
    many = len(most) >= FEW_OTHERS * max(1, len(numbers) - len(most))
    return set(most) if many and 2 * len(most) > most[-1] - most[0] else set()


def _exchanged(one: str, other: str) -> bool:
    """Return whether two numbers with equally many digits differ by two exchanged digits."""
    differ = [pair for pair in zip(one, other, strict=False) if pair[0] != pair[1]]
    return len(one) == len(other) and len(differ) == 2 and differ[0] == differ[1][::-1]


def _with_year(longer: str, number: str) -> bool:
    """Return whether digits are a number with a year before or after it: 2005 or 201905 for 05, 2012 for 012."""
    year, either = r"(19|20)(\d\d)?", f"({number}|0*{int(number):02d})"
    return re.fullmatch(f"{year}{either}|{either}{year}", longer) is not None


def rows_text(lines: Iterable[int]) -> str:
    """Return 'row 3' or 'rows 3, 5'."""
    numbers = sorted(set(lines))
    return f"{noun_of(len(numbers), 'row')} {', '.join(map(str, numbers))}"


def lines_of(ids: Iterable[tuple[str, int]]) -> Mapping[str, list[int]]:
    """Return the lines that each id stands in; ids come in the order in which they first occur. `ids` pairs ids
    with lines."""
    lines: dict[str, list[int]] = {}
    for each, line in ids:
        lines.setdefault(each, []).append(line)
    return lines


def _parts(text: str) -> tuple[str, ...]:
    """Return the parts between dashes and underscores that stand between two digits, each by `_plain`."""
    return tuple(_plain(part) for part in re.split(r"(?<=\d)[-_ ]+(?=\d)", text))


def _plain(text: str) -> str:
    """Return what `_joined` returns, without the leading zeros of its numbers."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", _joined(text))


def _joined(text: str) -> str:
    """Return the text in small letters, without dashes, underscores, spaces, a decimal zero (7.0) as of spreadsheets,
    and dots except those between two numbers."""
    text = re.sub(r"(?<=\d)\.0+$", "", text)
    return re.sub(r"(?<!\d)\.|\.(?!\d)|[-_ ]+", "", text).casefold()
