"""What this machine computes on: its processor, and its GPUs where it may have some. PyTorch takes seconds to load, so
it is not loaded on a machine without GPUs."""

import os
import platform
import sys
from functools import cache
from pathlib import Path

from hnscc.base.cores import cores

# Device files of the drivers: of NVIDIA's GPUs, of those on one board with the processor, of AMD's GPUs, and of GPUs of
# Windows under Linux.
GPU_FILES = ("/dev/nvidiactl", "/dev/nvmap", "/dev/kfd", "/dev/dxg")
# The file in which the driver of NVIDIA's GPUs gives its version.
DRIVER = Path("/proc/driver/nvidia/version")


def may_have_gpu() -> bool:
    """Return whether this machine has a driver of GPUs, judged by its device files alone."""
    return any(Path(each).exists() for each in GPU_FILES)


@cache
def tell_once(line: str) -> None:
    """Print a line about a machine's GPUs on standard error, the first time that this process is asked to."""
    print(line, file=sys.stderr, flush=True)


def hardware() -> dict[str, str | int | None]:
    """Return what this process computes on. It is recorded because results are equal bit for bit only on machines of
    the same kind.

    Keys: machine (x86_64), system (Linux), cpus (how many), processor (its name). Where the process sees a GPU also
    gpus (their names), gpu_driver, cuda and cudnn (the versions).
    """
    found: dict[str, str | int | None] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "processor": _processor(),
    }
    return found | _gpus() if _asks_pytorch() else found


def resources_here() -> dict[str, float]:
    """Return what this machine has for trials, by Ray's names: how many cores this process may use (CPU), and how many
    GPUs PyTorch can use (GPU)."""
    gpus = 0
    if _asks_pytorch():
        import torch

        gpus = torch.cuda.device_count()
    return {"CPU": float(cores()), "GPU": float(gpus)}


def _asks_pytorch() -> bool:
    """Return whether PyTorch is to be asked for GPUs: it is loaded already, or there may be a GPU."""
    return "torch" in sys.modules or may_have_gpu()


def _processor() -> str | None:
    """Return the processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or None)


def _gpus() -> dict[str, str | int | None]:
    """Return the names and versions of GPUs for `hardware`; nothing where PyTorch can use none."""
    import torch

    if not torch.cuda.is_available():
        return {}
    names = [torch.cuda.get_device_name(each) for each in range(torch.cuda.device_count())]
    cudnn: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return {
        "gpus": ", ".join(names),
        "gpu_driver": _gpu_driver(),
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),  # as PyTorch counts it: 91002 is 9.10.2
    }


def _gpu_driver() -> str | None:
    """Return the version of NVIDIA's kernel module, or None where the system does not show it. The first line of its
    file holds it: "... Kernel Module 580.65.06 Release ..."."""
    try:
        first = DRIVER.read_text().partition("\n")[0]
    except OSError:
        return None
    return next((word for word in first.split() if word[0].isdigit()), None)
