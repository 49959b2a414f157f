"""The section "How this was made": settings, what the variants change, the machine and the programs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hnscc.base.in_words import count_of, listed
from hnscc.reporting.blocks import Block, Points, Section, Text
from hnscc.reporting.source import Source
from hnscc.reporting.values import duration
from hnscc.study import paper
from hnscc.study.identity import changed_values
from hnscc.study.schema import Study
from hnscc.study.section_schema import PairedRepeats
from hnscc.training.provenance import read_invocations
from hnscc.training.records import read_record


def provenance(source: Source) -> Section:
    """Say how the report was made. Raises InputError where provenance.json is damaged."""
    return Section("How this was made", tuple(_blocks(source)))


def _blocks(source: Source) -> Iterator[Block]:
    study = source.study
    yield Points("The study", tuple(_settings(source)))
    changed = paper.departures(study)
    yield Points(f"Settings that differ from the preset `{study.protocol}`", tuple(changed) or ("none",))
    yield Points("What the variants change", tuple(_variants(source)))
    yield Points("The machine and the programs", tuple(_machine(source)))
    yield Text(f"Published study: {paper.CITATION}")


def repeats_wanted(study: Study) -> str:
    """Write `50 repeats`, or, for a study that stops once it knows the median well enough, the rule by which
    it stops."""
    rule = study.repeats
    if isinstance(rule, int):
        return count_of(rule, "repeat")
    if isinstance(rule, PairedRepeats):
        shared = ", paired (repeat r of all variants shares its seeds)" if rule.paired else ""
        return count_of(rule.number, "repeat") + shared
    return (
        f"at most {count_of(rule.max, 'repeat')}, fewer where the 95 % interval of the median of their pooled test "
        f"Dice reached {rule.until:g} or less to either side"
    )


def _settings(source: Source) -> Iterator[str]:
    study, training = source.study, source.study.training
    folds = "hold-out (one fold)" if study.split.folds == 1 else count_of(study.split.folds, "fold")
    repeats = repeats_wanted(study)
    yield f"name `{study.name}`, preset `{study.protocol}`, seed {study.seed}, {repeats}, {folds}"
    most = study.sampling.max_positive
    with_lesion = "all slices" if most is None else f"at most {count_of(most, 'slice')}"
    without = f"{study.sampling.ratio:g} without for each, from `{study.sampling.negatives}`"
    yield f"sampling: {with_lesion} with lesion, {without}"
    network = ", ".join(
        f"{key} {value}" for key, value in training.network.model_dump().items() if value is not None
    )
    yield (
        f"network: {network}; {training.loss}, learning rate {training.learning_rate:g}, batch "
        f"{training.batch_size}, at most {count_of(training.epochs, 'epoch')}, patience {training.patience}, monitor "
        f"`{training.monitor}`"
    )
    resamples = count_of(study.evaluation.bootstraps, "bootstrap resample")
    yield f"cut-off {count_of(study.evaluation.cutoff_px, 'pixel')}; {resamples}"


def _variants(source: Source) -> Iterator[str]:
    base = source.study.model_dump(mode="json")
    for name, variant in base["variants"].items():
        keys = ("augmentation", "training")
        changed = list(changed_values({key: base[key] for key in keys}, {key: variant[key] for key in keys}))
        images = listed(variant["modalities"])
        yield f"{source.appearances[name].label} (`{name}`): images {images}" + "".join(
            f"; {each}" for each in changed
        )


def _machine(source: Source) -> Iterator[str]:
    seconds = sum(row["seconds"] or 0.0 for row in source.tables["trials"])
    yield f"training time, all repeats added up: {duration(seconds)}"
    for name, values in _facts(source).items():
        yield f"{name}: {', '.join(values)}"


def _facts(source: Source) -> dict[str, list[str]]:
    """Return what provenance.json and the records of completed trials say about machine and programs; each
    value once."""
    trials = [row["trial_id"] for row in source.tables["trials"] if row["status"] == "completed"]
    records = [record for trial in trials if (record := read_record(source.run.trial(trial)))]
    invocations = read_invocations(source.run)
    facts: dict[str, list[Any]] = {
        "device": [record.device for record in records],
        "precision": [record.precision for record in records],
        "threads per training": [record.threads for record in records],
        "hardware": [
            ", ".join(f"{name} {value}" for name, value in each.hardware.items()) for each in invocations
        ],
        "commit": [each.commit for each in invocations],
        "started": [each.started for each in invocations],
        "versions": _versions(
            [*(each.versions for each in invocations), *(each.versions for each in records)]
        ),
    }
    return {name: each for name, values in facts.items() if (each := _once(values))}


def _versions(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each library with its version, or with all of its versions where invocations differ."""
    pairs = {(name, str(version)) for each in found for name, version in each.items()}
    return [f"{name} {version}" for name, version in sorted(pairs)]


def _once(values: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value not in (None, "")))
