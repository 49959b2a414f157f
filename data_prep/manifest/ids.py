"""Ids that were meant to be one: typed by hand or damaged by a spreadsheet, they differ by capitals, leading zeros,
dashes, underscores, dots or a decimal `.0` alone."""

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from data_prep.manifest.birthdays import as_birthday
from hnscc.base.in_words import noun_of

FEW_OTHERS = 10  # times as many ids are written in the usual way as in one that may be a slip
DIGITS_KEPT = 15  # of a number, by spreadsheets
FAR = 10  # between the number of an id and all others of a cohort that is numbered without such gaps

# As spreadsheets write months, in English and German.
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
# An umlaut written in two letters, within a word: Mueller, whom others write Muller.
UMLAUT = re.compile(r"(?<=[^\W\d_])([aou])e(?=[^\W\d_]{2})")
# Letters that are read and typed for digits: o and 0, i, l and 1, z and 2, s and 5, b and 8.
LOOKS = str.maketrans("oilzsb", "011258")


def alike(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs (later id, earlier id) that mean one thing: P01, p1 and P.01, 007, 7 and 7.0, 2023-001 and 2023001.

    Where dashes stand between numbers in both ids, they part the same numbers in both, so that P1-11 and P11-1 stay
    two. Leading zeros count for nothing within a number alone: P02_2 is P022, not P22; and neither where there is a P02
    (`may_be_one`: its second visit). An id is named once as the later one, with the first that it is like.
    """
    return list(_of_one_spelling({each: each for each in ids}))


def look_alike(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs (later id, earlier id) that look alike and may mean one thing: PO1 and P01, l7 and 17, P0S and P05,
    Mueller and Muller.

    Pairs of `alike` are left out: those are sure.
    """
    looks = {each: UMLAUT.sub(r"\1", each.casefold()).translate(LOOKS) for each in ids}
    sure = {later for later, _ in alike(looks)}
    return [pair for pair in _of_one_spelling(looks) if pair[0] not in sure]


def _of_one_spelling(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Pairs as those of `alike`, of ids by their texts."""
    firsts: dict[tuple[str, ...], str] = {}
    undashed: dict[str, list[str]] = {}
    visits = {longer for longer, _ in _extended(list(texts))}
    for each, text in texts.items():
        first = firsts.setdefault(_parts(text), each)
        others = undashed.setdefault(_joined(text), [])
        if first == each:  # no earlier id has the same parts, but one may be written with or without dashes
            first = next((other for other in others if _is_undashed(each, other, texts, visits)), each)
        if first != each:
            yield each, first
        others.append(each)


def _is_undashed(one: str, other: str, texts: Mapping[str, str], visits: Container[str]) -> bool:
    """Whether one of two ids, of the same letters and digits, may be the other without its dashes, whose parts are no
    patient and his visit."""
    whole = [len(_parts(texts[each])) == 1 for each in (one, other)]
    return any(whole) and not any(
        each in visits for each, single in zip((one, other), whole, strict=True) if not single
    )


def may_be_one(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs (later id, earlier id) that may mean one patient, and that a person should look at.

    They look alike (`look_alike`); or one is the other with something behind or before it, as it is typed at a second
    visit: P05 and P05_v2, P05-2, P05b, v2P05; or an id is written otherwise than most and has the number of one of
    those: 5, 05P or Pat05 beside P01, P02, ... P05; or letters and number, or two words, change places: AB-05, 05-AB;
    or both are one date: 1961-03-07, 07.03.61, 19610307; or a spreadsheet took one for a date, 11-02, 11-Feb, 11.02, or
    for a number, 1E3 and 1000, 1.2345E+04 and 0012345, 4.714.350 and 4714350, of which it keeps 15 digits; or a number
    far from all others is one of theirs with two digits exchanged or a year put in: P102 or P2012 beside P001 to P020
    (P021 is not far, and may be a patient). Sites that count from 1 each, A01 and B01, are none of it. Pairs of `alike`
    are left out.
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
    """Pairs of an id and the longest other one that it begins or ends with, where that parts no word or number; P2_2
    begins with P02, too."""
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
    """Whether what stands before a place and what begins there are two words or numbers: 05-2, 05b; not 052, b05."""
    before, after = text[at - 1], text[at]
    return not (before.isalnum() and after.isalnum()) or (before.isdigit() and after.isalpha())


def _of_one_number(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of an id that is written otherwise than most, and the one of those that has the same number."""
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
    """Pairs of ids of the same letters and numbers, of which one has letters where the other has a number; or of the
    same words alone in another order, as a name and a first name are."""
    firsts: dict[tuple[str, ...], tuple[list[str], str]] = {}
    for each in ids:
        pieces = [piece.lstrip("0") for piece in re.findall(r"[^\W\d_]+|\d+", each.casefold())]
        theirs, first = firsts.setdefault(tuple(sorted(pieces)), (pieces, each))
        kinds, of_theirs = ([piece.isalpha() for piece in those] for those in (pieces, theirs))
        if kinds != of_theirs or (all(kinds) and pieces != theirs):
            yield each, first


def _as_date(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of ids of which a spreadsheet may have made a date of one, 11-02 and 11-Feb or 2-Nov; or that part the same
    two numbers by other signs, 11-02 and 11.02."""
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
    """Pairs of an id that a spreadsheet takes for a number, and of what it makes of it: 1E3 and 1000; 123456789012 and
    1.23E+11, as wide as the column; of more than 15 digits the others become zeros; with dots by thousands, 4.714.350
    and 4714350."""
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
    """Whether a number becomes what is shown, as 1.23E+11, once rounded to as many digits."""
    places = len(re.split("[eE]", shown)[0]) - len("1.")
    return number.isdecimal() and Decimal(f"{Decimal(number):.{places}E}") == Decimal(shown.replace(",", "."))


def _far_off(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of an id whose number lies far from those of a cohort that is numbered on and on, and of one of these from
    which two digits that were exchanged, or a year that was put in, make it."""
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
    """Those numbers of a sorted row without the few that lie far from all others; none where the rest has gaps too, so
    that no number is out of place, or is not much more than those."""
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
    """Whether two numbers of as many digits differ by two of these that changed places."""
    differ = [pair for pair in zip(one, other, strict=False) if pair[0] != pair[1]]
    return len(one) == len(other) and len(differ) == 2 and differ[0] == differ[1][::-1]


def _with_year(longer: str, number: str) -> bool:
    """Whether digits are a number with a year before or behind it: 2005 or 201905 for 05, 2012 for 012."""
    year, either = r"(19|20)(\d\d)?", f"({number}|0*{int(number):02d})"
    return re.fullmatch(f"{year}{either}|{either}{year}", longer) is not None


def rows_text(lines: Iterable[int]) -> str:
    """Return 'row 3' or 'rows 3, 5'."""
    numbers = sorted(set(lines))
    return f"{noun_of(len(numbers), 'row')} {', '.join(map(str, numbers))}"


def lines_of(ids: Iterable[tuple[str, int]]) -> Mapping[str, list[int]]:
    """Return the lines in which each id stands, in the order of the first; `ids` pairs ids with lines."""
    lines: dict[str, list[int]] = {}
    for each, line in ids:
        lines.setdefault(each, []).append(line)
    return lines


def _parts(text: str) -> tuple[str, ...]:
    """What dashes and underscores between two digits part, each as `_plain` gives it."""
    return tuple(_plain(part) for part in re.split(r"(?<=\d)[-_ ]+(?=\d)", text))


def _plain(text: str) -> str:
    """What `_joined` gives, without the leading zeros of its numbers."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", _joined(text))


def _joined(text: str) -> str:
    """The text without capitals, dashes, underscores, spaces, and dots but those that part two numbers; a spreadsheet's
    decimal zero (7.0) is no number."""
    text = re.sub(r"(?<=\d)\.0+$", "", text)
    return re.sub(r"(?<!\d)\.|\.(?!\d)|[-_ ]+", "", text).casefold()
