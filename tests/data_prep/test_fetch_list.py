"""The list of the public cohort's files, against the files themselves."""

import hashlib
import shutil
import subprocess

import pytest
from scans import sts

from data_prep.public.sts import sts_files


def test_the_list_names_three_files_of_each_of_34_patients():
    files = sts_files()
    assert (
        len(files) == 102
        and len({file.blob for file in files}) == len({file.sha256 for file in files}) == 102
    )
    assert len({file.patient_id for file in files}) == 34
    assert sum(file.size for file in files) == 70_850_369


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not here")
def test_the_list_is_that_of_the_real_files():
    folder = sts()
    paths = [str(folder / file.path) for file in sts_files()]
    named = subprocess.run(["git", "hash-object", *paths], capture_output=True, text=True, check=True)
    assert [file.blob for file in sts_files()] == named.stdout.split()
    for file in sts_files()[::20]:
        content = (folder / file.path).read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
