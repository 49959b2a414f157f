"""Mounts file systems, for tests of what happens where a disk is full or read-only."""

import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def mounted(tmp_path):
    """Give a function that mounts a small or a read-only file system at a folder; skip where mounting is
    not permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True
        )
        if made.returncode:
            pytest.skip("mounting a file system is not permitted here")
        return folder

    yield mount
    subprocess.run(["umount", folder], capture_output=True)
