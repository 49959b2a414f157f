"""Stores and run folders on a real S3 server, which is also killed, stopped and started again meanwhile."""

import contextlib
import csv
import io
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from s3_server import S3Server, missing, s3_server
from stores import make_store, study_of

from hnscc import train
from hnscc.aggregation.query import query
from hnscc.aggregation.schemas import STUDY_TABLES
from hnscc.base import locations as places
from hnscc.base.errors import InputError, StorageError
from hnscc.base.files import overwrite, read_sealed, write_bytes, write_json, write_sealed
from hnscc.base.locations import S3Path, client, place
from hnscc.cohort.store import open_store, verify_store
from hnscc.cohort.store_format import ROOT, UNFINISHED
from hnscc.study.plan import plan_trials
from hnscc.study.run_folder import RunFolder, open_run
from hnscc.training.records import trial_state

BUCKET = "hnscc-test"
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    assert not missing(), missing()
    with s3_server() as started, pytest.MonkeyPatch.context() as patch:
        for name in (*places.ENDPOINT, *places.CREDENTIALS):
            patch.delenv(name, raising=False)
        for name, value in started.environment.items():
            patch.setenv(name, value)
        forget_connections()
        started.make_bucket(BUCKET)
        yield started
    forget_connections()


def forget_connections() -> None:
    client.cache_clear()
    places.check_bucket.cache_clear()


@pytest.fixture
def there(server, request) -> S3Path:
    """A prefix of the test's own."""
    return S3Path(BUCKET, request.node.name.translate({ord(each): "-" for each in "[]/ "}))


@pytest.fixture
def bucket(server):
    return server.bucket(BUCKET)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory) -> Iterator[None]:
    """Ray keeps files in the home folder: a private one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for name in [each for each in os.environ if each.startswith("RAY_")]:
            patch.delenv(name)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_worker_niceness", "0")
        yield


@pytest.fixture(autouse=True)
def started() -> Iterator[None]:
    """No process of a test outlives it."""
    yield
    for process in STARTED:
        process.kill()
        process.communicate()
    STARTED.clear()


STARTED: list[subprocess.Popen] = []


def spawn(code: str, *arguments: object) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    # Whoever starts these tests in the background has them ignore Ctrl-C; what they start must not.
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    STARTED.append(subprocess.Popen(command, cwd=CHECKOUT, **pipes, **heed))
    return STARTED[-1]


def start(program: str, *arguments: object, set_up: str = "") -> subprocess.Popen:
    """`hnscc`, or a module's own command, in a process of its own; set_up: Python to run first."""
    module = {"hnscc": "hnscc.commands.cli", "train": "hnscc.train", "study": "rayjobs.study"}[program]
    return spawn(f"{set_up}\nimport sys, {module} as program\nsys.exit(program.main())", *arguments)


def run(program: str, *arguments: object, code: int = 0, set_up: str = "") -> tuple[str, str]:
    process = start(program, *arguments, set_up=set_up)
    out, error = process.communicate(timeout=400)
    assert process.returncode == code, out + error
    assert "Traceback" not in error
    return out, error


