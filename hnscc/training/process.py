"""What a process must be told before it trains: threads, memory, deterministic kernels, its share of a GPU."""

import ctypes
import os
import platform

import torch

# What a process takes of a GPU before its first tensor: CUDA's context and the kernels' libraries.
CUDA_CONTEXT_BYTES = 600 * 2**20
# Of malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def prepare_torch(device: str, threads: int, gpus: float) -> None:
    """One thread count and deterministic kernels: both change the order of sums, and so the bits.

    device: cpu or cuda. gpus: the share of a GPU's memory that this process may take.
    """
    torch.set_num_threads(threads)
    _keep_freed_memory()
    if device == "cuda":
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True)
        _keep_to_share(gpus)


def _keep_freed_memory() -> None:
    """Tell glibc to keep what tensors free for the next ones. Given back to the system and asked for again in each
    step, its pages cost a tenth of a training's time. No other C library has these settings, or needs them."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _keep_to_share(gpus: float) -> None:
    """Ray counts shares of a GPU and isolates nothing: one that takes more than its share must fail itself, not
    the trial beside it."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    if gpus < 1:
        total = torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction(max(0.01, gpus - CUDA_CONTEXT_BYTES / total))


def peak_gpu_bytes() -> int:
    """The most GPU memory that this process has taken since its trial began, its CUDA context included."""
    return torch.cuda.max_memory_reserved() + CUDA_CONTEXT_BYTES
