"""The functions behind the commands that apply a finished study's models to new scans: predict, export."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hnscc.base.steps import Progress
    from hnscc.commands.predict import Predicted


def predict(
    run: str | os.PathLike[str],
    scans: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    out: str | Path,
    *,
    variant: str | None = None,
    ensemble: bool = False,
    probabilities: bool = False,
    disagreement: bool = False,
    pet_is_suv: bool = False,
    rtstruct: bool = False,
    keep_identity: bool = False,
    overwrite: bool = False,
    accept_odd: str | None = None,
    pseudonyms: str | Path | None = None,
    progress: Progress | None = None,
) -> Predicted:
    """Predict lesions in new scans with the trained models of a finished study, and write the folder `out`, or nothing.

    The median model of each fold predicts; several predict by the mean of their probabilities. Placing, bounds and
    threshold are those of the study. Scans that have a mask are scored.

    - run: a run folder.
    - scans: a CSV as for `prepare`, on a disk, whose column mask may be missing. Or a mapping from modality to file for
      one scan, which may also have `mask` and `roi`. Or a folder of scans, or a list of folders: their scans are those
      that `scan` would write into a manifest, under the same pseudonyms.
    - out: the folder that is written.
    - variant: by name; None for the only one, or the one whose median models score best on the validation slices.
    - ensemble: use all repeats instead of the median model of each fold.
    - probabilities, disagreement: write maps of the mean, and of the models' standard deviation.
    - pet_is_suv: the modality `pet` is in SUV where its files do not say so.
    - rtstruct: write the contours as DICOM too.
    - keep_identity: masks in DICOM have the attributes of the source's patient and DICOM study, not patient_id.
    - overwrite: replace such a folder.
    - accept_odd: the reason why scans whose files state another unit of values than the study's are right as they are;
      predictions.json keeps it.
    - pseudonyms: for folders, a CSV that keeps which patient each pseudonym stands for, as in `scan`.
    - progress: called with the number of scans done, their total, and the id of the current one.

    The folder holds:

    - `<scan_id>.nii.gz`: the mask of 0 and 1 on the grid of the scan's own reference file.
    - `<scan_id>.png`: a picture of it. Maps of 0 to 1 stand beside it, if they were asked for.
    - `<scan_id>.seg.dcm`: if the reference file is DICOM, a segmentation that refers to its series; with `rtstruct`
      also its contours, `<scan_id>.rtstruct.dcm`.
    - lesions.csv, lesions.json: the lesions, with size in ml, position in mm, highest and mean value of each
      modality; where PET is in SUV (DICOM, or by `pet_is_suv`), SUVmax, SUVmean, SUVpeak and TLG.
    - scores.csv: Dice of the scans with a mask.
    - predictions.json: all of it in short, with warnings on each scan and on all of them: without a manifest, for
      example, that nobody could check whether a scan is of a patient on whom the models were trained.

    The result has `folder`, and `facts`, the content of predictions.json. InputError for no run folder, an unfinished
    study, an unknown variant, scans that are given in another way, a missing modality, and every fault of the manifest
    and its scans, all at once.
    """
    from hnscc.base.locations import check_places
    from hnscc.commands.predict import PredictOptions, predict_scans
    from hnscc.study.loading import open_run

    options = PredictOptions(
        variant=variant,
        ensemble=ensemble,
        probabilities=probabilities,
        disagreement=disagreement,
        pet_is_suv=pet_is_suv,
        rtstruct=rtstruct,
        keep_identity=keep_identity,
        overwrite=overwrite,
        accept_odd=accept_odd,
        pseudonyms=pseudonyms,
    )
    check_places(out=out)
    return predict_scans(open_run(run), scans, out, options, progress)


def export(
    run: str | os.PathLike[str], out: str | Path, *, variant: str | None = None, overwrite: bool = False
) -> Path:
    """Write a variant's median models as a folder that others can use without this package, and return the folder.

    run: a run folder. out: a new folder, on a disk. variant: as for `predict`. overwrite: replace such a folder.
    model.onnx takes images float32 (N, C, H, W) in the store's units of values and returns probabilities float32 (N, H,
    W). The weights are safetensors, one file for each fold. settings.json has the threshold, and model_card.md has the
    study's numbers, cohort, limits, and the lines of code that use the model. InputError for no run folder, an
    unfinished study, or a variant that the study does not have.
    """
    from hnscc.base.argument_checks import check_flags
    from hnscc.base.locations import check_places
    from hnscc.commands.export import export_variant
    from hnscc.study.loading import open_run

    check_flags(overwrite=overwrite)
    check_places(out=out)
    return export_variant(open_run(run), variant, out, overwrite=overwrite)
