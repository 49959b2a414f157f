"""Commands that apply a finished study's models to new scans: predict, export."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from hnscc.commands import new_scan_api as api
from hnscc.commands.options import AsJson, Run

Variant = Annotated[
    str | None,
    typer.Option(help="Variant of the study; else the one that scores best on the validation slices."),
]
# A str, since Path would turn s3:// into s3:/, so that the refusal would show another text than was typed.
OutFolder = Annotated[str, typer.Option("--out", help="New folder for what is written.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a folder that this command made.")]
Scans = Annotated[
    list[str],
    typer.Argument(
        help="A CSV as for `prepare`, mask not needed; or one scan's files, pet=FILE mri=FILE; or folders of scans."
    ),
]
Ensemble = Annotated[
    bool, typer.Option("--ensemble", help="All repeats, not the median model of each fold alone.")
]
Probabilities = Annotated[
    bool, typer.Option("--probabilities", help="Write a map of probabilities for each scan, too.")
]
Disagreement = Annotated[
    bool, typer.Option("--disagreement", help="Write a map of the models' standard deviation, too.")
]
PetIsSuv = Annotated[
    bool,
    typer.Option(
        "--pet-is-suv", help="The files of the modality pet are in SUV, which NIfTI files do not say."
    ),
]
Rtstruct = Annotated[
    bool, typer.Option("--rtstruct", help="Of scans in DICOM, write contours (RTSTRUCT), too.")
]
KeepIdentity = Annotated[
    bool,
    typer.Option(
        "--keep-identity",
        help="Masks in DICOM bear the source's patient, not the manifest's patient_id.",
    ),
]
AcceptOdd = Annotated[
    str | None,
    typer.Option(
        metavar="REASON",
        help="Why scans in another unit of values than the study's are right; predictions.json keeps it.",
    ),
]
Pseudonyms = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Of folders: CSV of pseudonyms and patients' ids to keep and add to. It identifies patients.",
    ),
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # the name of a column, as in a manifest


def predict(
    run: Run,
    scans: Scans,
    out: OutFolder,
    variant: Variant = None,
    ensemble: Ensemble = False,
    probabilities: Probabilities = False,
    disagreement: Disagreement = False,
    pet_is_suv: PetIsSuv = False,
    rtstruct: Rtstruct = False,
    keep_identity: KeepIdentity = False,
    overwrite: Overwrite = False,
    accept_odd: AcceptOdd = None,
    pseudonyms: Pseudonyms = None,
    as_json: AsJson = False,
) -> None:
    """Predict the lesions of new scans by a finished study's models. Writes a mask and a picture per scan.

    The masks lie on the grid of each scan's own file; lesions.csv lists their lesions. Scans are placed, and the
    threshold is applied, as in the study; the output says where a scan is unlike the study's scans. If one scan cannot
    be read, nothing is written.

    Scans need no manifest: pet=pet.nii.gz mri=mri.nii.gz name the files of one scan (scan-1), and mask=FILE has it
    scored. A folder stands for all scans in it, under the pseudonyms of `hnscc scan`. Only a manifest's patient_id is
    looked for among the patients on whom the models were trained.

    Example: hnscc predict runs/demo data/demo/manifest.csv --out masks --variant pet_mri
    """
    from hnscc.base.console import counted, terminal
    from hnscc.commands.output_folders import PredictionFolder
    from hnscc.commands.predict import PredictOptions, predict_scans
    from hnscc.commands.printing import print_predictions
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
    with counted("predicting scans") as tell:
        found = predict_scans(open_run(run), _named(scans), out, options, tell)
    if as_json:
        print(json.dumps(found.facts, indent=1))
    else:
        print_predictions(found.facts, terminal())
        print(f"wrote {found.folder}\nnext:  look at the pictures, {PredictionFolder(found.folder).pictures}")


def _named(scans: list[str]) -> list[str] | dict[str, str]:
    """Return the files of one scan by modality, where each argument has the form pet=FILE; else the
    arguments unchanged."""
    pairs = [each.partition("=")[::2] for each in scans]
    # A path with a = in it can be given as ./a=b.
    if not all("=" in each and _NAME.fullmatch(name) for each, (name, _) in zip(scans, pairs, strict=True)):
        return scans
    names = [name.casefold() for name, _ in pairs]
    if len(set(names)) < len(names):
        raise InputError(
            "A modality is named twice.",
            where="SCANS",
            expected="each once, as in pet=FILE mri=FILE, for the files of one scan",
            found=f"{count_of(len(names), 'file')} for {count_of(len(set(names)), 'name')}",
            do="Leave one out. Several scans need a manifest: `hnscc predict RUN manifest.csv --out DIR`.",
        )
    return dict(pairs)


def export(run: Run, out: OutFolder, variant: Variant = None, overwrite: Overwrite = False) -> None:
    """Write a variant's median models for use without this package. ONNX, weights, settings and a model card.

    The graph takes slices in the store's units of values and gives probabilities; the card shows the lines that use it.

    Example: hnscc export runs/demo --variant pet_mri --out model
    """
    from hnscc.commands.output_folders import ExportFolder

    folder = api.export(run, out, variant=variant, overwrite=overwrite)
    print(f"wrote {folder}\nnext:  read {ExportFolder(folder).card}")