def until(happened, process: subprocess.Popen, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


# ---------------------------------------------------------------- places


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_place_on_s3_does_what_a_folder_does(kind, tmp_path, there):
    root = tmp_path if kind == "folder" else there
    file = root / "trials" / "a" / "record.json"
    assert not file.is_file() and not file.exists() and not (root / "trials").is_dir()
    for ask in (file.read_bytes, file.read_text, file.unlink, file.stat, lambda: read_sealed(file)):
        with pytest.raises(FileNotFoundError):
            ask()
    file.unlink(missing_ok=True)
    write_bytes(file, b"one")
    write_bytes(file, b"another")
    assert (file.read_bytes(), file.read_text(), file.stat().st_size) == (b"another", "another", 7)
    assert abs(file.stat().st_mtime - time.time()) < 60
    assert file.is_file() and not file.is_dir() and file.parent.is_dir() and not file.parent.is_file()
    overwrite(file, [memoryview(b"in "), memoryview(b"parts")])
    assert file.read_bytes() == b"in parts"
    write_sealed(file, {"a": 1})
    assert read_sealed(file) == {"a": 1}
    write_bytes(root / "empty", b"")
    assert (root / "empty").read_bytes() == b""
    for other in (
        "trials/b/record.json",
        "trials/b/c/record.json",
        "trials/record.json",
        "trials/c/other.json",
    ):
        write_json(root / other, {})
    found = sorted(str(path).removeprefix(f"{root}/") for path in root.glob("trials/*/record.json"))
    assert found == ["trials/a/record.json", "trials/b/record.json"]
    assert [folder.root.name for folder in RunFolder(root).trained] == ["a", "b"]
    file.unlink()
    assert not file.exists()


def test_a_prefix_ends_at_a_slash(there):
    write_bytes(there / "run" / "a", b"1")
    write_bytes(there / "run2" / "b", b"2")
    assert [path.name for path in (there / "run").below()] == ["a"]
    assert not (there / "ru").is_dir()


def test_what_is_larger_than_a_part_arrives_whole(there):
    content = random.Random(1).randbytes(2 * places.PART_BYTES + 12345)
    write_bytes(there / "large", content)
    assert (there / "large").read_bytes() == content


def test_of_many_conditional_writes_exactly_one_succeeds(there):
    with ThreadPoolExecutor(8) as pool:
        for turn in range(20):
            file = there / f"file-{turn}"
            assert sum(pool.map(lambda i, file=file: file.create(b"%d" % i), range(8))) == 1
            first, version = file.read_version()
            marks = [b"second %d" % i for i in range(8)]
            wrote = list(pool.map(lambda mark, f=file, v=version: f.replace_version(mark, v), marks))
            assert sum(wrote) == 1
            assert file.read_bytes() == marks[wrote.index(True)] != first
    assert not (there / "absent").replace_version(b"x", version)
    assert not (there / "absent").exists()


def test_a_missing_bucket_and_wrong_credentials_are_told(server, there, monkeypatch):
    other = S3Path("no-such-bucket", "runs/x")
    for ask in (other.read_bytes, other.is_file, other.is_dir, lambda: other.write_bytes(b"")):
        with pytest.raises(InputError, match="no such bucket"):
            ask()
    for location in ("open_store", "open_run"):
        with pytest.raises(InputError, match="no such bucket"):
            {"open_store": open_store, "open_run": open_run}[location](str(other))
    for name, code in (
        ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"),
        ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, "NotTheRightOne")
            forget_connections()
            asked = (
                there.read_bytes,
                there.is_dir,
                lambda: there.write_bytes(b""),
                lambda: open_store(there),
            )
            for ask in asked:
                with pytest.raises(InputError, match=f"{code}|403") as refused:
                    ask()
                for secret in ("NotTheRightOne", server.key, server.secret):
                    assert secret not in str(refused.value)
        forget_connections()


# ---------------------------------------------------------------- store


def cohort(folder: Path, scans: int) -> Path:
    rows = [["patient_id", "scan_id", "pet", "mask"]]
    for number in range(scans):
        draw = np.random.default_rng(number)
        mask = np.zeros((20, 16, 5), np.uint8)
        mask[6:14, 5:12, 1:4] = number % 2
        for name, data in (("pet", draw.random(mask.shape, np.float32)), ("mask", mask)):
            image = nib.Nifti1Image(data, np.diag([-1.0, -1.0, 3.0, 1.0]))
            image.to_filename(folder / f"{name}{number}.nii.gz")
        last = f"mask{number}.nii.gz" if number % 2 else ""
        rows.append([f"p{number}", f"p{number}_a", f"pet{number}.nii.gz", last])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


def objects(prefix: S3Path) -> dict[str, bytes]:
    return {path.key.removeprefix(f"{prefix.key}/"): path.read_bytes() for path in prefix.below()}


def test_prepare_and_verify_a_store_on_s3(there, tmp_path):
    manifest = cohort(tmp_path, scans=3)
    prepare = ("prepare", manifest, there / "c.zarr", "--size", 16, "--workers", 1)
    out, _ = run("hnscc", *prepare)
    assert f"`store: {there}/c.zarr`" in out
    run("hnscc", "prepare", manifest, tmp_path / "c.zarr", "--size", 16, "--workers", 1)
    local, remote = open_store(tmp_path / "c.zarr"), open_store(str(there / "c.zarr"))
    assert (remote.digest, remote.scans) == (local.digest, local.scans)
    here = {path.relative_to(tmp_path / "c.zarr").as_posix() for path in (tmp_path / "c.zarr").rglob("*")}
    assert set(objects(there / "c.zarr")) <= here  # the same files: no lock and no mark is left
    out, _ = run("hnscc", "verify", there / "c.zarr", "--json")
    assert json.loads(out)["digest"] == local.digest
    _, error = run("hnscc", *prepare, code=2)
    assert "--overwrite" in error

    (tmp_path / "less").mkdir()
    run("hnscc", "prepare", cohort(tmp_path / "less", 2), *prepare[2:], "--overwrite")
    assert [scan.scan_id for scan in open_store(str(there / "c.zarr")).scans] == ["p0_a", "p1_a"]
    assert not any("p2_a" in name for name in objects(there / "c.zarr"))
    run("hnscc", "verify", there / "c.zarr")


def test_what_is_not_ours_is_never_replaced(there, tmp_path):
    manifest = cohort(tmp_path, scans=1)
    for name in ("data.csv", "zarr.json"):
        write_bytes(there / name.partition(".")[0] / name, b'{"precious": 1}')
        before = objects(there)
        target = there / name.partition(".")[0]
        run("hnscc", "prepare", manifest, target, "--size", 16, "--workers", 1, "--overwrite", code=2)
        assert objects(there) == before


def test_an_upload_cut_short_is_no_store_and_the_same_command_goes_on(there, tmp_path):
    """Kill -9 in the middle of the upload; its lock is waited for with the real LEASE_SECONDS."""
    manifest = cohort(tmp_path, scans=12)
    command = ("prepare", manifest, there / "c.zarr", "--size", 16, "--workers", 1)
    process = start(
        "hnscc", *command, set_up="import hnscc.cohort.store_building as s; s.UPLOADS_AT_ONCE = 1"
    )
    until((there / "c.zarr" / UNFINISHED).is_file, process)
    process.kill()
    process.communicate()
    left = set(objects(there / "c.zarr"))
    assert ROOT not in left and UNFINISHED in left, "killed too late to show anything"
    _, error = run("hnscc", "verify", there / "c.zarr", code=2)
    assert "cut short" in error
    began = time.monotonic()
    _, error = run("hnscc", *command)
    assert "waiting 30 s" in error
    assert 30 < time.monotonic() - began < 60
    out, _ = run("hnscc", "verify", there / "c.zarr")
    assert "12 scans" in out
    assert not {UNFINISHED, ".lock"} & set(objects(there / "c.zarr"))


def test_every_damage_of_a_store_is_found_or_harmless(there, bucket):
    """Bits flipped, ends cut off, objects deleted: a scan that is read all the same is what was written."""
    store = make_store(there, patients=4, slices=2, size=16)
    arrays = {scan.scan_id: store.read(scan.scan_id) for scan in store.scans}
    prefix = place(store.location)
    names = sorted(objects(prefix))
    draw = random.Random(3)
    found = 0
    harms = [(name, harm) for name in names for harm in ("flip", "flip", "cut", "delete")]
    for name, harm in harms:
        file = prefix / name
        content = file.read_bytes()
        if harm == "delete":
            bucket.delete(file.key)
        else:
            bucket.put(file.key, harmed(content, harm, draw))
        try:
            verify_store(open_store(store.location))
        except InputError as error:
            assert "damaged" in str(error) or "no store" in str(error)
            found += 1
        else:
            again = open_store(store.location)
            for scan_id, (images, mask) in arrays.items():
                now = again.read(scan_id)
                np.testing.assert_array_equal(now[0], images)
                np.testing.assert_array_equal(now[1], mask)
        file.write_bytes(content)
    assert found > 0.7 * len(harms), (found, len(harms))
    assert verify_store(open_store(store.location)) == 8


def harmed(content: bytes, harm: str, draw: random.Random) -> bytes:
    place = draw.randrange(len(content))
    if harm == "cut":
        return content[:place]
    return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]


