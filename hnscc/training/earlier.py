"""What earlier invocations settled in a run folder: the number format of `auto`, and what trained its trials."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, write_sealed
from hnscc.base.in_words import count_of, noun_of
from hnscc.study.identity import (
    DATA,
    changed_settings,
    changed_versions,
    changes,
    identity,
    told_changes,
    trial_settings,
)
from hnscc.study.loading import kept_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.study.section_schema import UntilPrecise
from hnscc.study.trials import trials_of
from hnscc.study.variant_schema import Training
from hnscc.study.without_effect import without_effect
from hnscc.training.records import Record, Trained, read_record

# precision.json: device -> number format.
_PRECISION = TypeAdapter(
    dict[Annotated[str, Field(pattern="^(cpu|cuda)$")], Annotated[str, Field(pattern="^(fp32|bf16)$")]]
)


def choose_devices(
    study: Study, folder: RunFolder, resolve: Callable[[Training], tuple[str, str]]
) -> dict[str, tuple[str, str]]:
    """Return, for each variant, the device and the number format that its trials are trained by.

    What `precision: auto` stands for is decided once for each run folder and kind of device, before the first trial is
    trained, and `keep_precision` writes it down. It stays so: the machines of a cluster differ in which number format
    is fast on them, and a study that was begun in one must not go on in another because another machine is asked. A run
    folder that an earlier version of hnscc began holds no such file: there the first trained trial of a kind of
    device says in which number format the others are trained.
    """
    kept = _kept_precision(study, folder)
    computed_by = {}
    for name, variant in study.variants.items():
        device, precision = resolve(variant.training)
        if variant.training.precision == "auto":
            precision = kept.setdefault(device, precision)
        computed_by[name] = device, precision
    return computed_by


def _kept_precision(study: Study, folder: RunFolder) -> dict[str, str]:
    """Device -> the number format that `auto` stands for in this run folder, as far as it has been chosen. InputError
    where what was kept is damaged: to guess it could train half a study otherwise than the other half."""
    try:
        return _PRECISION.validate_python(read_sealed(folder.precision))
    except FileNotFoundError:  # a folder of before it was kept, or a new one
        pass
    except ValueError:
        raise InputError(
            "The file that says what `precision: auto` stands for is damaged.",
            where=f"{folder.precision.name} in {folder.root}",
            expected="what an earlier invocation wrote there",
            found="a file that was cut short or changed after it was written",
            do="restore the file; or delete it, and `auto` stands for what the first trained trial was trained in",
        ) from None
    kept: dict[str, str] = {}
    automatic = {name for name, each in study.variants.items() if each.training.precision == "auto"}
    for trial in trials_of(study) if folder.recorded else ():
        record = read_record(folder.trial(trial.trial_id)) if trial.variant in automatic else None
        if isinstance(record, Trained):
            kept.setdefault(record.device, record.precision)
    return kept


def keep_precision(study: Study, folder: RunFolder, computed_by: Mapping[str, tuple[str, str]]) -> None:
    """Write down what `precision: auto` stands for from now on."""
    automatic = [name for name, each in study.variants.items() if each.training.precision == "auto"]
    kept = _kept_precision(study, folder) | {computed_by[name][0]: computed_by[name][1] for name in automatic}
    if kept:
        write_sealed(folder.precision, kept)


def with_enough(study: Study, folder: RunFolder) -> Study:
    """The study with the repeats that `hnscc run` has found to be enough here, by the rule that it still has.

    study.yaml says them, and is written by whoever trains: without them, repeats that nobody is to train would count
    as missing in every table.
    """
    if not isinstance(study.repeats, UntilPrecise) or not folder.study.is_file():
        return study
    before = kept_study(folder).repeats
    rule = study.repeats.model_copy(update={"enough": {}})
    if not isinstance(before, UntilPrecise) or before.model_copy(update={"enough": {}}) != rule:
        return study
    kept = {name: repeats for name, repeats in before.enough.items() if name in study.variants}
    return study.model_copy(update={"repeats": rule.model_copy(update={"enough": kept})})


def check_identities(
    study: Study,
    folder: RunFolder,
    computed_by: Mapping[str, tuple[str, str]],
    digests: Mapping[int, str] | None,
    *,
    accept_versions: bool = False,
) -> None:
    """Refuse, with the differences, a study that would now train one of its trained trials otherwise.

    digests: of each fold's data; None to leave the data out of the comparison, where it has not been read.
    accept_versions: go on beside trials of other versions of this project's arithmetic or of the libraries.
    """
    check_same_folds(study, folder)
    other: list[tuple[str, str]] = []
    for trial in trials_of(study):
        record = read_record(folder.trial(trial.trial_id))
        if not isinstance(record, Trained):
            continue
        device, precision = computed_by[trial.variant]
        digest = digests[trial.fold] if digests else record.settings.get(DATA, "")
        settings = trial_settings(study, trial, device=device, precision=precision, fold_digest=digest)
        if versions := check_identity(folder, record, settings):
            other.append((trial.trial_id, versions))
    if other and not accept_versions:
        raise other_versions(folder, other)


def check_identity(folder: RunFolder, record: Record, settings: Mapping[str, Any]) -> str | None:
    """In which versions a trial that would now have these settings was trained, or None where in the same.

    InputError where anything else differs.
    """
    if identity(settings) == record.identity:
        return None
    changed = told_changes(changed_settings(record.settings, settings))
    versions = changed_versions(record.settings, settings)
    if not changed:  # nor do versions, where the same settings were once spelt otherwise
        return "; ".join(versions) or None
    raise InputError(
        "The run folder holds a trial that this study would now train otherwise.",
        where=f"trial {record.trial_id} in {folder.root}",
        expected="the settings, data and seeds it was trained with",
        found="; ".join(changed),
        do="set them back (`auto` can be spelled out), or use another run folder (--out, or another name)",
    )


def other_versions(folder: RunFolder, other: Sequence[tuple[str, str]]) -> InputError:
    """The error of trials of other versions: (trial id, how the versions differ) of each."""
    return InputError(
        "The run folder's trained trials were trained by other versions, which may give other weights.",
        where=f"{count_of(len(other), 'trial')} in {folder.root}, the first of them {other[0][0]}",
        expected="the versions that are installed here",
        found=other[0][1],
        do="install those versions again, use another run folder (--out), or go on with --accept-versions: `check`, "
        "the table `trials` and the report then say which trials came from which",
    )


def left_out(study: Study, folder: RunFolder) -> dict[str, list[str]]:
    """Variant -> the trained trials of the run folder that the study no longer has, so that no table holds them."""
    now = {trial.trial_id for trial in trials_of(study)}
    found: dict[str, list[str]] = {}
    for trial in folder.recorded if not study.search else ():
        if trial.root.name not in now:
            record = read_record(trial)
            if isinstance(record, Trained):
                found.setdefault(record.variant, []).append(record.trial_id)
    return found


def lines_of_left_out(study: Study, folder: RunFolder) -> list[str]:
    """A sentence on the `left_out` trials of each variant: how many, which, and what brings them back."""
    return told_left_out(left_out(study, folder), study.variants)


def told_left_out(left: Mapping[str, Sequence[str]], variants: Collection[str]) -> list[str]:
    """The sentences of `lines_of_left_out`. variants: the names of those that the study has."""
    lines = []
    for variant, trials in left.items():
        known = variant in variants
        why = "the study has fewer repeats or folds now" if known else "the study has no such variant"
        do = "raise `repeats` or `folds`" if known else "name the variant in the study again"
        which = trials[0] if len(trials) == 1 else f"{trials[0]} to {trials[-1]}"
        stand, them = noun_of(len(trials), "stands", "stand"), noun_of(len(trials), "it", "them")
        of_variant = f"{count_of(len(trials), 'trained trial')} of {variant} ({which})"
        lines.append(f"{of_variant} {stand} in no table, since {why}; to use {them} again, {do}")
    return lines


def _check_same_kind(study: Study, folder: RunFolder, before: Study) -> None:
    """A search and a study that is none, its winners' above all, have folders of their own."""
    here = bool(before.search)
    if here != bool(study.search):
        raise InputError(
            "The run folder holds a search, and this study is none."
            if here
            else "The run folder holds a study without a search, and this study is a search.",
            where=str(folder.root),
            expected="a folder that holds a search" if study.search else "a folder of the study's own",
            found=f"the {'search' if here else 'study'} {before.name}",
            do="use another run folder (--out, or another name)",
        )


