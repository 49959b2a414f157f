"""A training step with a decoder that convolves small maps (hnscc.training.subpixel), against one with the library's.

    python benchmarks/subpixel.py [--rounds 12]

Both sides are the project's own code, `train_epoch`, and differ by `decode_small` alone: a resnet18 Unet on slices with
two channels, in bf16 and in fp32, with the studies' batches and with smaller ones. decode_small leaves the demo's
network as it is: both sides then run the same step, which shows how far equal sides lie apart here. There are many
short rounds, with the sides in turn, in seconds of this process's processor time, which other work on the machine
changes as little as possible. The decoder must be slower nowhere.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from figures import Figure, in_turn, ratios, tell
from roofline import MODALITIES, cpu_seconds, slices_of, study_of

from hnscc.study.trials import trials_of
from hnscc.training.adam import Adam
from hnscc.training.boundary import begin
from hnscc.training.fit import Fit
from hnscc.training.network import build_network
from hnscc.training.process import set_up_torch
from hnscc.training.trial import train_epoch

UNET: dict[str, Any] = {"architecture": "unet", "encoder": "resnet18"}
DEMO: dict[str, Any] = {"architecture": "paper", "width": 8}
# Network, slices of a batch, pixels a side, least ratio. Equal sides differ by up to 2 %.
CASES = {
    "resnet18 Unet, batches of 16 of 128 x 128": (UNET, 16, 128, 1.08),
    "resnet18 Unet, batches of 8 of 64 x 64": (UNET, 8, 64, 1.0),
    "resnet18 Unet, batches of 4 of 32 x 32": (UNET, 4, 32, 0.98),
    "the demo's network, batches of 8 of 64 x 64": (DEMO, 8, 64, 0.98),
}
ROUNDS = 12


def step(
    network: dict[str, Any], precision: str, batch: int, size: int, *, small: bool
) -> Callable[[], float]:
    """Return a function that times a step of training, after one that prepares the kernels. small: as Fit.start leaves
    the decoder."""
    study = study_of({"network": network, "batch_size": batch}, precision)
    training = study.training
    began = begin(study, trials_of(study)[0], "", device="cpu", precision=precision)
    set_up_torch(began.device, began.threads, 1.0, began.precision)
    model = build_network(training.network, len(MODALITIES), seed=began.seeds["initialisation"])
    if small:
        fit = Fit.start(model, training, began)
    else:
        model = model.to(memory_format=torch.channels_last)
        optimiser = Adam(
            model.parameters(), learning_rate=training.learning_rate, epsilon=training.adam_epsilon
        )
        fit = Fit(model, optimiser, training, began, [])
    trained_on = slices_of(batch, size)
    train_epoch(fit, 1, trained_on)
    return lambda: cpu_seconds(lambda: train_epoch(fit, 2, trained_on))


def measure(name: str, precision: str, rounds: int) -> None:
    network, batch, size, target = CASES[name]
    library, ours = (step(network, precision, batch, size, small=small) for small in (False, True))
    theirs, mine = in_turn(library, ours, rounds=rounds)
    each = [f"{1000 * min(side):.0f} ms" for side in (mine, theirs)]
    tell(
        Figure(
            f"a training step with the decoder on small maps against the library's: {name}, {precision}",
            target,
            ratios(theirs, mine),
            "x",
            f"one thread; the fastest step takes {each[0]} against {each[1]} of a processor",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    for name in CASES:
        for precision in ("bf16", "fp32"):
            measure(name, precision, options.rounds)


if __name__ == "__main__":
    main()