# ---------------------------------------------------------------- run folder

EPOCHS = 4


@pytest.fixture(scope="module")
def trained(server, tmp_path_factory) -> dict[str, RunFolder]:
    """The same four trials in a folder, from a store in a folder, and on S3, from a store on S3; with their reports."""
    folders = {}
    for kind, root in (("folder", tmp_path_factory.mktemp("trained")), ("s3", S3Path(BUCKET, "trained"))):
        study = write_study(tmp_path_factory.mktemp(kind), make_store(root, patients=12).location)
        for trial in plan_trials(study_of("none")):
            assert train.main([str(study), trial.trial_id, "--out", str(root / "run")]) == 0
        folders[kind] = RunFolder(root / "run")
        run("hnscc", "aggregate", root / "run")
    return folders


def write_study(folder: Path, store: str, **settings) -> Path:
    raw = study_of(store, training={"epochs": EPOCHS} | settings.pop("training", {}), **settings)
    (folder / "study.yaml").write_text(yaml.safe_dump(raw.model_dump(mode="json"), sort_keys=False))
    return folder / "study.yaml"


def same_tables(one: RunFolder, other: RunFolder) -> None:
    """Byte for byte, but for the tables with wall-clock columns: these are equal outside of them."""
    for name in STUDY_TABLES:
        files = [folder.table(name).read_bytes() for folder in (one, other)]
        tables = [pq.read_table(io.BytesIO(content)) for content in files]
        if "seconds" in tables[0].column_names:
            first, second = (table.drop_columns(["seconds"]) for table in tables)
            assert first.equals(second, check_metadata=True), name
        else:
            assert files[0] == files[1], name


