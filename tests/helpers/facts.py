"""Scans that exist in an index alone, with what preparing would have found in them, and what is odd about them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from stores import scan

from data_prep.oddities.odd import odd_scans
from data_prep.volumes.lying import NOWHERE
from hnscc.cohort.store_format import Scan

# The numbers of values to which nothing was done.
PLAIN_NUMBERS: dict[str, Any] = {
    "highest": 1e-5,
    "below": 1e-5,
    "wrapped": 0,
    "slices_alike": 0.2,
    "lowest": 0.1,
    "gap": 1e-4,
}
PLAIN_NUMBERS |= {"peaks": 0, "peak_times": 1.0, "highest_at": [2, 3, 1]}


def facts(scans: int, **changed: Any) -> list[Scan]:
    """Return scans with PET in SUV; those with an odd number hold a lesion of 1 ml. `changed`: what differs, by a
    letter and a scan's number, such as c0: c for the scan's coverage, s for its values, l for its lesion."""
    found = []
    for number in range(scans):
        values: dict[str, Any] = {
            "low": 0.0,
            "first": 0.0,
            "median": 1.0,
            "last": 4.0 + number / 10,
            "high": 9.0,
            "nan": 0,
        }
        values |= {
            "within": 0,
            "padding": None,
            "tissue": None,
            "elsewhere": None,
            "orientation": "sform",
            "body": None,
        }
        values |= {"signal": {"step": 0.5, "values": 1000, "cut": 0.0}}
        values |= changed.get(f"s{number}", {})
        lesion: dict[str, Any] = {
            "ml": float(number % 2),
            "share_of_grid": 0.01,
            "share_of_body": 0.02,
            "drawn_on": "pet",
            "nan": 0,
        }
        lesion |= {"share_in_air": 0.0, "spanned": 0, "left_out": 0, "box": False, "fits": []}
        lesion |= {"medians": {"pet": None}, "edges": {"pet": None}}
        lesion |= {"orientation": "sform"} | changed.get(f"l{number}", {})
        taken = {"pet": values["orientation"], "mask": lesion["orientation"]}
        placement: Any = {
            "reference": "pet",
            "assumed": [name for name, by in taken.items() if by.startswith(("as ", NOWHERE))],
            "coverage": {"pet": changed.get(f"c{number}", 1.0)},
            "outside": {"pet": []},
            "values": {"pet": {"rim": values["first"]} | values},
            "numbers": {"pet": PLAIN_NUMBERS},
            "lesion": lesion,
        }
        found.append(replace(scan(f"p{number}", (0, 4 * (number % 2))), placement=placement))
    return found


def scaled(
    factors: list[float], level: Callable[[int], float] = lambda number: 0.0
) -> dict[str, dict[str, Any]]:
    """Return changes that multiply the values of PET by a factor for each scan. The bright tenth of the tissue is 4.0,
    4.1, ... times the factor above the lowest value."""
    return {
        f"s{number}": {
            "low": level(number),
            "first": level(number),
            "median": level(number) + factor,
            "last": level(number) + 5 * factor,
            "high": level(number) + 9 * factor,
            "tissue": {
                "median": level(number) + factor,
                "upper": level(number) + (2 + number % 3 / 10) * factor,
                "last": level(number) + (4 + number / 10) * factor,
                "high": level(number) + 5 * factor,
                "grain": factor / 10,
            },
        }
        for number, factor in enumerate(factors)
    }


def told(scans: list[Scan]) -> list[tuple[str | None, str, bool]]:
    return [(odd.scan_id, odd.text, odd.refused) for odd in odd_scans(scans, ["pet"])]
