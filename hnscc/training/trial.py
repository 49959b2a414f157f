"""One trial, from its fold's data to its record."""

import math
import time
import traceback
from collections.abc import Generator, Sequence

import pyarrow as pa
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from hnscc.base.encode import parquet_bytes
from hnscc.base.errors import StorageError
from hnscc.base.files import sha256, write_bytes
from hnscc.cohort.fold import FoldData
from hnscc.study.identity import identity, setting_differences, trial_settings, version_differences
from hnscc.study.plan import Trial
from hnscc.study.run_folder import TrialFolder
from hnscc.study.schema import Study
from hnscc.study.variant_schema import Variant
from hnscc.training.augment import training_slices, validation_slices
from hnscc.training.feeding import hold, holding
from hnscc.training.loop import Epoch, Fit
from hnscc.training.model import build_model
from hnscc.training.process import (
    give_back_memory,
    gpu_is_lost,
    memory_is_full,
    peak_gpu_bytes,
    set_up_torch,
)
from hnscc.training.records import HISTORY, OUT_OF_MEMORY, Attempt, Began, Failed, Trained, write_record
from hnscc.training.saving import Saving
from hnscc.training.scored import predicted_files
from hnscc.training.states import is_complete, with_weights
from hnscc.training.tidying import tidy


def steps_of_trial(
    study: Study,
    trial: Trial,
    data: FoldData,
    folder: TrialFolder,
    *,
    device: str,
    precision: str,
    gpus: float = 1.0,
    attempts: Sequence[Attempt] = (),
    pause_after: int | None = None,
) -> Generator[Epoch | None]:
    """Train one trial and write its folder. Yields each epoch's row of history.parquet, on a processor once its
    checkpoint is there (`saving`), and then None after each batch that was predicted and each scan that was scored.

    device and precision are what `resolve_device` chose. gpus: the share of a GPU's memory that it may take.
    attempts: earlier ones that ended in failure, to be kept in the record. pause_after: an epoch after which it
    pauses, leaving its checkpoint and no record; None to train to the end. Continues from the trial's own
    checkpoint where there is one. A finished trial whose predictions are damaged, or of other slices than the fold
    scores now (`evaluation.slices`), is predicted again by its weights and yields no epoch; it is trained again where
    these are gone. Weights of other versions, if these were accepted, predict too: the record says by which.

    This is the trial's boundary: an exception becomes a record with status failed and the traceback; where weights
    were to predict again, it is added to the record that vouches for them. Two that are not
    the trial's fault are raised, and its checkpoint stays: StorageError, and an error after which this process can
    compute on its GPU no more (`process.gpu_is_lost`). It must end then, and another process go on with the trial.
    """
    began = begin(study, trial, data.digest, device=device, precision=precision)
    variant, tolerance_mm = study.variants[trial.variant], study.evaluation.tolerance_mm
    tried = [*attempts]
    try:
        fit = _start(variant, began, tried, gpus)
        if finished := _own_weights(folder, began):
            yield from _predict_again(*finished, fit, variant, data, folder, tolerance_mm)
            return
        fit.resume(folder, gpus)
        if stopped := (yield from _epochs(fit, variant, data, folder, pause_after)):
            yield from _write_results(fit, stopped, variant, data, folder, gpus, tolerance_mm)
    except StorageError:
        raise
    except Exception as error:  # the boundary: whatever went wrong is this trial's alone
        # A process that was taken for lost with its machine, and was not, may have finished this trial meanwhile, and
        # deleted the checkpoints that this one was writing.
        if is_complete(folder, data.others_digest):
            return
        if gpu_is_lost(error):
            raise
        _tell_failure(folder, began, tried, error)


def begin(study: Study, trial: Trial, fold_digest: str, *, device: str, precision: str) -> Began:
    """What is known of a trial before it is trained. InputError where its encoder weights cannot be read."""
    settings = trial_settings(study, trial, device=device, precision=precision, fold_digest=fold_digest)
    return Began(
        trial_id=trial.trial_id,
        variant=trial.variant,
        fold=trial.fold,
        repeat=trial.repeat,
        identity=identity(settings),
        settings=settings,
        seeds=settings["seeds"],
        device=device,
        precision=precision,
        threads=settings["training"]["threads"],
        versions=settings["versions"],
    )


def write_failure(
    folder: TrialFolder, began: Began, attempts: Sequence[Attempt], failure: str, error: str
) -> None:
    """Write that a trial ended in an error. failure: its kind; error: the traceback.

    The record of a trial that was trained to its end before, and whose weights are there, is kept and says it too:
    without it nothing would vouch for them. StorageError where the disk does not answer.
    """
    if finished := _own_weights(folder, began):
        write_record(folder, finished[0].model_copy(update={"failure": failure, "error": error}))
        return
    ended = Failed(**dict(began), status="failed", attempts=tuple(attempts), failure=failure, error=error)
    write_record(folder, ended)


