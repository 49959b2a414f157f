"""What a process must be told before it trains: threads, memory, deterministic kernels, its share of a GPU.

And what its errors of the GPU say: that its memory is full, or that the process can compute on it no more.
"""

import contextlib
import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from types import ModuleType

import torch

# What a process takes of a GPU before its first tensor: CUDA's context and the kernels' libraries. A guess, for while
# others are on the same GPU nobody can tell their memory from this process's.
CUDA_CONTEXT_BYTES = 600 * 2**20
# Of malloc.h.
M_MXFAST, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = 1, -1, -3
# How CUDA and its libraries say that a GPU's memory is full where PyTorch's own allocator does not: cuBLAS
# (CUBLAS_STATUS_ALLOC_FAILED), cuDNN (CUDNN_STATUS_ALLOC_FAILED, ..._INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED), CUDA.
MEMORY_IS_FULL = ("_ALLOC_FAILED", "_ALLOCATION_FAILED", "CUDA error: out of memory")
COMPILER, HELPERS = "torch._dynamo", "torch._dynamo.utils"
_NO_MEMORY = "DefaultCPUAllocator: "  # how PyTorch begins to say that the processor's memory is full


def set_up_torch(device: str, threads: int, gpus: float, precision: str) -> None:
    """One thread count and deterministic kernels: both change the order of sums, and so the bits.

    device: cpu or cuda. gpus: the share of a GPU's memory that this process may take. precision: fp32 or bf16; fp32
    is that on a GPU too, not TF32, which has 10 bits of mantissa instead of 23.
    """
    torch.set_num_threads(threads)
    _keep_freed_memory()
    if device == "cuda":
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        # Sets the same flag as use_deterministic_algorithms(True), which loads PyTorch's compiler: 1.5 s and 150 MB.
        torch.set_deterministic_debug_mode("error")
        # Else each new tensor is filled with NaN first, a kernel more for each.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.allow_tf32 = precision != "fp32"
        _keep_to_share(gpus)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """All that is random in PyTorch within a `with` block follows from this seed; its global generators stay as they
    were, that of the GPU in use too.

    They are seeded and not handed over, since initialisers and layers of libraries (dropout, stochastic depth) take
    from them alone.
    """
    gpus = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield


def _keep_freed_memory() -> None:
    """Tell glibc to keep what tensors free for the next ones. Given back to the system and asked for again in each
    step, its pages cost a tenth of a training's time. Small pieces join their free neighbours at once: kept apart,
    those at the edges of a freed tensor make it too small for the next one of its size, and memory grows step by step.
    No other C library has these settings, or needs them."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MXFAST, 0)
        libc.mallopt(M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_memory() -> None:
    """Return what tensors have freed to the system, where glibc was told to keep it.

    It keeps blocks of the sizes of a training step. Others, such as a trial's results, do not fit between them and
    would take new memory on top, by another amount in each trial.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _keep_to_share(gpus: float) -> None:
    """Ray counts shares of a GPU and isolates nothing: one that takes more than its share must fail itself, not
    the trial beside it. Set for every trial, since the process may have trained one of another share before."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.set_per_process_memory_fraction(memory_fraction(gpus, torch.cuda.mem_get_info()[1]))


def memory_fraction(gpus: float, total: int) -> float:
    """Of a GPU of `total` bytes, the fraction that the tensors of a process with this share may take: 0 to 1.

    With the CUDA context, which is not counted there, it is never more than the share. A share smaller than the
    context leaves nothing: the trial then fails for memory, and is tried again with a larger one.
    """
    return 1.0 if gpus >= 1 else max(0.0, gpus - CUDA_CONTEXT_BYTES / total)


def peak_gpu_bytes(gpus: float) -> int:
    """The most GPU memory that this process has taken since its trial began, its CUDA context included.

    gpus: its share. A process that is alone on its GPU, with a share of 1 or more, knows its context's size: what is
    neither free nor reserved for tensors.
    """
    peak = torch.cuda.max_memory_reserved()
    if gpus < 1:
        return peak + CUDA_CONTEXT_BYTES
    free, total = torch.cuda.mem_get_info()
    return peak + total - free - torch.cuda.memory_reserved()


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """Who asks for PyTorch's compiler within a `with` block learns that it compiles on no device, and nothing of what
    it is told to leave alone. To be told so it would be loaded: seconds and 150 MB for nothing, for nothing is compiled
    here. Whoever asks for it afterwards gets it."""
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
    """Raise an error that says that memory ran out, this machine's or a GPU's, as MemoryError: of a processor's memory
    PyTorch says so by a RuntimeError. Whoever catches what a network raises calls this first, since it says nothing of
    the network."""
    if isinstance(error, MemoryError) or memory_is_full(error) or _NO_MEMORY in str(error):
        raise MemoryError(str(error)) from error


def memory_is_full(error: BaseException) -> bool:
    """Whether an error says that a GPU's memory is full, whoever found it: PyTorch, CUDA, cuBLAS or cuDNN."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in MEMORY_IS_FULL)


def gpu_is_lost(error: BaseException) -> bool:
    """Whether this process can compute on its GPU no more, after this error: all that it tried there would fail, too.

    CUDA keeps most of its errors (a kernel's bad access, a GPU that fell off the bus) until the process ends.
    Libraries report them under names of their own (CUDNN_STATUS_EXECUTION_FAILED), so the GPU itself is asked.
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
