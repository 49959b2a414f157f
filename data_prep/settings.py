"""How scans become a store: the settings of `hnscc prepare`. Their defaults and ranges stand here alone."""

from dataclasses import dataclass

from hnscc.base.errors import InputError

SUV = "bw", "lbm"  # by body weight, by lean body mass (data_prep.dicom.suv)
REGISTER = "rigid", "none"  # data_prep.registering


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """What a cohort is prepared by.

    size: stored slices are size x size, 8 to 4096. pixel_mm: their pixel size, 0.01 to 100 mm; None keeps a scan's
    whole field of view. reference: the modality whose grid is used; None takes the one that the masks are drawn on
    (data_prep.row_files). workers: processes, 1 to 4096; None for one per core; each holds one scan at a time.
    overwrite: replace a store that is there. accept_odd: the reason why scans that are odd against the others
    (data_prep.oddities.odd) are right as they are; the store keeps it. suv: how PET of DICOM is turned into SUV, one of
    SUV. register: how modalities that lie in another frame of reference than the reference modality, or that state none
    (files that are no DICOM), are laid on it: one of REGISTER, of which "none" takes all as their files lie; None does
    so too, but refuses those in another frame. InputError is raised for any other value.
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
        _check_whole("--size", self.size, 8, 4096)
        if self.workers is not None:
            _check_whole("--workers", self.workers, 1, 4096)
        if self.pixel_mm is not None and not (_is_number(self.pixel_mm) and 0.01 <= self.pixel_mm <= 100):
            raise _refused("--pixel-mm is out of range.", "--pixel-mm", "0.01 to 100 mm", self.pixel_mm)
        if self.suv not in SUV:
            raise _refused("--suv is unknown.", "--suv", " or ".join(SUV), self.suv)
        check_register(self.register)
        check_reason(self.accept_odd)


def check_reason(accept_odd: str | None) -> None:
    """InputError where scans that are odd are to be accepted without a word."""
    if accept_odd is not None and not str(accept_odd).strip():
        raise InputError(
            "A reason is missing.",
            where="--accept-odd",
            expected="why the scans are right as they are",
            found="no words",
            do="write the reason behind --accept-odd, or leave it out",
        )


def check_register(register: str | None, where: str = "--register") -> None:
    """InputError unless `register` is one of REGISTER, or None. where: what says it."""
    if register is not None and register not in REGISTER:
        raise _refused(f"{where} is unknown.", where, " or ".join(REGISTER), register)


def _check_whole(option: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        expected = f"a whole number, {least} to {most}"
        raise _refused(f"{option} is out of range.", option, expected, value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refused(problem: str, option: str, expected: str, found: object) -> InputError:
    do = f"Correct {option} or leave it out, and prepare again."
    return InputError(problem, where=option, expected=expected, found=str(found), do=do)