def _start(variant: Variant, began: Began, attempts: list[Attempt], gpus: float) -> Fit:
    """The trial before its first epoch, in a process made ready for it."""
    give_back_memory()  # of the trial before
    set_up_torch(began.device, began.threads, gpus, began.precision)
    model = build_model(variant.training.network, len(variant.modalities), seed=began.seeds["initialisation"])
    return Fit.start(model, variant.training, began, attempts)


def _epochs(
    fit: Fit, variant: Variant, data: FoldData, folder: TrialFolder, pause_after: int | None
) -> Generator[Epoch, None, str | None]:
    """Train epoch by epoch, with checkpoints; returns why it stopped, None where it pauses."""
    device = fit.began.device
    validation = hold(validation_slices(variant, data, fit.began.seeds), device)
    training = holding(training_slices(variant, data, fit.began.seeds), device)
    pauses = math.inf if pause_after is None else pause_after
    with Saving(fit, folder) as saving:
        while fit.stop_reason is None and fit.epoch < pauses:
            began, epoch = time.monotonic(), fit.epoch + 1
            loss = fit.train_epoch(epoch, training(epoch))
            fit.finish_epoch(loss, *fit.validate(validation), since=began)
            saving.epoch_ended(last=fit.stop_reason is not None or fit.epoch >= pauses)
            yield fit.history[-1]
    return fit.stop_reason


def _tell_failure(folder: TrialFolder, began: Began, attempts: list[Attempt], error: Exception) -> None:
    """The record of a trial that ended in this error, which is being handled; its last attempt names the kind."""
    kind = OUT_OF_MEMORY if memory_is_full(error) else type(error).__name__
    if attempts:
        attempts[-1] = attempts[-1].model_copy(update={"ended": kind})
    write_failure(folder, began, attempts, kind, traceback.format_exc())


def _write_results(
    fit: Fit,
    stop_reason: str,
    variant: Variant,
    data: FoldData,
    folder: TrialFolder,
    gpus: float,
    tolerance_mm: float,
) -> Generator[None]:
    """All files first, the record that vouches for them last; then the checkpoint goes."""
    started = time.monotonic()
    fit.model.load_state_dict(fit.best)
    fit.optimiser.forget_gradients()
    give_back_memory()
    predicted, scores = yield from predicted_files(fit, variant, data, folder, tolerance_mm)
    weights = {name: value.cpu().contiguous() for name, value in fit.best.items()}
    contents = {
        **predicted,
        folder.weights: save_safetensors(weights),
        folder.history: parquet_bytes(pa.Table.from_pylist(list(fit.history), schema=HISTORY)),
    }
    for path, content in contents.items():
        write_bytes(path, content)
    record = Trained(
        **dict(fit.began),
        **scores,
        status="completed",
        attempts=tuple(fit.attempts),
        best_epoch=fit.best_epoch,
        best_val_soft_jaccard=fit.history[fit.best_epoch - 1]["val_soft_jaccard"],
        epochs=fit.epoch,
        stop_reason=stop_reason,
        seconds=sum(row["seconds"] for row in fit.history) + time.monotonic() - started,
        peak_gpu_bytes=peak_gpu_bytes(gpus) if fit.began.device == "cuda" else None,
        files={path.name: sha256(content) for path, content in contents.items()},
    )
    write_record(folder, record)
    tidy(folder)


def _own_weights(folder: TrialFolder, began: Began) -> tuple[Trained, bytes] | None:
    """The record and the weights of this very trial, trained to its end before; None where there are none.

    Other versions may have trained it: they were accepted before it came to this.
    """
    finished = with_weights(folder)
    if not finished or finished[0].identity == began.identity:
        return finished
    settings = finished[0].settings
    own = version_differences(settings, began.settings) and not setting_differences(settings, began.settings)
    return finished if own else None


def _predict_again(
    record: Trained,
    weights: bytes,
    fit: Fit,
    variant: Variant,
    data: FoldData,
    folder: TrialFolder,
    tolerance_mm: float,
) -> Generator[None]:
    """Other slices of a finished trial. Cut short before its record is written, it is done again."""
    fit.model.load_state_dict(load_safetensors(weights))
    contents, scores = yield from predicted_files(fit, variant, data, folder, tolerance_mm)
    for path, content in contents.items():
        write_bytes(path, content)
    files = record.files | {path.name: sha256(content) for path, content in contents.items()}
    versions = fit.began.versions
    by = {"predicted_by": {} if versions == record.versions else versions, "failure": None, "error": None}
    write_record(folder, record.model_copy(update={**scores, **by, "files": files}))
