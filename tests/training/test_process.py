"""What is asked of CUDA, checked by its flags and by what would be told to it: no GPU is needed."""

import json
import platform
import re
import subprocess
import sys
from types import ModuleType

import pytest
import torch

from hnscc.training.process import (
    CUDA_CONTEXT_BYTES,
    gpu_is_lost,
    memory_fraction,
    memory_is_full,
    peak_gpu_bytes,
    raise_if_memory_ran_out,
    seeded,
    without_compiler,
)

GIB = 2**30

PREPARE = """
import json, os, sys, warnings
import torch
warnings.simplefilter("error")
from hnscc.training.process import set_up_torch

told = []
begun = []
torch.cuda.empty_cache = lambda: begun.append("emptied")
torch.cuda.reset_peak_memory_stats = lambda: begun.append("reset")
torch.cuda.mem_get_info = lambda: (70 * 2**30, 80 * 2**30)
torch.cuda.set_per_process_memory_fraction = told.append
tf32 = []
for gpus, precision in ((0.25, "bf16"), (1.0, "fp32"), (0.001, "fp32"), (2.0, "fp32")):
    set_up_torch("cuda", 1, gpus, precision)
    tf32.append(torch.backends.cudnn.allow_tf32)
print(json.dumps({
    "deterministic": torch.are_deterministic_algorithms_enabled(),
    "only_warns": torch.is_deterministic_algorithms_warn_only_enabled(),
    "filled": torch.utils.deterministic.fill_uninitialized_memory,
    "compiler": sorted({"torch._inductor", "torch._dynamo"} & set(sys.modules)),
    "cublas": os.environ["CUBLAS_WORKSPACE_CONFIG"],
    "tf32": tf32,
    "fractions": told,
    "begun": begun,
}))
"""


@pytest.fixture(scope="module")
def prepared():
    done = subprocess.run([sys.executable, "-c", PREPARE], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_gpu_computes_deterministically_without_the_compiler_and_without_filling_new_memory(prepared):
    assert prepared["deterministic"] and not prepared["only_warns"]
    assert prepared["compiler"] == []
    assert prepared["filled"] is False
    assert prepared["cublas"] == ":4096:8"


def test_fp32_on_a_gpu_is_not_tf32(prepared):
    assert prepared["tf32"] == [True, False, False, False]


def test_every_trial_of_a_reused_process_gets_its_own_limit_of_memory(prepared):
    """A quarter of 80 GiB less the context, then all of it; a share below the context leaves nothing, never more."""
    quarter = 0.25 - CUDA_CONTEXT_BYTES / (80 * GIB)
    assert prepared["fractions"] == pytest.approx([quarter, 1.0, 0.0, 1.0], abs=1e-12)
    assert prepared["begun"] == ["emptied", "reset"] * 4, "the peak that is recorded is each trial's own"


@pytest.mark.parametrize("gpus", [0.0001, 0.01, 0.1, 0.5, 0.9999])
@pytest.mark.parametrize("total", [4 * GIB, 16 * GIB, 80 * GIB])
def test_tensors_and_context_together_never_exceed_the_share(gpus, total):
    taken = memory_fraction(gpus, total) * total
    assert taken == 0 or taken + CUDA_CONTEXT_BYTES <= gpus * total * (1 + 1e-12)


def test_a_process_alone_on_a_gpu_measures_its_context(monkeypatch):
    """Of 80 GiB 76 are free, 3 reserved for tensors (5 at their peak): the context has 1."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (76 * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 3 * GIB)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 5 * GIB)
    assert peak_gpu_bytes(1.0) == 6 * GIB
    assert peak_gpu_bytes(0.5) == 5 * GIB + CUDA_CONTEXT_BYTES  # others are there: a guess


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    ],
)
def test_a_full_gpu_is_known_by_whatever_library_says_it(error):
    assert memory_is_full(error)
    assert not gpu_is_lost(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not match"), ValueError("CUDA error: out of memory"), KeyError("x")]
)
def test_other_errors_are_neither(error):
    assert not memory_is_full(error)
    assert not gpu_is_lost(error)
    raise_if_memory_ran_out(error)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("of Python"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 17 bytes"),
    ],
)
def test_memory_that_ran_out_is_told_as_that_whoever_found_it(error):
    with pytest.raises(MemoryError, match=re.escape(str(error))) as raised:
        raise_if_memory_ran_out(error)
    assert raised.value.__cause__ is error


COMPILER = ("torch._dynamo", "torch._dynamo.utils")


def test_the_compiler_is_an_empty_one_within_and_gone_afterwards(monkeypatch):
    for name in COMPILER:
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(KeyError), without_compiler():
        compiler, helpers = (sys.modules[name] for name in COMPILER)
        assert compiler.disable(len, recursive=False) is len
        assert helpers.is_compile_supported("cpu") is False
        raise KeyError
    assert not sys.modules.keys() & {*COMPILER}


def test_a_compiler_that_is_loaded_already_stays(monkeypatch):
    loaded = [ModuleType(name) for name in COMPILER]
    for module in loaded:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with without_compiler():
        assert [sys.modules[name] for name in COMPILER] == loaded
    assert [sys.modules[name] for name in COMPILER] == loaded


def test_a_cuda_error_stays_for_the_process():
    lost = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    assert gpu_is_lost(lost)
    assert not memory_is_full(lost)


@pytest.mark.parametrize("stays", [True, False])
def test_an_error_by_another_name_asks_the_gpu_whether_it_stays(monkeypatch, stays):
    def _synchronize():
        if stays:
            raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", _synchronize)
    assert gpu_is_lost(RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")) is stays


KEEP_AND_GIVE_BACK = """
import json, torch
from hnscc.training.process import give_back_memory, set_up_torch

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

set_up_torch("cpu", 1, 1.0, "fp32")
found = [resident()]
many, last = [torch.ones(2**18) for _ in range(100)], torch.ones(2**10)
del many
found.append(resident())
give_back_memory()
print(json.dumps([*found, resident()]))
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep nothing")
def test_freed_memory_is_kept_until_it_is_given_back():
    """100 MiB in tensors of 1 MiB, in a process of its own: what others have freed before would count, too."""
    done = subprocess.run(
        [sys.executable, "-c", KEEP_AND_GIVE_BACK], capture_output=True, text=True, check=True
    )
    before, kept, given_back = json.loads(done.stdout)
    assert kept > before + 90
    assert given_back < before + 20


def test_choices_within_follow_the_seed_and_leave_those_around_as_they_were():
    torch.manual_seed(5)
    alike = torch.rand(3)
    torch.manual_seed(7)
    around = torch.rand(4)
    torch.manual_seed(7)
    found = [torch.rand(2)]
    with seeded(5):
        assert torch.equal(torch.rand(3), alike)
    with pytest.raises(KeyError), seeded(6):
        raise KeyError(torch.rand(1))
    assert torch.equal(torch.cat([*found, torch.rand(2)]), around)


@pytest.mark.parametrize("initialised", [True, False])
def test_the_generator_of_a_gpu_is_left_as_it_was_where_there_is_one(monkeypatch, initialised):
    """A process that has not touched CUDA yet must not do so here: it would take a GPU's memory."""
    told = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: initialised)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: f"state of {device}")
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: told.append((state, device)))
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: told.append(seed))
    with seeded(11):
        assert told == [11]
    assert told[1:] == ([("state of 3", 3)] if initialised else [])
