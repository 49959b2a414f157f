"""Which modality is shown as anatomy, and which as uptake."""

from collections.abc import Iterable

UPTAKE = "pet"


def anatomy(modalities: Iterable[str]) -> str | None:
    """Return the modality that is shown in grey: mri, else ct, else the first that is not PET, else None."""
    others = [name for name in modalities if name != UPTAKE]
    return next((name for name in ("mri", "ct") if name in others), others[0] if others else None)
