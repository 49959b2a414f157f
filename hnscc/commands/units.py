"""Whether a new scan's values are in the unit of the study's: refused where two units are known and differ, told where
only one is known."""

from collections.abc import Mapping
from dataclasses import dataclass

from data_prep.dicom.suv import BODY_WEIGHT, UNITS
from data_prep.new_scans import NewScan
from hnscc.base.errors import InputError, several


@dataclass(frozen=True)
class Units:
    """The unit of a modality's values in the study's files and in those of a new scan; "" where it is not known."""

    study: str
    scan: str

    @property
    def differ(self) -> bool:
        """Whether both are known, and are two."""
        return bool(self.study and self.scan) and self.study != self.scan

    @property
    def text(self) -> str:
        """What a user should know of them, in words; "" where they are one, or neither is known."""
        if self.study == self.scan:
            return ""
        if not self.scan:
            return f"the study's values are in {self.study}, and this scan's file does not say its unit"
        if not self.study:
            return f"the file is in {self.scan}, and the unit of the study's values is not known"
        return f"the file is in {self.scan}, and those of the study are in {self.study}"


def units_of(scan: NewScan, of_study: Mapping[str, str], *, pet_is_suv: bool) -> dict[str, Units]:
    """Return the units of each modality of a scan.

    of_study: those that all files of the study's modalities stated alike. pet_is_suv: the user says that the modality
    `pet` is in SUV, of the study's kind, where its file states no unit.
    """
    stated = {name: volume.unit for name, volume in scan.volumes.items()}
    if pet_is_suv and not stated.get("pet"):
        of_pet = of_study.get("pet", "")
        stated["pet"] = of_pet if of_pet in UNITS.values() else UNITS[BODY_WEIGHT]
    return {name: Units(of_study.get(name, ""), unit) for name, unit in stated.items()}


def check_units(scan: NewScan, units: Mapping[str, Units]) -> None:
    """InputError where a file is in another unit than the study's: the network knows other numbers."""
    faults = [
        InputError(
            "The scan is in another unit than the study's.",
            where=f"{scan.row.where}, column {name}",
            expected=of.study,
            found=of.scan,
            do="Name the file of that unit; if it is right as it is, say why: --accept-odd REASON.",
        )
        for name, of in units.items()
        if of.differ
    ]
    if faults:
        raise several(faults)
