"""Predicts masks for new scans with a finished study's models, and writes the files that describe them."""

import contextlib
import csv
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from data_prep.dicom.header import quiet
from data_prep.dicom.series_volume import names_dicom
from data_prep.manifest.manifest import Fault, Row, raise_all
from data_prep.new_scans import NewScan, Scans, list_scans, place_new
from data_prep.placing.way_back import in_file_order, save_nifti
from data_prep.settings import check_reason
from hnscc.aggregation.models import Models, models_of
from hnscc.base.argument_checks import check_flags
from hnscc.base.arrays import StoredProbabilities
from hnscc.base.cores import threads
from hnscc.base.errors import InputError
from hnscc.base.files import write_json
from hnscc.base.folders import new_folder, write_marker
from hnscc.base.steps import Progress
from hnscc.cohort.store_format import Placing
from hnscc.commands.output_folders import FACTS_FILE, PREDICT, PredictionFolder, check_names, outside
from hnscc.commands.predicted_scan import (
    SCORES,
    ScanPrediction,
    combine,
    intensities_of,
    lesion_columns,
    rows_of_lesions,
    scores_of_scan,
    told_of,
    told_of_ids,
)
from hnscc.reporting.plotting.scan_picture import scan_picture
from hnscc.study.run_folder import RunFolder
from hnscc.training.inference import TrainedModels