def test_a_run_on_s3_gives_the_tables_of_a_run_in_a_folder(trained):
    same_tables(trained["folder"], trained["s3"])
    names = {name for name in objects(trained["s3"].root) if not name.startswith("trials/")}
    here = trained["folder"].root
    assert names == {
        path.relative_to(here).as_posix()
        for path in here.rglob("*")
        if path.is_file() and "trials" not in path.parts
    }
    for folder in trained["s3"].trained:
        assert {path.name for path in folder.root.below()} == {
            "record.json",
            "history.parquet",
            "predictions.npz",
            "weights.safetensors",
        }


def test_every_command_works_on_a_run_on_s3(trained, tmp_path):
    url = trained["s3"].root
    sql = "SELECT variant, count(*) AS n FROM trials GROUP BY variant ORDER BY variant"
    out, _ = run("hnscc", "query", url, sql, "--format", "json")
    assert json.loads(out) == [{"variant": "pet", "n": 2}, {"variant": "pet_mri", "n": 2}]
    assert query(trained["s3"], "SHOW TABLES").num_rows == len(STUDY_TABLES)
    out, _ = run("hnscc", "report", url)
    assert f"{url}/report.html" in out
    assert trained["s3"].html.read_bytes().count(b"<img") >= 4  # examples from the store among them
    study = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr")
    out, _ = run("hnscc", "check", study, "--out", url, "--json")
    assert json.loads(out)["trials"] == {"planned": 4, "completed": 4}
    out, _ = run("hnscc", "status", url, "--json")
    assert "completed" in out
    changed = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr", training={"learning_rate": 0.02})
    _, error = run("train", changed, "pet-f0-r00", "--out", url, code=2)
    assert "learning_rate: 0.01 -> 0.02" in error
    _, error = run("hnscc", "query", url.parent / "nothing", sql, code=2)
    assert "not a run folder" in error


