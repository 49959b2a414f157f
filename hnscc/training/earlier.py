"""What earlier commands settled in a run folder: the number format that `auto` stands for, and what trained
its trials."""

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
    """Return, for each variant, the device and the number format that its trials are trained with.

    What `precision: auto` stands for is decided once for each run folder and kind of device, before the first trial is
    trained, and `keep_precision` writes it down. It then stays: the machines of a cluster differ in which number format
    is fast on them, and a study must not change its format because another machine is asked later. A run folder that an
    earlier version of hnscc began has no such file. There the first trained trial of a kind of device decides in which
    number format the others are trained.
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
    """Return, by device, the number format that `auto` stands for in this run folder, as far as it has been chosen.

    InputError where the file is damaged: a guess could train half of a study in another format than the other half.
    """
    try:
        return _PRECISION.validate_python(read_sealed(folder.precision))
    except FileNotFoundError:  # a new folder, or one from before this was kept
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
    """Write down what `precision: auto` stands for in this run folder from now on."""
    automatic = [name for name, each in study.variants.items() if each.training.precision == "auto"]
    kept = _kept_precision(study, folder) | {computed_by[name][0]: computed_by[name][1] for name in automatic}
    if kept:
        write_sealed(folder.precision, kept)


def with_enough(study: Study, folder: RunFolder) -> Study:
    """Return the study with the numbers of repeats that `hnscc run` has found to be enough here, if its rule is still
    the same.

    study.yaml holds these numbers, and every command that trains writes it. Without them, repeats that need not be
    trained would count as missing in every table.
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
    """Raise InputError, with the differences, if the study would now train one of its trained trials otherwise.

    digests: of each fold's data; None, where the data has not been read, leaves it out of the comparison.
    accept_versions: allow trials of other versions of this project's arithmetic or of the libraries.
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
    """Return in which other versions a trial was trained that would now have these settings; None if in the
    same versions.

    InputError where anything else differs.
    """
    if identity(settings) == record.identity:
        return None
    changed = told_changes(changed_settings(record.settings, settings))
    versions = changed_versions(record.settings, settings)
    if not changed:  # versions may be equal too: the same settings were once spelt otherwise
        return "; ".join(versions) or None
    raise InputError(
        "The run folder holds a trial that this study would now train otherwise.",
        where=f"trial {record.trial_id} in {folder.root}",
        expected="the settings, data and seeds it was trained with",
        found="; ".join(changed),
        do="set them back (`auto` can be spelled out), or use another run folder (--out, or another name)",
    )


def other_versions(folder: RunFolder, other: Sequence[tuple[str, str]]) -> InputError:
    """Return the error about trials of other versions. other: for each, its trial id and how the versions differ."""
    return InputError(
        "The run folder's trained trials were trained by other versions, which may give other weights.",
        where=f"{count_of(len(other), 'trial')} in {folder.root}, the first of them {other[0][0]}",
        expected="the versions that are installed here",
        found=other[0][1],
        do="install those versions again, use another run folder (--out), or go on with --accept-versions: `check`, "
        "the table `trials` and the report then say which trials came from which",
    )


def left_out(study: Study, folder: RunFolder) -> dict[str, list[str]]:
    """Return, by variant, the ids of trained trials in the run folder that the study no longer has. No table
    holds them."""
    now = {trial.trial_id for trial in trials_of(study)}
    found: dict[str, list[str]] = {}
    for trial in folder.recorded if not study.search else ():
        if trial.root.name not in now:
            record = read_record(trial)
            if isinstance(record, Trained):
                found.setdefault(record.variant, []).append(record.trial_id)
    return found


def lines_of_left_out(study: Study, folder: RunFolder) -> list[str]:
    """Return a sentence on the `left_out` trials of each variant: how many, which, and what brings them back."""
    return told_left_out(left_out(study, folder), study.variants)


def told_left_out(left: Mapping[str, Sequence[str]], variants: Collection[str]) -> list[str]:
    """Return the sentences of `lines_of_left_out`. variants: the names of those that the study has."""
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
    """Raise InputError if one of the two studies is a search and the other is not: each needs a run folder of
    its own."""
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
    """Return whether any trial in the run folder, of the study as it is now or not, was trained to its end.

    A failed trial does not count: it is trained again, with the settings that the study has then.
    """
    return any(isinstance(read_record(each), Trained) for each in folder.recorded)


def check_same_folds(study: Study, folder: RunFolder) -> None:
    """Raise InputError if the study would divide the cohort otherwise than for the run folder's trained trials.

    The error names the settings that differ, since the folds' digests would tell a reader nothing. Differences of the
    store are not looked for here.
    """
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
