"""The settings of `hnscc prepare`, which say how scans become a store, with their only defaults and limits."""

from dataclasses import dataclass

from hnscc.base.argument_checks import check_flags, check_number, check_one_of, check_whole
from hnscc.base.errors import InputError

SUV = "bw", "lbm"  # by body weight, by lean body mass (data_prep.dicom.suv)
REGISTER = "rigid", "none"  # data_prep.registering
# the same for all scans and studies, so that a scan is placed alike wherever it is prepared
REGISTER_SEED = 2023


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """The settings that a cohort is prepared by; `hnscc.prepare` says what each one means.

    InputError is raised for a value of the wrong type or beyond its limits.
    """

    size: int = 128
    pixel_mm: float | None = None
    reference: str | None = None
    workers: int | None = None
    overwrite: bool = False
    accept_odd: str | None = None
    suv: str = SUV[0]
    register: str | None = None

    def __post_init__(self) -> None:
        check_whole("size", self.size, 8, 4096)
        if self.pixel_mm is not None:
            check_number("pixel_mm", self.pixel_mm, 0.01, 100, " mm")
        if self.workers is not None:
            check_whole("workers", self.workers, 1, 4096)
        check_flags(overwrite=self.overwrite)
        check_one_of("--suv", self.suv, SUV)
        check_register(self.register)
        check_reason(self.accept_odd)


def check_reason(accept_odd: object) -> None:
    """Raise InputError where odd scans are to be accepted without a reason in words, as by True."""
    if accept_odd is not None and not (isinstance(accept_odd, str) and accept_odd.strip()):
        raise InputError(
            "A reason is missing.",
            where="--accept-odd",
            expected="why the scans are right as they are",
            found="no words",
            do="write the reason behind --accept-odd, or leave it out",
        )


def check_register(register: object, where: str = "--register") -> None:
    """Raise InputError unless `register` is one of REGISTER, or None. where: how the error names the setting."""
    if register is not None:
        check_one_of(where, register, REGISTER)
