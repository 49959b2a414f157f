"""Faults from outside of the product: Python imports this first in every process whose PYTHONPATH names its folder.

FAULTS in the environment names a JSON file, read by each process when it imports hnscc.training.feeding (it then
trains, or checks how networks would be trained) or hnscc.training.trial. Its keys:

    log           file to which lines are added: `start TRIAL PID EPOCH SHARE`, `epoch TRIAL PID EPOCH`,
                  `kill PID MOMENT PATH`
    below         (optional) run folder whose writes are broken into moments: a file there has been opened, half
                  written, wholly written, flushed to the disk, renamed to its name, or deleted
    note          (optional) file to which those moments are added, `MOMENT PATH`, the path being the finished file's
    kill_at       (optional) [MOMENT, PATH]: there the process ends as by kill -9
    kill_one_in   (optional) {PATTERN: N}: at each moment the process ends so with a chance of 1 in N, by the first
                  pattern that is found in the path
    seed          (with kill_one_in) of those chances, together with how many processes have been killed so far
    crash         (optional) trial whose process dies of a segmentation fault whenever it trains
    memory        (optional) trial that runs out of memory while its share of a GPU is below one half
    cublas        (optional) trial whose cuBLAS finds no memory while its share of a GPU is below one half
    gpu_lost      (optional) trial whose process, once, loses its GPU after the trial's first epoch
"""

import importlib.abc
import importlib.util
import json
import os
import pathlib
import random
import re
import signal
import sys

FEED, TRAIN = "hnscc.training.feeding", "hnscc.training.trial"
_open, _fdopen, _fsync = os.open, os.fdopen, os.fsync
_path_open, _replace, _unlink = pathlib.Path.open, pathlib.Path.replace, pathlib.Path.unlink


def _add(path, *words):
    """One short write to a file opened for appending: whole, whatever other processes write there."""
    number = _open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(number, (" ".join(map(str, words)) + "\n").encode())
    os.close(number)


class _Writes:
    """The moments of each write below a folder. paths: of open files, by descriptor."""

    def __init__(self, faults):
        self.faults, self.paths = faults, {}
        self.below = faults["below"].rstrip("/") + "/"
        killed = pathlib.Path(faults["log"]).read_text().count("kill ") if "seed" in faults else 0
        self.rng = random.Random(f"{faults.get('seed')} {killed}")

    def named(self, path):
        """The finished file's path below the folder, random names starred; None for files elsewhere."""
        text = os.fspath(path)
        if not isinstance(text, str) or not text.startswith(self.below):
            return None
        finished = re.sub(r"/\.([^/]+)\.[0-9a-f]{16}\.tmp$", r"/\1", text)[len(self.below) :]
        return re.sub(r"(?<=\.shared/).*", "*", finished)

    def at(self, moment, path):
        faults = self.faults
        if "note" in faults:
            _add(faults["note"], moment, path)
        chances = faults.get("kill_one_in", {}).items()
        one_in = next((number for pattern, number in chances if re.search(pattern, path)), None)
        if faults.get("kill_at") == [moment, path] or (one_in and self.rng.randrange(one_in) == 0):
            _add(faults["log"], "kill", os.getpid(), moment, path)
            os.kill(os.getpid(), signal.SIGKILL)


class _File:
    """An open file that is written in two halves."""

    def __init__(self, file, path, writes):
        self.file, self.path, self.writes = file, path, writes
        writes.paths[file.fileno()] = path

    def __enter__(self):
        return self

    def __exit__(self, *error):
        del self.writes.paths[self.file.fileno()]
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        half = len(content) // 2
        written = self.file.write(content[:half])
        self.file.flush()
        self.writes.at("half", self.path)
        if written == half:
            written += self.file.write(content[half:])
            self.file.flush()
            self.writes.at("whole", self.path)
        return written


