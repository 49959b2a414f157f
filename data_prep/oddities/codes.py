"""Whether the modalities of a scan lie in one space, as the codes of NIfTI's sform and qform name it."""

from collections.abc import Iterator, Mapping, Sequence

from data_prep.oddities.oddity import LEAST_SCANS, MAJORITY_SHARE, Odd, of_cohort
from hnscc.cohort.store_format import Scan

TEMPLATE = 3  # the first code of a template (Talairach, MNI, another)
SPACES = {
    1: "the scanner's space",
    2: "that of another image that it was aligned to",
    3: "Talairach's template",
    4: "MNI's template",
    5: "a template",
}


def odd_codes(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """A sentence on each scan of which one modality lies in a template's space and another does not, as their headers
    say; on the cohort where that holds for all.

    Of the spaces of a scanner and of another image many programs write either, so that these count only in scans that
    hold both where most hold one. So does a template in all modalities of a scan where most scans lie in none.
    """
    spaces = [_spaces(scan, modalities) for scan in scans]
    mixed = [_templates(each) not in (0, len(each)) for each in spaces]
    if len(scans) > 1 and all(mixed) and all(each == spaces[0] for each in spaces):
        yield of_cohort(f"in all scans {_told(spaces[0])}")
        return
    several = [len(set(each.values())) > 1 for each in spaces]
    whole = [bool(each) and _templates(each) == len(each) for each in spaces]
    for at, scan in enumerate(scans):
        if mixed[at] or (several[at] and _few(several)):
            yield Odd(scan.scan_id, _told(spaces[at]), files=tuple(spaces[at]))
        elif whole[at] and _few(whole):
            yield Odd(
                scan.scan_id,
                f"{_lie(spaces[at])} by its header; most scans lie in no template",
                files=tuple(spaces[at]),
            )


def _spaces(scan: Scan, modalities: Sequence[str]) -> dict[str, int]:
    """The code of the space that each modality is placed in, of those that are NIfTI: the sform's, else the qform's."""
    found = {}
    for name in modalities:
        if codes := scan.placement["inputs"][name]["written"].get("codes"):
            sform, qform = (int(each.split()[1]) for each in codes.split(", "))
            found[name] = sform or qform
    return found


def _templates(spaces: Mapping[str, int]) -> int:
    return sum(code >= TEMPLATE for code in spaces.values())


def _few(holds: Sequence[bool]) -> bool:
    """Whether something holds for some scans, and not for most."""
    return len(holds) >= LEAST_SCANS and sum(holds) <= (1 - MAJORITY_SHARE) * len(holds)


def _told(spaces: Mapping[str, int]) -> str:
    return f"{_lie(spaces)}, as their headers say: do they lie on one another?"


def _lie(spaces: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name} lies in {SPACES.get(code, 'a space without a name')} (code {code})"
        for name, code in spaces.items()
    )
