"""What trials are trained on, and in which number format, where a study says `auto`."""

import platform

import torch

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from hnscc.study.variant_schema import Training
from hnscc.training.hardware import may_have_gpu, tell_once


def resolve_device(training: Training) -> tuple[str, str]:
    """Return what `auto` chooses here: device cpu or cuda, and precision fp32 or bf16.

    bf16 is chosen where the hardware computes in it (older GPUs only emulate it). InputError for `device: cuda` where
    PyTorch can use no GPU. If `auto` is the processor although the machine seems to have a GPU, that is printed once.
    """
    device = training.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu" and may_have_gpu():
            tell_once(auto_is_cpu())
    elif device == "cuda" and not torch.cuda.is_available():
        gpus = count_of(torch.cuda.device_count(), "GPU")
        raise InputError(
            "This machine has no GPU that PyTorch can use, and the study trains on one.",
            where=f"training.device, machine {platform.node()}",
            expected="a CUDA GPU, its driver, and a PyTorch that is built for them",
            found=f"device: cuda, and none of {gpus} usable by PyTorch {torch.__version__}",
            do="set training.device to auto or cpu, or train on a machine or cluster that has one (--address)",
        )
    precision = training.precision
    if precision == "auto":
        precision = "bf16" if _computes_in_bf16(device) else "fp32"
    return device, precision


def refuse_without_gpu(device: str) -> None:
    """Raise InputError where a trial is to be trained on a GPU (device: cuda) and PyTorch can no longer use one here.

    This happens if the driver was changed or the GPU has failed. No trial is to blame. The error names the machine.
    """
    if device != "cuda" or torch.cuda.is_available():
        return
    raise InputError(
        "PyTorch can use no GPU of a machine that is to train on one.",
        where=f"machine {platform.node()}",
        expected="a GPU that works, as where this run was begun",
        found=why_no_gpu(),
        do="mend that machine (its driver, its GPU, the PyTorch there) or take it out of the cluster; then the same "
        "command goes on, and no trial counts as failed",
    )


def auto_is_cpu() -> str:
    """Return the warning for a machine that seems to have a GPU where `device: auto` chooses the processor: why, and
    what to do."""
    return (
        f"machine {platform.node()} seems to have a GPU, and `device: auto` trains on its processor, for PyTorch can "
        f"use none there ({why_no_gpu()}): mend its driver or its PyTorch before anything is trained, or set "
        "training.device to cpu if that is meant"
    )


def why_no_gpu() -> str:
    """Return why PyTorch can use no GPU of this machine, in PyTorch's own words."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    # A PyTorch that is built for processors alone raises AssertionError.
    except (RuntimeError, AssertionError) as error:
        return f"PyTorch {torch.__version__}: {' '.join(str(error).split())[:300]}"
    return f"PyTorch {torch.__version__} counts {count_of(torch.cuda.device_count(), 'GPU')}"


def resolve_unasked(training: Training) -> tuple[str, str]:
    """Return what `auto` would choose on machines that do not run yet, as far as the settings tell.

    The device is a GPU only if the settings name one. `precision: auto` is then bf16, which current GPUs compute in.
    """
    device = "cpu" if training.device == "auto" else training.device
    precision = training.precision
    if precision == "auto":
        precision = "bf16" if device == "cuda" or _computes_in_bf16(device) else "fp32"
    return device, precision


def _computes_in_bf16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return _cpu_has_bf16()


def _cpu_has_bf16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
