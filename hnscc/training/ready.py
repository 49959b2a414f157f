"""Make a run folder ready: its study, its folds, and the check that nothing trained there has changed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from hnscc.base.errors import InputError
from hnscc.base.files import write_text
from hnscc.base.in_words import listed
from hnscc.base.locations import Location
from hnscc.base.split_names import SPLITS
from hnscc.base.steps import Progress
from hnscc.cohort.fold import FoldData, read_folds, write_fold
from hnscc.cohort.same_data import check_same_data
from hnscc.cohort.splits import Division, divide_cohort, modalities_used
from hnscc.cohort.store import Store, open_store
from hnscc.study.identity import versions_here
from hnscc.study.loading import dump_study, kept_study
from hnscc.study.ranges import variants_to_try
from hnscc.study.run_folder import RunFolder, TrialFolder, inside, run_folder_of
from hnscc.study.schema import Study
from hnscc.study.trials import Trial, trials_of
from hnscc.study.variant_schema import Training, Variant
from hnscc.training.earlier import (
    any_trained,
    check_identities,
    check_same_folds,
    choose_devices,
    keep_precision,
    with_enough,
)
from hnscc.training.provenance import add_invocation
from hnscc.training.records import NEEDED, Attempt
from hnscc.training.states import TrialState, trial_state


@dataclass(frozen=True)
class Task:
    """One trial that is to be trained, with all that this needs.

    folder: where its results are written. device, precision: what `devices.resolve_device` chose. gpus: the share of a
    GPU's memory that it may take. attempts: earlier attempts that failed, to be kept in the record. pause_after: the
    epoch after which it pauses, leaving its checkpoint and no record; None to train to the end.
    """

    study: Study
    trial: Trial
    data: FoldData
    folder: TrialFolder
    device: str
    precision: str
    gpus: float = 1.0
    attempts: Sequence[Attempt] = ()
    pause_after: int | None = None

    @property
    def variant(self) -> Variant:
        return self.study.variants[self.trial.variant]


@dataclass(frozen=True)
class ReadyRun:
    """A run folder that trials can be trained into.

    computed_by: for each variant the device (cpu, cuda) and precision (fp32, bf16) that `auto` chose. versions: those
    of this project's arithmetic and of the libraries on the machine that made the folder ready, which all machines that
    train must have too; None where other versions are accepted. mended: a line for each fold whose files were damaged
    and written again.
    """

    study: Study
    folder: RunFolder
    folds: Mapping[int, FoldData]
    computed_by: Mapping[str, tuple[str, str]]
    versions: Mapping[str, str] | None
    mended: Sequence[str] = ()

    def task(
        self,
        trial: Trial,
        *,
        gpus: float | None = None,
        attempts: Sequence[Attempt] = (),
        pause_after: int | None = None,
    ) -> Task:
        """Return a trial of the study as a task for this machine, with what was chosen for its variant; arguments as
        in `Task`. gpus: None for a whole one where the trial is trained on one."""
        data, folder = self.folds[trial.fold], self.folder.trial(trial.trial_id)
        device, precision = self.computed_by[trial.variant]
        return Task(
            study=self.study,
            trial=trial,
            data=data,
            folder=folder,
            device=device,
            precision=precision,
            gpus=float(device == "cuda") if gpus is None else gpus,
            attempts=attempts,
            pause_after=pause_after,
        )

    def state(self, trial: Trial, *, just_trained: bool = False) -> TrialState:
        """Return a trial's state now: completed where it has predicted all slices that the study evaluates.
        just_trained: this command trained it, and its worker has already compared its weights with their hash, so they
        are not read again."""
        return trial_state(
            self.folder.trial(trial.trial_id),
            others_digest=self.folds[trial.fold].others_digest,
            check=NEEDED if just_trained else None,
        )

    def not_completed(self) -> list[Trial]:
        """Return the trials of the study that are not completed, sorted by repeat, so that a study that is cut short
        has about as many repeats of every variant.

        A trained one among them, whose predictions are damaged or of other slices than the study evaluates, only has to
        predict again (`trial.steps_of_trial`). The others are to be trained.
        """
        left = [trial for trial in trials_of(self.study) if self.state(trial).status != "completed"]
        return sorted(left, key=lambda trial: trial.repeat)


def open_and_divide(study: Study) -> tuple[Store, list[Division]]:
    """Open the study's store and divide its cohort, fold by fold, without reading images or loading PyTorch. InputError
    where the store does not fit the study."""
    store = open_store(study.store)
    for name, variant in study.variants.items():
        absent = [modality for modality in variant.modalities if modality not in store.modalities]
        if absent:
            raise InputError(
                "A variant names a modality that the store does not hold.",
                where=f"variants.{name}.modalities",
                expected=f"some of {', '.join(store.modalities)}",
                found=", ".join(absent),
                do="correct the variant, or prepare the store with that modality",
            )
    divisions = [divide_cohort(store, study, fold) for fold in range(study.split.folds)]
    return store, [_as_read(division, study) for division in divisions]


class NetworksToTry(NamedTuple):
    """What `check_networks` takes: the variants whose networks are tried, the size of a slice in pixels, and how many
    slices each fold has for training."""

    variants: Sequence[Variant]
    size: int
    training_slices: Sequence[int]


def networks_of(study: Study, store: Store, divisions: Iterable[Division]) -> NetworksToTry:
    """Return the networks that a study trains, or that a search may train."""
    variants = [*study.variants.values(), *(variants_to_try(study) if study.search else ())]
    return NetworksToTry(variants, store.size, [len(division.slices["train"]) for division in divisions])


def check_networks(variants: Iterable[Variant], size: int, slices: Iterable[int]) -> None:
    """Build each network once, however many variants have it, and train it one step on a full and on its last batch, as
    `check_network` does. size: of a slice, in pixels. slices: how many each fold has for training."""
    from hnscc.training.network import check_network  # imported here: PyTorch takes seconds to load

    slices = set(slices)
    for variant in variants:
        training, batches = variant.training, batches_in(variant, slices)
        check_network(training.network, len(variant.modalities), size, batches, loss=training.loss)


def batches_in(variant: Variant, slices: Iterable[int]) -> set[int]:
    """Return the batch sizes that occur in the variant's training, given how many slices the folds have
    for training."""
    from hnscc.training.augment import training_count
    from hnscc.training.feeding import batches_of  # imported here: it loads PyTorch

    counts = {training_count(variant, each) for each in slices}
    size = variant.training.batch_size
    return {len(batch) for count in counts for batch in batches_of(np.arange(count), size)}


def _as_read(division: Division, study: Study) -> Division:
    """Return a division without the slices of splits that the study does not read, such as a search's test split, so
    that nothing can depend on them."""
    return replace(
        division, slices={name: division.slices[name] if name in study.read_splits else () for name in SPLITS}
    )


def check_same_store(
    study: Study,
    folder: RunFolder,
    store: Store,
    divisions: Iterable[Division],
    folds: Mapping[int, FoldData] | None = None,
) -> None:
    """Raise InputError, with what differs, if division or store differ from those that the run folder's trials were
    trained with.

    folds: their data, where it has been read; without it, images are compared by the digests that the store keeps.
    """
    if not any_trained(folder):
        return
    check_same_folds(study, folder)
    for division in divisions:
        bounds = folds[division.fold].bounds if folds else None
        check_same_data(
            folder.fold(division.fold), store, division, bounds, partial(_why_other_slices, study, folder)
        )


def _why_other_slices(study: Study, folder: RunFolder) -> str:
    """Return a sentence on how the study's modalities differ from those of the run folder's study, since the sampled
    slices depend on these; "" where they are the same, or the folder has no study."""
    if not folder.study.is_file():
        return ""
    before, now = (modalities_used(each) for each in (kept_study(folder), study))
    if before == now:
        return ""
    return (
        f"the variants used {listed(before)} and now use {listed(now)}: a slice that one of these does not show is "
        "sampled for no variant"
    )


def resolve_in_process(training: Training) -> tuple[str, str]:
    """Return what `devices.resolve_device` chooses on this machine. PyTorch is loaded only when this is called."""
    from hnscc.training.devices import resolve_device

    return resolve_device(training)


def asked_of_pytorch(
    networks: NetworksToTry, trainings: Iterable[Training]
) -> dict[Training, tuple[str, str]]:
    """Return what only PyTorch can say before the first trial: what `resolve_in_process` returns for each of these
    trainings. InputError where one of these networks does not fit."""
    check_networks(*networks)
    return {training: resolve_in_process(training) for training in trainings}


def _read_beside_checks(
    study: Study,
    store: Store,
    divisions: list[Division],
    check: Callable[[Sequence[Variant], int, Sequence[int]], object],
    progress: Progress | None,
) -> dict[int, FoldData]:
    """Read the folds' data and meanwhile check in a thread that the networks fit, since PyTorch takes seconds
    to load."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        checked = beside.submit(check, *networks_of(study, store, divisions))

        def tell(done: int, scans: int, now: str, /) -> None:
            if checked.done():
                checked.result()  # raises what does not fit now, not once the rest is read
            if progress:
                progress(done, scans, now)

        folds = read_folds(store, study, divisions, tell)
        checked.result()
    return folds