@dataclass(frozen=True)
class Predicted:
    """What `hnscc predict` wrote. facts: the content of predictions.json (study, variant, trials, threshold, warnings
    on all scans, and scans)."""

    folder: Path
    facts: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Which models predict scans, and what is written for each besides its mask and picture.

    variant, ensemble: as in `models_of`. probabilities, disagreement: whether to write maps of these. pet_is_suv: the
    modality `pet` is in SUV, though its files do not say so. rtstruct: write contours too for scans in DICOM.
    keep_identity: masks in DICOM name the source's patient, not a pseudonym. overwrite: replace an earlier prediction.
    accept_odd: why scans in another unit of values than the study's are right. pseudonyms: as in `list_scans`.
    InputError for a flag that is not True or False, and for a reason without words.
    """

    variant: str | None = None
    ensemble: bool = False
    probabilities: bool = False
    disagreement: bool = False
    pet_is_suv: bool = False
    rtstruct: bool = False
    keep_identity: bool = False
    overwrite: bool = False
    accept_odd: str | None = None
    pseudonyms: str | Path | None = None

    def __post_init__(self) -> None:
        flags = [each.name for each in fields(self) if each.default is False]
        check_flags(**{name: getattr(self, name) for name in flags})
        check_reason(self.accept_odd)


def predict_scans(
    run: RunFolder, scans: Scans, out: str | Path, options: PredictOptions, progress: Progress | None = None
) -> Predicted:
    """Predict every given scan and write the folder `out`, whole or not at all; see `hnscc.predict`."""
    models = models_of(run, options.variant, ensemble=options.ensemble)
    rows = list_scans(scans, models.needed, models.placing["reference"], outside(out, options.pseudonyms))
    _check(models, options)
    check_names([row.scan_id for row in rows])
    tell = progress or (lambda *now: None)
    network = models.variant.training.network
    # All of it is quiet: another thread reads scans, and warnings have one state for all threads.
    with quiet(), new_folder(out, FACTS_FILE, PREDICT, overwrite=options.overwrite) as root:
        folder = PredictionFolder(root)
        trained = TrainedModels(run, network, models.members, threads=threads())
        found: list[_Done] = []
        faults: list[Fault] = []
        tell(0, len(rows), "reading scans")
        with contextlib.closing(_placed_ahead(rows, models, options)) as ahead:
            for number, (row, coming) in enumerate(ahead, start=1):
                try:
                    scan = coming.result()
                except InputError as fault:  # the rest are then only read, and all faults are shown at once
                    faults.append((row.line, fault))
                else:
                    if not faults:
                        probabilities = trained.probabilities(scan.images)
                        found.append(_write_scan(scan, probabilities, models, options, folder))
                        del probabilities
                    del scan, coming  # freed before the next is placed: a scan takes hundreds of MB
                tell(number, len(rows), row.scan_id)
        raise_all(faults)
        accepted = options.accept_odd if any(each.other_unit for each in found) else None
        facts = {
            **models.facts,
            "accepted": accepted,
            "told": told_of_ids(rows),
            "scans": [each.facts for each in found],
        }
        _write_tables(folder, found, models)
        facts = write_marker(root, FACTS_FILE, PREDICT, facts)
    return Predicted(Path(out), facts)


def _check(models: Models, options: PredictOptions) -> None:
    if options.disagreement and len(models.members) < 2:
        raise InputError(
            "One model cannot disagree with itself.",
            where="--disagreement",
            expected="several models: --ensemble, or a study of several folds",
            found=f"{models.members[0].trial_id} alone",
            do="leave --disagreement out"
            if options.ensemble
            else "add --ensemble, or leave --disagreement out",
        )
    if options.pet_is_suv and "pet" not in models.needed:
        raise InputError(
            "There is no PET that could be in SUV.",
            where="--pet-is-suv",
            expected="a variant with the modality pet",
            found=f"variant {models.name} with {', '.join(models.needed)}",
            do="leave --pet-is-suv out",
        )


@dataclass(frozen=True)
class _Done:
    facts: dict[str, Any]
    lesions: list[dict[str, Any]]
    scores: dict[str, Any] | None
    other_unit: bool  # whether its unit differs from the study's, and was accepted


def _placed_ahead(
    rows: Sequence[Row], models: Models, options: PredictOptions
) -> Generator[tuple[Row, Future[NewScan]], None, None]:
    """Yield each row with the future of its scan, which a thread places as those of the study were, while the scan
    before is predicted. The future of a scan that cannot be placed raises InputError."""
    place = partial(
        place_new,
        modalities=models.variant.modalities,
        placing=Placing.of_kept(models.placing),
        pet_is_suv=options.pet_is_suv,
        accept_other_unit=options.accept_odd is not None,
    )
    thread = ThreadPoolExecutor(1)
    try:
        coming = thread.submit(place, rows[0])
        for row, after in zip(rows, [*rows[1:], None], strict=True):
            this = coming
            if after is not None:
                coming = thread.submit(place, after)
            yield row, this
    finally:
        thread.shutdown(cancel_futures=True)


def _write_scan(
    scan: NewScan,
    probabilities: Iterable[StoredProbabilities],
    models: Models,
    options: PredictOptions,
    folder: PredictionFolder,
) -> _Done:
    """Write the mask of a scan and its other files, and return what is known of it. probabilities: what each model
    predicts on its slices, uint16 (Z, H, W)."""
    predicted = combine(
        scan,
        probabilities,
        models.k,
        unseen=scan.unseen(models.variant.modalities),
        with_probability=options.probabilities,
        with_disagreement=options.disagreement,
    )
    files, left_out = _write_files(folder, scan, predicted, models, options)
    suv = scan.in_suv or ("pet" if options.pet_is_suv else None)
    lesions = rows_of_lesions(scan, predicted, models.needed, suv)
    scored = scores_of_scan(scan, predicted)
    found = intensities_of(scan, models)
    facts = {
        "scan_id": scan.row.scan_id,
        "patient_id": scan.row.patient_id,
        "files": files,
        "lesions": len(lesions),
        "volume_ml": round(sum(each["volume_ml"] for each in lesions), 4),
        "dice": scored and scored["dice"],
        "intensities": found,
        "units": {name: of.scan or None for name, of in scan.units_of_values.items()},
        "registered": scan.placement.get("registered", {}),
        "told": [*told_of(scan, models, found), *left_out],
    }
    return _Done(facts, lesions, scored, any(of.differ for of in scan.units_of_values.values()))


def _write_files(
    folder: PredictionFolder,
    scan: NewScan,
    predicted: ScanPrediction,
    models: Models,
    options: PredictOptions,
) -> tuple[dict[str, str], list[str]]:
    """Write the files of one scan. Return their names by content, and sentences on those that could not be written."""
    name, placement = scan.row.scan_id, scan.placement
    files = {"mask": folder.mask(name), "picture": folder.picture(name)}
    save_nifti(files["mask"], predicted.lesion.astype("uint8"), placement)
    for kind, values in (("probability", predicted.probability), ("disagreement", predicted.disagreement)):
        if values is not None:
            files[kind] = folder.values(name, kind)
            save_nifti(files[kind], values, placement)
    as_dicom, left_out = _write_dicom(folder, scan, predicted, options)
    files |= as_dicom
    images = {each: scan.images[:, at] for at, each in enumerate(models.variant.modalities)}
    truth = None if scan.drawn is None else scan.stored_truth == 1
    picture = scan_picture(f"{name}, variant {models.name}", images, predicted.pictured, truth, scan.pixel_mm)
    files["picture"].write_bytes(picture)
    return {kind: path.name for kind, path in files.items()}, left_out


def _write_dicom(
    folder: PredictionFolder, scan: NewScan, predicted: ScanPrediction, options: PredictOptions
) -> tuple[dict[str, Path], list[str]]:
    """Write the mask as DICOM that refers to the series whose grid it has. Return the files, by what they hold, and
    sentences on those that could not be written; the mask as NIfTI is there in any case."""
    name, reference = scan.row.scan_id, scan.placement["reference"]
    source = scan.row.files[reference]
    if not names_dicom(source):
        none = f"no DICOM structure set was written: the file of {reference} is no DICOM"
        return {}, [none] if options.rtstruct else []
    from data_prep.dicom.rtstruct_out import save_rtstruct
    from data_prep.dicom.seg_out import save_seg  # imported here, since highdicom takes a second

    kinds: list[tuple[str, Path, Callable[..., None]]] = [
        ("segmentation", folder.segmentation(name), save_seg)
    ]
    if options.rtstruct:
        kinds.append(("structure set", folder.structure_set(name), save_rtstruct))
    mask = in_file_order(predicted.lesion.astype("uint8"), scan.placement)
    whose = {"patient_id": scan.row.patient_id, "keep_identity": options.keep_identity}
    files, left_out = {}, []
    for kind, path, save in kinds:
        try:
            save(path, mask, source, **whose, where=f"{scan.row.where}, column {reference}")
            files[kind.replace(" ", "_")] = path
        except InputError as fault:
            found = f"{fault.problem} (expected {fault.expected}, found {fault.found})"
            left_out.append(f"no DICOM {kind} was written: {found}")
    return files, left_out


def _write_tables(folder: PredictionFolder, found: Sequence[_Done], models: Models) -> None:
    lesions = [lesion for each in found for lesion in each.lesions]
    _write_csv(folder.lesions, lesion_columns(models.needed, lesions), lesions)
    write_json(folder.lesions_as_json, lesions)
    if scored := [each.scores for each in found if each.scores]:
        _write_csv(folder.scores, SCORES, scored)


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
