"""The S3 server is killed, stopped, filled up and started again: work waits, or ends and goes on later."""

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from on_s3 import BUCKET, PATIENCE, outage, run, start, until, write_study
from stores import make_store

from hnscc.base.files import read_sealed, write_bytes
from hnscc.cohort.store import open_store, verify_store
from hnscc.study.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("server")


def test_a_short_outage_is_ridden_out(server, there, capsys):
    store = make_store(there, patients=4, slices=2, size=16)
    images, _ = store.read("p00_a")
    for ask in (
        lambda: write_bytes(there / "file", b"1"),
        (there / "file").read_bytes,
        (there / "file").is_file,
        there.is_dir,
        lambda: np.testing.assert_array_equal(store.read("p00_a")[0], images),
        lambda: verify_store(open_store(store.location)),
        lambda: (there / "created").create(b"x"),
        lambda: (there / "file").unlink(),
    ):
        with outage(server, 3):
            began = time.monotonic()
            ask()
            assert time.monotonic() - began > 2
        assert "trying again for 120 s" in capsys.readouterr().err
    assert (there / "created").read_bytes() == b"x"
    assert not (there / "file").is_file()


def test_nothing_acknowledged_is_lost_and_nothing_is_torn(server, there):
    """The server is killed in the midst of large writes and reads, again and again."""
    rng = random.Random(9)
    contents = [rng.randbytes(24 * 2**20) for _ in range(2)]
    stop = threading.Event()

    def write_and_read(number: int) -> int:
        file, turns = there / f"file-{number}", 0
        while not stop.is_set():
            file.write_bytes(contents[turns % 2])
            assert file.read_bytes() == contents[turns % 2]
            turns += 1
        return turns

    with ThreadPoolExecutor(2) as pool:
        turns = [pool.submit(write_and_read, number) for number in range(2)]
        for _ in range(6):
            time.sleep(rng.uniform(0.3, 1.5))
            with outage(server, rng.uniform(0.1, 1.5)):
                pass
        stop.set()
        assert min(each.result(timeout=60) for each in turns) >= 2


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_long_outage_is_an_error_and_the_same_command_works_later(how, server, there):
    """Also where the server takes connections and does not answer."""
    store = make_store(there, patients=2, slices=2, size=16)
    if how == "killed":
        server.kill()
    else:
        server.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        _, error = run("hnscc", "verify", store.location, code=1, set_up=PATIENCE)
        assert time.monotonic() - began < 40
    finally:
        if how == "killed":
            server.start()
        else:
            server.signal(signal.SIGCONT)
    assert "does not answer" in error and "trying again for 3 s" in error and "damaged" not in error
    assert server.key not in error and server.secret not in error
    run("hnscc", "verify", store.location)


@pytest.mark.parametrize("how", ["gone", "full"])
def test_training_ends_with_the_storage_and_continues_from_its_checkpoint(
    how, server, trained, there, tmp_path
):
    """In mid-training, and for longer than the patience; the same command later gives the undisturbed weights."""
    study = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr")
    command = (study, "pet_mri-f0-r01", "--out", there)
    folder = RunFolder(there).trial("pet_mri-f0-r01")
    process = start("train", *command, set_up=PATIENCE)
    until(lambda: any(folder.slot(number).facts.is_file() for number in (0, 1)), process)
    process.send_signal(signal.SIGSTOP)
    try:
        {"gone": server.kill, "full": server.fill}[how]()
        process.send_signal(signal.SIGCONT)
        out, error = process.communicate(timeout=120)
    finally:
        {"gone": server.start, "full": server.make_room}[how]()
    assert process.returncode == 1, out + error
    assert {"gone": "does not answer", "full": "is full"}[how] in error and "Traceback" not in error
    assert not folder.record.is_file()
    run("train", *command)
    record, undisturbed = (
        read_sealed(each.record) for each in (folder, trained["s3"].trial("pet_mri-f0-r01"))
    )
    assert record["files"]["weights.safetensors"] == undisturbed["files"]["weights.safetensors"]
    assert [attempt["from_epoch"] > 1 for attempt in record["attempts"]] == [False, True]


def test_ctrl_c_is_heeded_in_an_outage(server, there):
    server.kill()
    try:
        process = start("hnscc", "verify", there / "c.zarr")
        error = ""
        while "trying again" not in error:
            error += process.stderr.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert time.monotonic() - began < 10
    finally:
        server.start()