def _break_writes(writes):
    """Into the standard functions by which hnscc.base.files writes."""

    def path_open(self, mode="r", *arguments, **options):
        file = _path_open(self, mode, *arguments, **options)
        path = writes.named(self) if "w" in mode else None
        if path is None:
            return file
        writes.at("opened", path)
        return _File(file, path, writes)

    def open_number(path, flags, *arguments, **options):
        number = _open(path, flags, *arguments, **options)
        if flags & os.O_CREAT and (named := writes.named(path)):
            writes.paths[number] = named
            writes.at("opened", named)
        return number

    def fdopen(number, mode="r", *arguments, **options):
        file = _fdopen(number, mode, *arguments, **options)
        path = writes.paths.get(number)
        return _File(file, path, writes) if path else file

    def fsync(number):
        _fsync(number)
        if path := writes.paths.get(number):
            writes.at("flushed", path)

    def replace(self, target):
        replaced = _replace(self, target)
        if path := writes.named(target):
            writes.at("renamed", path)
        return replaced

    def unlink(self, missing_ok=False):
        there = os.path.lexists(self)
        _unlink(self, missing_ok=missing_ok)
        if there and (path := writes.named(self)):
            writes.at("deleted", path)

    os.open, os.fdopen, os.fsync = open_number, fdopen, fsync
    pathlib.Path.open, pathlib.Path.replace, pathlib.Path.unlink = path_open, replace, unlink


def _lost_before(log):
    """Whether another process lost its GPU already; this one is then the first to say so."""
    mark = pathlib.Path(f"{log}.lost")
    if mark.exists():
        return mark.read_text() != str(os.getpid())
    mark.write_text(str(os.getpid()))
    return False


def _watch_training(train, faults):
    """Log what is trained; let the named trials come to grief."""
    fit, share = train.Fit, {}
    resume, finish_epoch, train_epoch = fit.resume, fit.finish_epoch, train.train_epoch

    def logged_resume(self, folder, gpus):
        resume(self, folder, gpus)
        share["now"] = gpus
        _add(faults["log"], "start", self.began.trial_id, os.getpid(), self.epoch + 1, gpus)

    def logged_epoch(self, *arguments, **options):
        finish_epoch(self, *arguments, **options)
        _add(faults["log"], "epoch", self.began.trial_id, os.getpid(), self.epoch)

    def faulty_epoch(state, *arguments):
        trial = state.began.trial_id
        if trial == faults.get("crash"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if trial == faults.get("memory") and share["now"] < 0.5:
            raise train.torch.OutOfMemoryError("CUDA out of memory")
        if trial == faults.get("cublas") and share["now"] < 0.5:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        # Once a GPU is lost to a process, all that it tries there fails.
        share["lost"] = share.get("lost") or (trial == faults.get("gpu_lost") and state.epoch == 1)
        if share["lost"] and not _lost_before(faults["log"]):
            raise train.torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return train_epoch(state, *arguments)

    fit.resume, fit.finish_epoch, train.train_epoch = logged_resume, logged_epoch, faulty_epoch


class _WhenTheyAreImported(importlib.abc.MetaPathFinder):
    """faults: None before the first of the two modules. left: which of them this process has not imported."""

    def __init__(self):
        self.faults, self.left = None, {FEED, TRAIN}

    def find_spec(self, name, path, target=None):
        if name not in self.left:
            return None
        self.left.remove(name)
        if self.faults is None:
            self.faults = faults = json.loads(pathlib.Path(os.environ["FAULTS"]).read_text())
            if "below" in faults:
                _break_writes(_Writes(faults))
        return self.watched(importlib.util.find_spec(name)) if name == TRAIN else None

    def watched(self, spec):
        """The module's, once it has been executed."""
        execute = spec.loader.exec_module

        def execute_and_watch(module):
            execute(module)
            _watch_training(module, self.faults)

        spec.loader.exec_module = execute_and_watch
        return spec


if "FAULTS" in os.environ:
    sys.meta_path.insert(0, _WhenTheyAreImported())
