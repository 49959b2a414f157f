"""What the commands do, as Python functions; `import hnscc` offers them as `hnscc.prepare`, `hnscc.run` and so on.

The commands call these functions, so that there is no second way. What a function needs is imported when it is called:
`import hnscc` alone loads no torch, no Ray and no NumPy. Functions raise errors of hnscc.base.errors:
InputError for what the user gave wrong (it says where, expected, found and what to do), StorageError where a disk or S3
gave way, and `phantom` and `prepare` WorkerError where one of their processes died. Every location may be an s3:// URL
unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.settings import PrepareSettings

if TYPE_CHECKING:
    import pyarrow as pa

    from data_prep.dicom.listing import Listing
    from hnscc.base.locations import Location
    from hnscc.cohort.store import Store
    from hnscc.commands.checked import Checked
    from hnscc.commands.plan import Plan
    from hnscc.commands.predict import Predicted
    from hnscc.commands.prune import Pruned
    from hnscc.commands.status import Status
    from hnscc.commands.tables import Tables
    from hnscc.study.schema import Study
    from rayjobs.outcome import Outcome
    from rayjobs.search_outcome import SearchOutcome

    Progress = Callable[[int, int, str], None]

__all__ = [
    "aggregate",
    "check",
    "export",
    "init",
    "phantom",
    "plan",
    "predict",
    "prepare",
    "prune",
    "query",
    "report",
    "run",
    "scan",
    "search",
    "status",
    "tables",
    "verify",
]


def phantom(
    out: str | Path, *, patients: int = 44, seed: int = 2023, progress: Progress | None = None
) -> Path:
    """Make a synthetic PET-MRI cohort with a known truth; returns the path of its manifest.csv.

    Writes NIfTI files and manifest.csv into the new folder `out` (on a disk), or nothing. patients: 12 or more; 44
    have 62 scans, 18 of them with lesion. seed: the same seed gives the same files. progress: called with the scans
    done, their number, and the current one's id. It uses a process per core: in a script, call it below
    `if __name__ == "__main__":`. InputError: fewer than 12 patients, or `out` holds something.
    """
    from data_prep.phantom.phantom import make_phantom

    return make_phantom(out, patients=patients, seed=seed, progress=progress)


def prepare(
    manifest: str | Path,
    store: str | Path,
    *,
    size: int = PrepareSettings.size,
    pixel_mm: float | None = PrepareSettings.pixel_mm,
    reference: str | None = PrepareSettings.reference,
    workers: int | None = PrepareSettings.workers,
    overwrite: bool = PrepareSettings.overwrite,
    accept_odd: str | None = PrepareSettings.accept_odd,
    suv: str = PrepareSettings.suv,
    progress: Progress | None = None,
) -> Store:
    """Place, resize and store every slice of every scan of a manifest; returns the store, opened.

    manifest: a CSV with patient_id, scan_id, mask and a column per modality, on a disk. store: where the Zarr
    hierarchy is written, whole or not at all: images float32 (Z, C, H, W) in the files' units, masks uint8 (Z, H, W),
    H = W = size. pixel_mm: the pixel size in mm, by cropping and padding; None keeps the whole field of view.
    reference: the modality whose grid is used; None takes the one that the masks are drawn on. workers: processes;
    None for one per core, and then, in a script, call it below `if __name__ == "__main__":`. overwrite: replace a
    store that is there. accept_odd: the reason why scans that are odd against the others (another unit, say) are
    right as they are; the store keeps it, and `store.odd` says what was odd. suv: how PET of DICOM is turned into
    SUV, "bw" (body weight) or "lbm" (lean body mass). progress: called with the scans done, their number, and the
    current one's id.
    Beside the scans, the store holds prepare.html: one file that shows people the cohort, with histograms, pictures and
    the geometry of every scan, and what is odd.
    InputError tells what is wrong with the manifest and with every scan, with row and column, all in one.
    """
    from data_prep.build import build_store
    from hnscc.base.locations import locate
    from hnscc.commands.cohort_page import cohort_page

    settings = PrepareSettings(
        size=size,
        pixel_mm=pixel_mm,
        reference=reference,
        workers=workers,
        overwrite=overwrite,
        accept_odd=accept_odd,
        suv=suv,
    )
    page = partial(cohort_page, name=locate(store).name)
    return build_store(manifest, store, settings, page=page, progress=progress)


def scan(
    folder: str | Path,
    *,
    manifest: str | Path | None = None,
    pseudonyms: str | Path | None = None,
    progress: Progress | None = None,
) -> Listing:
    """List what a folder of DICOM, and those below it, hold: patients under pseudonyms, scans, and every series with
    its modality, geometry, regions, or what keeps it from being read. Headers alone are read.

    manifest: where a manifest for `prepare` is written; `notes` of what is returned tells what to look at in it, and
    `to_fill_in` the scans without a mask, whose cell FILL-IN `prepare` refuses until you have filled it in.
    pseudonyms: a CSV of pseudonyms and the patients' DICOM PatientIDs, which identifies them: pseudonyms that it holds
    are kept, new ones added, and only its owner may read it; None writes none. progress: called with the files done and
    their number. InputError is raised where no DICOM file can be read, the manifest is there already, or the file of
    pseudonyms is no such table.
    """
    from data_prep.dicom.listing import list_folder
    from data_prep.manifest.listed import read_pseudonyms, write_manifest, write_pseudonyms

    known = read_pseudonyms(Path(pseudonyms)) if pseudonyms is not None else {}
    listing = list_folder(Path(folder), known, progress)
    if manifest is not None:
        listing = write_manifest(listing, Path(manifest))
    if pseudonyms is not None:
        write_pseudonyms(listing, Path(pseudonyms))
    return listing


def verify(store: str | Path, *, progress: Progress | None = None) -> Store:
    """Read every chunk of a store and compare it with its checksums and digests; returns the store, opened.

    Writes nothing. progress: called with the scans done, their number, and the current one's id. InputError names every
    damaged scan.
    """
    from hnscc.cohort.store import open_store, verify_store

    opened = open_store(store)
    verify_store(opened, progress)
    return opened


def init(store: str | Path, study: str | Path | None = None) -> Path:
    """Write a study file for a store, with comments, and return its path; `check` takes it as it is.

    store: as the study is to name it. study: the new file, on a disk; the store's name with .yaml in the working
    directory unless given. It compares each modality alone, all together, and these augmented. InputError where the
    file is there already, there is no store, or no study fits it: nothing is written then.
    """
    from hnscc.commands.new_study import write_study

    return write_study(str(store), None if study is None else Path(study))


def check(
    study: str | Path | dict[str, Any],
    out: str | Path | None = None,
    *,
    half_width: float | None = None,
    accept_versions: bool = False,
    address: str | None = None,
) -> Checked:
    """Validate a study and tell what it would do, as `hnscc check --json` prints it. Writes and trains nothing.

    study: the study file, or its settings as a dictionary. out: the run folder; runs/<name of the study> unless given.
    half_width: also tell how many repeats give a 95 % interval of the median test Dice that reaches so far to either
    side (0 to 1). accept_versions: do not refuse finished trials of other versions, but name them (other_versions).
    address: the running Ray cluster whose machines are asked what they have; RAY_ADDRESS unless given, and without
    either this machine.
    The result has the keys study, run_folder, store, variants, splits, leakage_checks, warnings, trials,
    trial_states, left_out, other_versions, disk_mib, memory_mib, time, precision and search, of which
    hnscc.commands.checked.Checked says what each means.
    InputError for a setting that is wrong, a store that does not fit, a run folder of other settings, and a trial that
    asks for more CPUs or GPUs than any machine has.
    """
    from hnscc.commands.check import check_study

    return check_study(_study(study), out, half_width, accept_versions=accept_versions, address=address)


def run(
    study: str | Path | dict[str, Any],
    out: str | Path | None = None,
    address: str | None = None,
    limit: int | None = None,
    *,
    accept_versions: bool = False,
) -> Outcome:
    """Train what is missing of a study, then write its tables, figures and report; called again, it goes on.

    study, out: as for `check`. address: a running Ray cluster; RAY_ADDRESS unless given, and without either Ray is
    started on this machine and ended with the call. limit: train at most so many of the missing trials.
    accept_versions: go on beside finished trials of other versions. Progress is printed. Call it from the main thread,
    where Ctrl-C ends it.
    The outcome has folder, completed (trial ids), missing (how many), failed (kind of error by trial id), lost,
    interrupted and unused: a trial that fails raises nothing.
    InputError for what cannot run; a new run folder is then not left behind.
    """
    from rayjobs.study import run_study

    return run_study(_study(study), out, address, limit, accept_versions=accept_versions)


def search(
    study: str | Path | dict[str, Any],
    out: str | Path | None = None,
    address: str | None = None,
    *,
    accept_versions: bool = False,
) -> SearchOutcome:
    """Search the study's hyperparameters over repeats; write winners.yaml, tables, figures and a report.

    Called again, it goes on. Arguments are those of `run`. The outcome has folder (`folder.winners` is the study to run
    next), configurations, standings (the winner first), lost and interrupted. InputError for ranges or a budget that
    cannot be searched.
    """
    from rayjobs.search import run_search

    return run_search(_study(study), out, address, accept_versions=accept_versions)


def status(run: str | Path) -> Status:
    """Tell how far a study has come, also while it runs elsewhere, as `hnscc status --json` prints it.

    run: a run folder, such as runs/demo. Reads records and checkpoints alone. The result has the keys study, variants
    (number of trials by state), started, failed and tables (see hnscc.commands.status.Status). InputError where it is
    no run folder.
    """
    from hnscc.commands.status import run_status
    from hnscc.study.opening import open_run

    return run_status(open_run(run))


def aggregate(run: str | Path) -> list[str]:
    """Write the tables, figures and report of a run folder again from its finished trials.

    Returns what was found wrong with trials, a sentence each. InputError is raised where it is
    no run folder, or a fold is damaged.
    """
    from hnscc.study.opening import open_run
    from rayjobs.aggregate import aggregate as again

    return again(open_run(run))


def report(run: str | Path) -> Location:
    """Write report.html, report.md and the figures of a run folder again from its tables; returns where report.html is.

    InputError where it is no run folder, or a table is not written yet or damaged.
    """
    from hnscc.study.opening import open_run
    from rayjobs.aggregate import report as again

    folder = open_run(run)
    again(folder)
    return folder.html


def tables(run: str | Path) -> Tables:
    """The tables of a run folder by name: `tables(run)["pooled"]` is a pyarrow.Table, read when it is asked for.

    A mapping; `.facts("pooled")` says what a row and each column of a table mean. InputError where it is no run folder,
    for a name that is none of its tables, and for a table that is not written yet or damaged.
    """
    from hnscc.commands.tables import Tables
    from hnscc.study.opening import open_run

    return Tables(open_run(run))


def query(run: str | Path, sql: str) -> pa.Table:
    """Ask the tables of a run folder with SQL (DuckDB); returns the rows as a pyarrow.Table.

    sql: one SELECT; every table of the run folder is a table there, and nothing else can be reached. InputError with
    DuckDB's message where the SQL is wrong, and where a table is not written yet or damaged.
    """
    from hnscc.aggregation.query import query as ask
    from hnscc.study.opening import open_run

    return ask(open_run(run), sql)


def plan(run: str | Path, *, see: float = 0.05, power: float = 0.8) -> Plan:
    """Tell how many patients and repeats a study needs to see a difference, from a finished one as the pilot.

    see: the true difference in pooled Dice that is to be found, 0 to 1; power: with which chance, 0.5 to 0.99. Returns
    a mapping of numbers (see hnscc.commands.plan.Plan): of every pair of variants the smallest difference that the
    pilot itself finds, and the patients and repeats needed, each with the range that the pilot's own uncertainty
    leaves. InputError where there is no difference to plan from.
    """
    from hnscc.commands.plan import plan_study
    from hnscc.study.opening import open_run

    return plan_study(open_run(run), see, power)


def prune(run: str | Path) -> Pruned:
    """Delete the weights that no reading of the protocol needs; returns the number of files and their size in bytes.

    The median models keep theirs, and no table changes. InputError, and nothing is deleted, where the study is not
    finished or its tables are of other trials.
    """
    from hnscc.commands.prune import prune_weights
    from hnscc.study.opening import open_run

    return prune_weights(open_run(run))


def predict(
    run: str | Path,
    manifest: str | Path,
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
    progress: Progress | None = None,
) -> Predicted:
    """Predict lesions in new scans by the trained models of a finished study; writes the folder `out`, or nothing.

    run: a run folder. manifest: a CSV as for `prepare`, on a disk; its column mask may be missing, and rows that have a
    mask are scored. variant: by name; None for the only one, or the one whose median models score best on the
    validation slices. ensemble: all repeats instead of the median model of each fold. Several models predict by the
    mean of their probabilities, and placing, bounds and threshold are those of the study.
    For each scan: `<scan_id>.nii.gz`, its mask of 0 and 1 on the grid of its own reference file, and `<scan_id>.png`;
    with `probabilities` and `disagreement` (the models' standard deviation) maps of 0 to 1 beside them. Where the
    reference file is DICOM, `<scan_id>.seg.dcm`, a segmentation that refers to its series, and with `rtstruct`
    `<scan_id>.rtstruct.dcm`, its contours; they bear the manifest's patient_id, or with `keep_identity` the source's
    patient and study attributes. lesions.csv and lesions.json list the lesions: volume in ml, position in mm, highest
    and mean value of each modality; where PET is in SUV (DICOM, or by `pet_is_suv`), SUVmax, SUVmean, SUVpeak and TLG.
    scores.csv: Dice of the scans with a mask. predictions.json: all of it in short, and what is to be known of each
    scan. overwrite: replace such a folder. accept_odd: the reason why scans whose files state another unit than the
    study's are right as they are; predictions.json keeps it. progress: called with the scans done, their number, and
    the current one's id.
    The result has folder, and facts, the content of predictions.json. InputError for no run folder, an unfinished
    study, an unknown variant, a missing modality, and every fault of the manifest and its scans, all in one.
    """
    from hnscc.commands.predict import Wanted, predict_scans
    from hnscc.study.opening import open_run

    return predict_scans(
        open_run(run),
        manifest,
        out,
        variant=variant,
        ensemble=ensemble,
        wanted=Wanted(probabilities, disagreement, pet_is_suv, keep_identity, accept_odd, rtstruct),
        overwrite=overwrite,
        progress=progress,
    )


def export(run: str | Path, out: str | Path, *, variant: str | None = None, overwrite: bool = False) -> Path:
    """Write a variant's median models as a folder that others can use without this package; returns the folder.

    run: a run folder. out: a new folder, on a disk. variant: as for `predict`. overwrite: replace such a folder.
    model.onnx takes images float32 (N, C, H, W) in the store's units and gives probabilities float32 (N, H, W); weights
    are safetensors, one file for each fold; settings.json has the threshold, and model_card.md the study's numbers,
    cohort, limits, and the lines that use it all. InputError for no run folder, an unfinished study, or a variant that
    the study does not have.
    """
    from hnscc.commands.export import export_variant
    from hnscc.study.opening import open_run

    return export_variant(open_run(run), variant, out, overwrite=overwrite)


def _study(study: str | Path | dict[str, Any]) -> Study:
    from hnscc.study.loading import load_study, parse_study

    return parse_study(study) if isinstance(study, dict) else load_study(study)
