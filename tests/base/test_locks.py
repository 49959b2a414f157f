"""Locks of files: who waits for one says so. What they keep apart: tests/training/test_in_use.py."""

import errno
import fcntl
import os
import threading

import pytest

from hnscc.base import locks
from hnscc.base.errors import InputError
from hnscc.base.locks import locked


def test_who_waits_for_a_lock_says_so_once(tmp_path, monkeypatch, capsys):
    """It waited for ever without a word."""
    path, held = tmp_path / ".tables.lock", threading.Event()
    monkeypatch.setattr(locks, "TOLD_SECONDS", 0.01)

    def hold():
        with locked(path, wait=True):
            held.set()

    with locked(path):
        waiting = threading.Thread(target=hold, daemon=True)
        waiting.start()
        told = ""
        for _ in range(1000):
            told += capsys.readouterr().err
            if told.endswith("\n"):
                break
            held.wait(timeout=0.01)
        assert told == f"{path}: waiting for the process that holds this lock\n"
        assert not held.is_set()
    waiting.join()
    assert held.is_set()
    assert capsys.readouterr().err == ""


def test_a_lock_that_nobody_holds_is_taken_without_a_word(tmp_path, capsys):
    with locked(tmp_path / ".tables.lock", wait=True):
        pass
    assert capsys.readouterr().err == ""


def test_a_lock_that_another_user_has_made_is_told_by_its_name(tmp_path, monkeypatch):
    """The folder was said to be one that cannot be written to, though a group may."""
    path = tmp_path / ".lock"
    path.touch()

    def refuse(file, how):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError, match="A lock of the run folder") as told, locked(path):
        pass
    assert told.value.where == str(path)
