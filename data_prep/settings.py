"""How scans become a store: the settings of `hnscc prepare`. Their defaults and limits stand here alone."""

from dataclasses import dataclass

from hnscc.base.argument_checks import check_flags, check_number, check_one_of, check_whole
from hnscc.base.errors import InputError

SUV = "bw", "lbm"  # by body weight, by lean body mass (data_prep.dicom.suv)
REGISTER = "rigid", "none"  # data_prep.registering
REGISTER_SEED = 2023  # of every scan and study alike: a scan is placed the same wherever it is prepared


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """What a cohort is prepared by; `hnscc.prepare` says what each setting means.

    InputError is raised for a value of another type, or beyond its limits.
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
    """InputError where scans that are odd are to be accepted without a word, as by True."""
    if accept_odd is not None and not (isinstance(accept_odd, str) and accept_odd.strip()):
        raise InputError(
            "A reason is missing.",
            where="--accept-odd",
            expected="why the scans are right as they are",
            found="no words",
            do="write the reason behind --accept-odd, or leave it out",
        )


def check_register(register: object, where: str = "--register") -> None:
    """InputError unless `register` is one of REGISTER, or None. where: what says it."""
    if register is not None:
        check_one_of(where, register, REGISTER)