def test_every_damage_of_a_trial_on_s3_is_found(trained, bucket):
    """Named by `hnscc aggregate`, never used, and as before once the object is restored."""
    run_there = trained["s3"]
    trial = plan_trials(study_of("none"))[0]
    folder = run_there.trial(trial.trial_id)
    draw = random.Random(5)
    for name in ("record.json", "history.parquet", "predictions.npz", "weights.safetensors"):
        file = folder.root / name
        content = file.read_bytes()
        for harm in ("flip", "flip", "flip", "cut", "delete"):
            if harm == "delete":
                bucket.delete(file.key)
            else:
                bucket.put(file.key, harmed(content, harm, draw))
            expected = "completed" if name == "weights.safetensors" else "missing"
            assert trial_state(run_there.trial(trial.trial_id)).status == expected, (name, harm)
            file.write_bytes(content)
    assert trial_state(run_there.trial(trial.trial_id)).status == "completed"


def test_prune_deletes_on_s3(server, trained):
    copy = RunFolder(S3Path(BUCKET, "pruned"))
    for name, content in objects(trained["s3"].root).items():
        write_bytes(copy.root / name, content)
    before = {name for name in objects(copy.root) if name.endswith("weights.safetensors")}
    out, _ = run("hnscc", "prune", copy.root)
    after = {name for name in objects(copy.root) if name.endswith("weights.safetensors")}
    assert after < before and f"deleted {len(before - after)} weights files" in out
    run("hnscc", "aggregate", copy.root)
    same_tables(copy, trained["s3"])


# ---------------------------------------------------------------- outages


@contextlib.contextmanager
def outage(server: S3Server, seconds: float) -> Iterator[None]:
    """The server is killed now, and started again after so long."""
    server.kill()
    again = threading.Timer(seconds, server.start)
    again.start()
    try:
        yield
    finally:
        again.join()


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
    draw = random.Random(9)
    contents = [draw.randbytes(24 * 2**20) for _ in range(2)]
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
            time.sleep(draw.uniform(0.3, 1.5))
            with outage(server, draw.uniform(0.1, 1.5)):
                pass
        stop.set()
        assert min(each.result(timeout=60) for each in turns) >= 2


PATIENCE = "import hnscc.base.locations as p; p.OUTAGE_SECONDS = 3.0; p.STALL_SECONDS = 2.0"


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
    assert record.files["weights.safetensors"] == undisturbed.files["weights.safetensors"]
    assert [attempt.from_epoch > 1 for attempt in record.attempts] == [False, True]


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


# ---------------------------------------------------------------- lease

HOLD = """
import sys, time
import hnscc.base.lease as lease
from hnscc.base.errors import InputError, StorageError
from hnscc.base.locations import place

url, lease.LEASE_SECONDS, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
try:
    with lease.only_one(place(url)):
        print("held", flush=True)
        time.sleep(seconds)
except (InputError, StorageError) as error:
    print(error, file=sys.stderr)
    sys.exit(2 if isinstance(error, InputError) else 1)
"""
LEASE = 6.0


def hold(lock: S3Path, seconds: float) -> subprocess.Popen:
    return spawn(HOLD, lock, LEASE, seconds)


def holding(lock: S3Path, seconds: float) -> subprocess.Popen:
    process = hold(lock, seconds)
    assert process.stdout.readline() == "held\n", process.communicate()
    return process


def ended(process: subprocess.Popen, code: int) -> str:
    out, error = process.communicate(timeout=120)
    assert process.returncode == code, out + error
    return error


def test_a_living_owner_is_not_disturbed_and_leaves_nothing(there):
    owner = holding(there / ".lock", 3 * LEASE)
    began = time.monotonic()
    error = ended(hold(there / ".lock", 0), 2)
    assert time.monotonic() - began < LEASE
    assert f"process {owner.pid} on" in error
    ended(owner, 0)
    assert objects(there) == {}
    began = time.monotonic()
    ended(hold(there / ".lock", 0), 0)
    assert time.monotonic() - began < LEASE / 2


