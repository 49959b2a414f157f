"""What a trial asks of a machine, and whether any machine can give it. This works without Ray, which takes two seconds
to load."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence

from hnscc.base.errors import InputError
from hnscc.study.schema import Study
from hnscc.study.variant_schema import Training
from hnscc.training.ready import resolve_in_process

# A share that places a question on a machine with a GPU without waiting for a free one.
ANY_GPU = 0.001
# What a machine has, or a trial asks for: {"CPU": 16, "GPU": 1}.
Amounts = Mapping[str, float]


def check_study_requests(study: Study, machines: Sequence[Amounts]) -> None:
    """Raise InputError where a trial of the study asks for more than any of these machines has: it would wait for ever.

    machines: what each one has; empty while nobody knows.
    """
    gpus = study.resources.gpus
    on_gpu = any(variant.training.device == "cuda" for variant in study.variants.values())
    if on_gpu and gpus == 0:
        raise InputError(
            "The trials are to be trained on a GPU, and reserve none.",
            where="training.device, resources.gpus",
            expected="a share of a GPU for each trial, or gpus: auto",
            found="device: cuda, gpus: 0",
            do="set resources.gpus to auto, or training.device to cpu",
        )
    if on_gpu and machines and not any(each.get("GPU") for each in machines):
        raise InputError(
            "No machine has a GPU, and the trials are to be trained on one.",
            where="training.device",
            expected="a machine with a CUDA GPU that PyTorch can use",
            found="device: cuda, and machines without one",
            do="set training.device to auto or cpu, or use a machine or cluster that has one (--address)",
        )
    least = (ANY_GPU if on_gpu else 0.0) if gpus == "auto" else gpus
    check_request(study.resources.cpus, least, machines)


def more_threads_told(study: Study) -> list[str]:
    """Say where a trial computes with more threads than it reserves cores: trials side by side would share cores."""
    cpus = study.resources.cpus
    most = max(variant.training.threads for variant in study.variants.values())
    if most <= max(1, cpus):
        return []
    return [
        f"a trial computes with {most} threads (training.threads) and reserves {cpus:g} of a machine's cores "
        "(resources.cpus): trials side by side slow one another; set both alike"
    ]


def check_request(cpus: float, gpus: float, machines: Sequence[Amounts]) -> None:
    """Raise InputError where none of these machines has as many of both: a trial that asks for them would wait
    for ever."""
    wanted = {"CPU": cpus, "GPU": gpus}
    if not machines or any(_has(each, wanted) for each in machines):
        return
    for name, count in wanted.items():
        most = max(each.get(name, 0.0) for each in machines)
        if count > most:
            raise InputError(
                f"No machine has the {name}s that a trial asks for.",
                where=f"resources.{name.lower()}s",
                expected=f"at most {most:g}",
                found=f"{count:g}",
                do=f"lower resources.{name.lower()}s, or use a cluster that has them",
            )
    raise InputError(
        "No machine has both the CPUs and the GPUs that a trial asks for.",
        where="resources.cpus, resources.gpus",
        expected="at most what one of the machines has: " + "; ".join(map(amounts_in_words, machines)),
        found=amounts_in_words(wanted),
        do="lower resources.cpus or resources.gpus, or use a cluster with such a machine",
    )


def _has(machine: Amounts, wanted: Amounts) -> bool:
    return all(machine.get(name, 0.0) >= count for name, count in wanted.items())


def trials_per_gpu(machines: Sequence[Amounts], cpus: float, trials: int | None = None) -> int:
    """Return the most trials that may share a GPU so that no other GPU stands idle; at least 1.

    Ray fills one GPU before it uses the next. So each GPU gets as many trials as its part of the machine's processors
    can train, and no more than its part of all trials. cpus: of a trial. trials: how many there are; None where
    nobody knows.
    """
    with_gpus = [each for each in machines if each.get("GPU")]
    by_cpus = min((each.get("CPU", 0.0) / cpus / each["GPU"] for each in with_gpus), default=math.inf)
    by_trials = trials / sum(each["GPU"] for each in with_gpus) if trials and with_gpus else math.inf
    most = min(by_cpus, by_trials)
    return 10_000 if math.isinf(most) else max(1, int(most))


def trials_at_once(machine: Amounts, study: Study, devices: Collection[str]) -> int:
    """Return how many of the study's trials a machine trains at once; at least 1.

    machine: what it has; a cluster's machines together count as one. devices: the devices on which the variants
    are trained (cpu, cuda). With `gpus: auto`, the share of a GPU is measured first; until then each GPU counts
    for one trial.
    """
    asked = study.resources.gpus
    share = (1.0 if "cuda" in devices else 0.0) if asked == "auto" else asked
    most = _parts(machine.get("CPU", 1.0), study.resources.cpus)
    if share and (gpus := machine.get("GPU", 0.0)):
        # A share lies on one GPU: what is left over of two is not a third one's.
        most = min(most, int(gpus) * _parts(1.0, share) if share < 1 else _parts(gpus, share))
    return max(1, most)


def _parts(whole: float, part: float) -> int:
    return int(whole / part + 1e-9)  # a hair's breadth of rounding must not cost a trial


def amounts_in_words(amounts: Amounts) -> str:
    """Return the amounts as text, such as "2 CPUs and 0.5 GPUs"."""
    return " and ".join(f"{amounts[name]:g} {name}s" for name in ("CPU", "GPU") if amounts.get(name))


def resolve_here(study: Study) -> Callable[[Training], tuple[str, str]]:
    """Return a function that does what `resolve_in_process` does, for trials that this process trains on
    this machine."""
    return lambda training: resolve_in_process(with_share(study, training))


def with_share(study: Study, training: Training) -> Training:
    """Return the training settings, with the processor as device where trials reserve no share of a GPU and the device
    is `auto`."""
    no_gpu = study.resources.gpus == 0 and training.device == "auto"
    return training.model_copy(update={"device": "cpu"}) if no_gpu else training