def any_trained(folder: RunFolder) -> bool:
    """Whether a trial of the run folder, of the study as it is now or not, was trained to its end. One that failed
    binds nothing: it is trained again by what the study then says."""
    return any(isinstance(read_record(each), Trained) for each in folder.recorded)


def check_same_folds(study: Study, folder: RunFolder) -> None:
    """Refuse another division than that of the trained trials: what the folds follow from, apart from the store, is
    said by name (InputError), since their digest tells a reader nothing."""
    if not folder.study.is_file():
        return
    earlier = kept_study(folder)
    _check_same_kind(study, folder, earlier)
    if not any_trained(folder):
        return
    before, now = earlier.model_dump(mode="json"), study.model_dump(mode="json")
    keys = ("seed", "sampling", "split", "normalisation")
    differing = changes({key: before[key] for key in keys}, {key: now[key] for key in keys})
    idle = {".".join(map(str, path)) for path in without_effect(study)}
    changed = [str(each) for each in differing if each.path not in idle]
    if changed:
        raise InputError(
            "The run folder's trained trials were trained with another division of the cohort, or other slices.",
            where=str(folder.root),
            expected="the seed, sampling, split and normalisation that they were trained with",
            found="; ".join(changed),
            do="set them back, or use another run folder (--out, or another name)",
        )
