"""Damages of image files that follow their formats: elements of DICOM, fields of a NIfTI header, streams of gzip.

Each function takes the bytes of an undamaged file and a random generator, and returns the bytes of a damaged one.
"""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Mutation = Callable[[bytes, random.Random], bytes]

_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")
_VRS = (b"UI", b"LO", b"DS", b"IS", b"US", b"SQ", b"OW", b"UN", b"PN", b"FD", b"AT", b"??", b"\0\0", b"UT")
_LENGTHS = (0, 1, 2, 3, 7, 0xFE, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_SYNTAXES = tuple(
    f"1.2.840.10008.1.2{end}".encode()
    for end in ("", ".1", ".2", ".5", ".4.50", ".4.57", ".4.70", ".4.80", ".4.90", ".4.201", ".1.99", ".9")
)
_NUMBERS = (
    b"nan",
    b"inf",
    b"-inf",
    b"1e400",
    b"0",
    b"-1",
    b"1e-300",
    b"99999999",
    b"2147483647",
    b"4,5",
    b"x",
    b"",
)


@dataclass(frozen=True)
class Element:
    """An element of a file in explicit VR little endian: where it begins, where its value begins, and where
    that ends."""

    begin: int
    value: int
    end: int
    vr: bytes


def elements(data: bytes) -> list[Element]:
    """Return the elements of a file's outer data set, with the first group, up to the first that cannot be followed."""
    return list(_walk(data, 132))


def _walk(data: bytes, at: int) -> Iterator[Element]:
    while at + 8 <= len(data):
        vr = data[at + 4 : at + 6]
        long = vr in _LONG
        if not vr.isalpha() or (long and at + 12 > len(data)):
            return
        value = at + (12 if long else 8)
        (length,) = struct.unpack_from("<I" if long else "<H", data, at + (8 if long else 6))
        end = _delimited(data, value) if length == 0xFFFFFFFF else value + length
        if end > len(data):
            return
        yield Element(at, value, end, vr)
        at = end


def _delimited(data: bytes, value: int) -> int:
    """Return where a value of undefined length ends: after the last delimiter, which is exact enough for damages."""
    return data.rindex(b"\xfe\xff\xdd\xe0") + 8 if b"\xfe\xff\xdd\xe0" in data[value:] else len(data) + 1


def _one(data: bytes, rng: random.Random) -> Element:
    found = elements(data)
    return rng.choice(found) if found else Element(0, 4, 8, b"UN")


def delete_element(data: bytes, rng: random.Random) -> bytes:
    one = _one(data, rng)
    return data[: one.begin] + data[one.end :]


def repeat_element(data: bytes, rng: random.Random) -> bytes:
    """Repeat an element, right after itself or before another."""
    one, other = _one(data, rng), _one(data, rng)
    at = rng.choice([one.end, other.begin])
    return data[:at] + data[one.begin : one.end] + data[at:]


def exchange_elements(data: bytes, rng: random.Random) -> bytes:
    """Put the value of one element into another, whose stated length stays that of its former value."""
    one, other = _one(data, rng), _one(data, rng)
    return data[: one.value] + data[other.value : other.end] + data[one.end :]


def change_vr(data: bytes, rng: random.Random) -> bytes:
    at = _one(data, rng).begin + 4
    return data[:at] + rng.choice(_VRS) + data[at + 2 :]


def change_length(data: bytes, rng: random.Random) -> bytes:
    one, length = _one(data, rng), rng.choice(_LENGTHS)
    if one.value - one.begin == 12:
        return data[: one.begin + 8] + struct.pack("<I", length) + data[one.value :]
    return data[: one.begin + 6] + struct.pack("<H", length & 0xFFFF) + data[one.value :]


def change_value(data: bytes, rng: random.Random) -> bytes:
    """Replace a value by one of the same length: text that is no number, a huge number, or random bytes."""
    one = _one(data, rng)
    size = min(one.end - one.value, 64)
    if rng.random() < 0.5:
        made = rng.choice(_NUMBERS)
        made = b"\\".join([made] * max(1, rng.choice([1, data.count(b"\\", one.value, one.end) + 1])))
    else:
        made = rng.choice([b"\xff" * size, b"\0" * size, rng.randbytes(size), b"\xff\x7f" * (size // 2)])
    made = made[:size].ljust(size)
    return data[: one.value] + made + data[one.value + size :]


def exchange_syntax(data: bytes, rng: random.Random) -> bytes:
    """State another transfer syntax than the pixels are in, with its right length."""
    for one in elements(data):
        if data[one.begin : one.begin + 4] == b"\x02\0\x10\0":
            made = rng.choice(_SYNTAXES)
            made += b"\0" * (len(made) % 2)
            length = struct.pack("<H", len(made))
            return data[: one.begin + 6] + length + made + data[one.end :]
    return data[:-1]


def nest(data: bytes, rng: random.Random) -> bytes:
    """Insert nested sequences, up to 1500 deep, before some element."""
    at, depth = _one(data, rng).begin, rng.choice([3, 50, 400, 1500])
    head = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    tail = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    return data[:at] + head * depth + tail * rng.choice([depth, 0]) + data[at:]


# Fields of NIfTI-1: where each begins, and how many numbers of which type it holds.
_FIELDS = {
    "sizeof_hdr": (0, 1, "i"),
    "dim": (40, 8, "h"),
    "intent": (56, 3, "f"),
    "datatype": (70, 1, "h"),
    "bitpix": (72, 1, "h"),
    "pixdim": (76, 8, "f"),
    "vox_offset": (108, 1, "f"),
    "scl": (112, 2, "f"),
    "units": (123, 1, "B"),
    "codes": (252, 2, "h"),
    "quatern": (256, 6, "f"),
    "srow": (280, 12, "f"),
    "magic": (344, 1, "I"),
    "extension": (348, 4, "B"),
}
_OF_TYPE = {
    "i": (0, -1, 2**31 - 1, 540, 348),
    "h": (0, -1, -32768, 32767, 1, 2, 7, 16, 64, 255, 4096),
    "B": (0, 1, 3, 8, 255),
    "I": (0, 2**32 - 1, 0x6E2B31, 0x00316E69),
    "f": (*(0.0, -0.0, 1.0, -1.0, 1e-30, 1e30, 3.4e38, -3.4e38), *map(float, ("nan", "inf", "-inf"))),
}


def change_field(data: bytes, rng: random.Random) -> bytes:
    """Set one to three numbers of the header to NaN, huge values, or values of another meaning."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at, count, kind = _FIELDS[rng.choice(list(_FIELDS))]
        at += rng.randrange(count) * struct.calcsize(kind)
        if at + struct.calcsize(kind) <= len(made):
            struct.pack_into("<" + kind, made, at, rng.choice(_OF_TYPE[kind]))
    return bytes(made)


def cut(data: bytes, rng: random.Random) -> bytes:
    """Cut off the end: what stands after any place, the last bytes, or all but the first few hundred."""
    return data[: rng.choice([rng.randrange(len(data)), len(data) - rng.randrange(1, 9), rng.randrange(400)])]


def hole(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randrange(1, 64) :]


def lose_values(data: bytes, rng: random.Random) -> bytes:
    """Remove bytes near the end, where the values are."""
    at = len(data) - rng.randrange(17, 60)
    return data[:at] + data[at + rng.randrange(1, 9) :]


def more(data: bytes, rng: random.Random) -> bytes:
    """Insert bytes, zero or random, at any place or after the end."""
    at = rng.choice([rng.randrange(len(data)), len(data)])
    fillings: list[Callable[[int], bytes]] = [bytes, rng.randbytes]
    return data[:at] + rng.choice(fillings)(rng.randrange(1, 600)) + data[at:]


def turn_bits(data: bytes, rng: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(made))
        made[at] ^= 1 << rng.randrange(8)
    return bytes(made)


def change_head(data: bytes, rng: random.Random) -> bytes:
    """Change bytes of the first kilobytes, where headers are."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 2, 4])):
        made[rng.randrange(min(len(made), 2500))] = rng.randrange(256)
    return bytes(made)


ANY: tuple[Mutation, ...] = (cut, lose_values, hole, more, turn_bits, change_head)
OF_DICOM: tuple[Mutation, ...] = (
    *(delete_element, repeat_element, exchange_elements, change_vr, change_length, change_value),
    *(change_value, exchange_syntax, nest),
)
OF_NIFTI: tuple[Mutation, ...] = (change_field,) * 4
