"""Damaged DICOM files give clear errors alone: no crash, no hang, no memory beyond what the files can need."""

import os
import subprocess
import sys
from pathlib import Path

import dicom_damages
import dicom_files as made
import gdcm
import numpy as np
import pytest
from dicom_damages import counted
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from data_prep.dicom.header import value_of
from data_prep.dicom.instances import read_attributes
from data_prep.files.read import read_volume
from hnscc.base.errors import InputError, WorkerError


def sound_series(folder: Path) -> Path:
    """A folder with a series of 2 slices for each way to keep pixels, and one enhanced object."""
    values = np.random.default_rng(5).integers(0, 4096, (40, 36, 2)).astype(np.uint16)
    made.write(folder / "plain", made.classic_series(values, modality="PT", **made.pet_attributes()))
    made.write(folder / "enhanced", [made.enhanced(made.classic_series(values))])
    for name, syntax in {"rle": RLELossless, "j2k": JPEG2000Lossless, "jls": JPEGLSLossless}.items():
        series = [made.with_meta(each) for each in made.classic_series(values)]
        for each in series:
            each.compress(syntax, generate_instance_uid=False)
        made.write(folder / name, series)
    for file in made.write(folder / "jpeg", made.classic_series(values)).iterdir():
        made.compressed_by_gdcm(file, gdcm.TransferSyntax.JPEGLosslessProcess14_1)
    return folder


def test_a_jpeg_at_which_its_decoder_ends_the_process_is_refused(tmp_path):
    """GDCM throws an exception that nothing catches where a marker is none: here that of the Huffman table."""
    values = np.random.default_rng(5).integers(0, 4096, (40, 36, 2)).astype(np.uint16)
    folder = made.write(tmp_path / "s", made.classic_series(values))
    for file in folder.iterdir():
        made.compressed_by_gdcm(file, gdcm.TransferSyntax.JPEGLosslessProcess14_1)
        content = bytearray(file.read_bytes())
        content[content.index(b"\xff\xc4")] = 0xA6
        file.write_bytes(content)
    with pytest.raises(InputError, match="cannot be decoded"):
        read_volume(folder, "row 2")


@pytest.fixture
def jpeg(tmp_path):
    """A sound series in lossless JPEG."""
    values = np.random.default_rng(5).integers(0, 4096, (40, 36, 2)).astype(np.uint16)
    folder = made.write(tmp_path / "s", made.classic_series(values))
    for file in folder.iterdir():
        made.compressed_by_gdcm(file, gdcm.TransferSyntax.JPEGLosslessProcess14_1)
    return folder


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("gdcm", "raise ImportError", "exit code 1: GDCM cannot be imported (package python-gdcm)"),
        ("sitecustomize", "import os; os.kill(os.getpid(), 9)", "one that was ended by SIGKILL, most often"),
        ("sitecustomize", "import os; os._exit(7)", "exit code 7: no word of it"),
        ("sitecustomize", "import os; os._exit(0)", "0 of 5,760 bytes"),
    ],
)
def test_a_decoder_that_cannot_work_is_not_told_as_damage(jpeg, tmp_path, monkeypatch, name, text, found):
    """Of a sound file, users were told that it is cut short or damaged."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "path")
    with pytest.raises(WorkerError) as told:
        read_volume(jpeg, "row 2")
    assert told.value.where == "row 2" and told.value.found.startswith(found)


def test_a_decoder_that_does_not_answer_is_not_told_as_damage(jpeg, monkeypatch):
    monkeypatch.setattr("data_prep.dicom.jpeg.TIMEOUT_S", 0.001)
    with pytest.raises(WorkerError, match="no answer within"):
        read_volume(jpeg, "row 2")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("gone.dcm", "No such file or directory"),
        (".", "Is a directory"),
        ("/proc/self/mem", "Input/output error"),  # as a disk that gives way
    ],
)
def test_a_file_that_the_system_does_not_give_is_not_told_as_damage(tmp_path, path, why):
    with pytest.raises(InputError) as told:
        read_attributes(tmp_path / path, "row 2", ["Modality"])
    assert told.value.found == f"no access ({why})" and told.value.where == "row 2"


def test_what_the_surroundings_print_is_no_damage(tmp_path, monkeypatch):
    """A sitecustomize that prints on standard error in every Python, as an environment may have one."""
    (tmp_path / "noisy").mkdir()
    (tmp_path / "noisy" / "sitecustomize.py").write_text("import sys; sys.stderr.write('a word of mine')")
    monkeypatch.syspath_prepend(tmp_path / "noisy")
    assert (
        "a word of mine"
        in subprocess.run(
            [sys.executable, "-c", ""],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "noisy")},
            capture_output=True,
            text=True,
            check=True,
        ).stderr
    )
    values = np.random.default_rng(5).integers(0, 4096, (40, 36, 2)).astype(np.uint16)
    folder = made.write(tmp_path / "s", made.classic_series(values))
    for file in folder.iterdir():
        made.compressed_by_gdcm(file, gdcm.TransferSyntax.JPEGLosslessProcess14_1)
    np.testing.assert_array_equal(read_volume(folder, "row 2").data, values)


def test_damaged_files_are_refused_or_read_and_nothing_else(tmp_path):
    folder = sound_series(tmp_path / "sound")
    refused, read, mebibytes = counted(dicom_damages, folder, 60, 11)
    assert refused + read == 60 and refused > 20 and read > 5
    assert mebibytes < 300, "growth, in MiB"


class Large(Dataset):
    """A header whose attributes do not fit into memory."""

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, key: object):
        raise MemoryError


def test_memory_that_runs_out_over_an_attribute_is_no_damage_of_the_file():
    with pytest.raises(InputError) as told:
        value_of(Large(), "ImageComments", "scan S1")
    assert told.value.problem == "Memory ran out over a file." and "export" not in told.value.found
