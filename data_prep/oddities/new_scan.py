"""What is odd about one new scan beside those of a study, by the rules by which these were judged among themselves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data_prep.oddities.curves import fading
from data_prep.oddities.odd import odd_values
from data_prep.oddities.orientation import lies_otherwise
from data_prep.oddities.twins import means_of, reduced
from hnscc.base.arrays import Images
from hnscc.cohort.placement import Placement, ValueFacts
from hnscc.cohort.store_format import Scan

NEW = "new"  # the id of the new scan among those of the study, which are numbered


def odd_beside(
    images: Images,
    placement: Placement,
    modalities: Sequence[str],
    usual: Mapping[str, Any] | None,
) -> Iterator[str]:
    """A sentence on each thing that is odd: values of another unit, scale or level, exchanged dark and bright, a scan
    that lies otherwise; or one that says that nothing was compared.

    images: (Z, C, H, W), the stored slices of these modalities. usual: what the study's scans are like
    (hnscc.cohort.kept_of_store), or None where its run folder does not say.
    """
    if usual is None:
        yield (
            "not compared with the study's scans: its run folder, or the store that it was made from, was made before "
            "they kept what these are like; prepare the store again, and `hnscc run STUDY` adds that"
        )
        return
    slices = reduced(means_of(images))
    for at, modality in enumerate(modalities):
        theirs = [_scan(str(at), modality, values) for at, values in enumerate(usual["values"][modality])]
        new = _scan(NEW, modality, placement["values"][modality])
        told = [odd.text for odd in odd_values([*theirs, new], modality) if odd.scan_id == NEW]
        most = usual["lying"].get(modality)
        if most and (sentence := lies_otherwise(modality, slices[at], most)):
            told.append(sentence)
        told = told or [odd.text for odd in fading([*theirs, new], modality) if odd.scan_id == NEW]
        yield from (f"beside the study's scans, {text}" for text in told)


def _scan(scan_id: str, modality: str, values: ValueFacts) -> Scan:
    """A scan of which nothing is known but its values."""
    return Scan(
        scan_id=scan_id,
        patient_id="",
        slices=0,
        lesion_px=(),
        source_lesion_px=(),
        spacing_mm=(1.0, 1.0, 1.0),
        affine=(),
        placement={"values": {modality: values}},
        digest="",
        split=None,
    )