def make_run_ready(
    study: Study,
    out: str | Location | None = None,
    *,
    store_and_divisions: tuple[Store, list[Division]] | None = None,
    resolve: Callable[[Training], tuple[str, str]] = resolve_in_process,
    check: Callable[[Sequence[Variant], int, Sequence[int]], object] = check_networks,
    progress: Progress | None = None,
    accept_versions: bool = False,
    replace_folds: bool = True,
) -> ReadyRun:
    """Write study.yaml, the folds and provenance.json, and return the run with the folds' data.

    store_and_divisions: what `open_and_divide` returned, if called before. resolve: gives the device and precision that
    `auto` means where the trials will run. check: raises what `check_networks` does. replace_folds: overwrite folds of
    other data if no trial has been trained on them yet; otherwise they raise InputError. If the folder has trials
    already: InputError, with the differences, where the study would now train one otherwise, or other versions trained
    it and are not accepted (`check_identities`).
    """
    store, divisions = store_and_divisions or open_and_divide(study)
    folds = _read_beside_checks(study, store, divisions, check, progress)
    folder = run_folder_of(study.name, out)
    computed_by = choose_devices(study, folder, resolve)
    check_same_store(study, folder, store, divisions, folds)
    digests = {fold: data.digest for fold, data in folds.items()}
    check_identities(study, folder, computed_by, digests, accept_versions=accept_versions)
    replacing = replace_folds and not any_trained(folder)
    mended = []
    for division in divisions:
        fold = folder.fold(division.fold)
        if names := write_fold(fold, store, division, folds[division.fold], replace=replacing):
            mended.append(f"{inside(fold.root)}: damaged or gone, and written again: {listed(names)}")
    write_text(folder.study, dump_study(with_enough(study, folder)))
    keep_precision(study, folder, computed_by)
    add_invocation(folder)
    return ReadyRun(study, folder, folds, computed_by, None if accept_versions else versions_here(), mended)