def test_a_killed_owner_is_succeeded_by_exactly_one(there):
    owner = holding(there / ".lock", 600)
    owner.kill()
    owner.communicate()
    began = time.monotonic()
    successors = [hold(there / ".lock", LEASE) for _ in range(3)]
    errors = [each.communicate(timeout=120)[1] for each in successors]
    assert sorted(each.returncode for each in successors) == [0, 2, 2], errors
    assert 2 * LEASE <= time.monotonic() - began < 5 * LEASE
    assert all(f"waiting {LEASE:.0f} s" in error for error in errors)


def test_an_owner_that_stood_still_ends_when_it_goes_on(there):
    owner = holding(there / ".lock", 600)
    owner.send_signal(signal.SIGSTOP)
    successor = holding(there / ".lock", 2 * LEASE)
    owner.send_signal(signal.SIGCONT)
    assert "taken over by another process" in ended(owner, -signal.SIGTERM)
    ended(successor, 0)
    assert objects(there) == {}


def test_an_outage_takes_the_lease_from_nobody(server, there):
    """Longer than the lease: its owner cannot refresh it, and those who wait do not count that against it."""
    owner = holding(there / ".lock", 5 * LEASE)
    waiting = hold(there / ".lock", 0)
    time.sleep(1.5)
    with outage(server, 1.5 * LEASE):
        pass
    assert "which refreshes its lock" in ended(waiting, 2)
    ended(owner, 0)


# ---------------------------------------------------------------- whole studies


def test_a_whole_study_on_s3_with_the_server_killed_in_mid_run(server, trained, there, tmp_path):
    """The tables of the undisturbed run in a folder."""
    study = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr")
    process = start("study", study, "--out", there)
    run_there = RunFolder(there)
    until(lambda: run_there.trained, process, seconds=200)
    with outage(server, 8):
        pass
    out, error = process.communicate(timeout=400)
    assert process.returncode == 0, out + error
    assert "4 trials completed, 0 failed, 0 missing" in out
    assert str(there) in out
    same_tables(run_there, trained["folder"])
    assert not run_there.lock.exists()


def test_a_second_driver_is_refused_while_the_first_is_at_work(server, trained, there, tmp_path):
    long = {"epochs": 5000, "patience": 5000}
    study = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr", training=long)
    process = start("study", study, "--out", there)
    until(RunFolder(there).lock.is_file, process)
    _, error = run("study", study, "--out", there, code=2)
    assert "Another process is at work here" in error
    assert process.poll() is None
    process.kill()


def test_a_driver_killed_on_s3_is_succeeded(server, trained, there, tmp_path):
    study = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr")
    process = start("study", study, "--out", there)
    run_there = RunFolder(there)
    until(lambda: run_there.trained, process, seconds=200)
    process.kill()
    process.communicate()
    process = start("study", study, "--out", there)
    out, error = process.communicate(timeout=400)
    assert process.returncode == 0, out + error
    assert "waiting 30 s" in error
    same_tables(run_there, trained["folder"])


def test_a_study_whose_storage_is_gone_for_long_fails_and_continues(
    server, trained, there, tmp_path, monkeypatch
):
    study = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr")
    command = (study, "--out", there)
    (tmp_path / "sitecustomize.py").write_text(PATIENCE)  # the workers have no more patience than the driver
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        process = start("study", *command)
    until(lambda: RunFolder(there).trained, process, seconds=200)
    server.kill()
    out, error = process.communicate(timeout=300)
    server.start()
    assert process.returncode == 1, out + error
    assert "does not answer" in error
    run("study", *command)
    same_tables(RunFolder(there), trained["folder"])


def test_storage_errors_cross_process_borders():
    error = StorageError("a", where="b", expected="c", found="d", do="e")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 (made here)
