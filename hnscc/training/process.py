"""What is set up in a process before it trains: threads, memory, deterministic kernels, and its share of a GPU.

Also, what an error of the GPU means: that its memory is full, or that the process can no longer compute on it.
"""

import contextlib
import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from types import ModuleType

import torch

# The memory of a GPU that a process takes before its first tensor, for CUDA's context and the kernels' libraries. It is
# a guess: while other processes are on the same GPU, nobody can tell their memory from this process's.
CUDA_CONTEXT_BYTES = 600 * 2**20
# Constants of malloc.h.
M_MXFAST, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = 1, -1, -3
# Parts of the messages of libraries for a full GPU, where not PyTorch's own allocator finds it: cuBLAS
# (CUBLAS_STATUS_ALLOC_FAILED), cuDNN (CUDNN_STATUS_ALLOC_FAILED, ..._INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED), CUDA.
MEMORY_IS_FULL = ("_ALLOC_FAILED", "_ALLOCATION_FAILED", "CUDA error: out of memory")
COMPILER, HELPERS = "torch._dynamo", "torch._dynamo.utils"
_NO_MEMORY = "DefaultCPUAllocator: "  # begins PyTorch's message that the processor's memory is full


def set_up_torch(device: str, threads: int, gpus: float, precision: str) -> None:
    """Set the number of threads and deterministic kernels, since both change the order of sums, and so the bits.

    device: cpu or cuda. gpus: the share of a GPU's memory that this process may take. precision: fp32 or bf16. On a GPU
    fp32 is real fp32, not TF32, which has 10 bits of mantissa instead of 23.
    """
    torch.set_num_threads(threads)
    _keep_freed_memory()
    if device == "cuda":
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        # This sets the same flag as use_deterministic_algorithms(True), which would load PyTorch's compiler: 1.5 s and
        # 150 MB.
        torch.set_deterministic_debug_mode("error")
        # Otherwise each new tensor is first filled with NaN, which takes one more kernel each.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.allow_tf32 = precision != "fp32"
        _keep_to_share(gpus)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all that is random in PyTorch within a `with` block. Afterwards its global generators, that of the GPU in
    use too, are as they were before.

    The global generators are seeded, instead of passing one of our own, because initialisers and layers of libraries
    (dropout, stochastic depth) use only these.
    """
    gpus = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield


def _keep_freed_memory() -> None:
    """Tell glibc to keep the memory that tensors free for the next ones.

    If it were given back to the system and asked for again in each step, its pages would cost a tenth of a training's
    time. Small freed pieces are merged with their free neighbours at once: otherwise, pieces at the edges of a freed
    tensor make its place too small for the next one of its size, and memory grows step by step. No other C library has
    these settings, or needs them.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MXFAST, 0)
        libc.mallopt(M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_memory() -> None:
    """Give the memory that tensors have freed back to the system, where glibc was told to keep it.

    glibc keeps blocks of the sizes of a training step. Larger objects, such as a trial's results, do not fit between
    them, and would take new memory on top, by another amount in each trial.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _keep_to_share(gpus: float) -> None:
    """Limit this process to its share of the GPU's memory. Ray counts shares and enforces none: a process that takes
    more than its share must fail itself, not the trial beside it.

    The limit is set for every trial, since the process may have trained one with another share before.
    """
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.set_per_process_memory_fraction(memory_fraction(gpus, torch.cuda.mem_get_info()[1]))


def memory_fraction(gpus: float, total: int) -> float:
    """Return the fraction, 0 to 1, of a GPU of `total` bytes that the tensors of a process with this share may take.

    Together with the CUDA context, which PyTorch does not count, it is never more than the share. A share smaller than
    the context leaves nothing: the trial then runs out of memory, and is tried again with a larger share.
    """
    return 1.0 if gpus >= 1 else max(0.0, gpus - CUDA_CONTEXT_BYTES / total)


def peak_gpu_bytes(gpus: float) -> int:
    """Return the most GPU memory in bytes that this process has taken since its trial began, its CUDA context included.

    gpus: its share. A process with a share of 1 or more is alone on its GPU, so it can measure its context: the memory
    that is neither free nor reserved for tensors. With a smaller share the context is CUDA_CONTEXT_BYTES.
    """
    peak = torch.cuda.max_memory_reserved()
    if gpus < 1:
        return peak + CUDA_CONTEXT_BYTES
    free, total = torch.cuda.mem_get_info()
    return peak + total - free - torch.cuda.memory_reserved()


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """Replace PyTorch's compiler by an empty one within a `with` block, unless it is loaded already.

    Libraries load the compiler only to tell it what to exclude, which takes seconds and 150 MB, although nothing is
    compiled here. Within the block they get one that supports no device and ignores what they tell it. Code that asks
    for the compiler afterwards gets the real one.
    """
    if COMPILER in sys.modules:
        yield
        return
    compiler, helpers = ModuleType(COMPILER), ModuleType(HELPERS)
    compiler.disable = lambda function, *_, **__: function  # type: ignore[attr-defined]
    helpers.is_compile_supported = lambda device: False  # type: ignore[attr-defined]
    sys.modules |= {COMPILER: compiler, HELPERS: helpers}
    try:
        yield
    finally:
        del sys.modules[COMPILER], sys.modules[HELPERS]


def raise_if_memory_ran_out(error: Exception) -> None:
    """Raise MemoryError if an error says that memory ran out, this machine's or a GPU's. PyTorch raises RuntimeError
    where the processor's memory is full.

    Code that catches a network's errors calls this first, because such an error says nothing of the network.
    """
    if isinstance(error, MemoryError) or memory_is_full(error) or _NO_MEMORY in str(error):
        raise MemoryError(str(error)) from error


def memory_is_full(error: BaseException) -> bool:
    """Return whether an error says that a GPU's memory is full, whoever found it: PyTorch, CUDA, cuBLAS or cuDNN."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in MEMORY_IS_FULL)


def gpu_is_lost(error: BaseException) -> bool:
    """Return whether, after this error, this process can no longer compute on its GPU: whatever it tried there would
    fail too.

    CUDA keeps most of its errors (a kernel's bad access, a GPU that fell off the bus) until the process ends. Libraries
    report them under names of their own (CUDNN_STATUS_EXECUTION_FAILED), so the GPU itself is asked.
    """
    if memory_is_full(error):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return False
    try:
        torch.cuda.synchronize()
    except torch.AcceleratorError:
        return True
    return False
