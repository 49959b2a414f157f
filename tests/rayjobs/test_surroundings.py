"""Rows 11, 12, 13 and 17: a silent address, fewer cores than the machine's, TMPDIR, files that hide packages."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from stores import make_store, study_of

import hnscc
from hnscc.base.errors import InputError
from hnscc.study.loading import dump_study
from rayjobs import surroundings
from rayjobs.study import main
from rayjobs.surroundings import folder_for_ray

ROOT = Path(__file__).parents[2]
RUN = ("-P", "-c", "from hnscc.commands.cli import main; main()", "run")
# Starts Ray where no process may be started any more. What Ray loads late is loaded first: it may lie in root's home.
NO_PROCESS = """
import argparse, os, resource, sys
import ray._private.runtime_env.uv_runtime_env_hook
from hnscc.base.command import exit_code_of
from rayjobs.cluster import connected

def start():
    with connected(None):
        return 0

os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
sys.exit(exit_code_of(start))
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    settings = {"repeats": 1, "variants": {"pet": {"modalities": ["pet"]}}, "training": {"epochs": 1}}
    (folder / "study.yaml").write_text(dump_study(study_of(make_store(folder).location, **settings)))
    return folder / "study.yaml"


def started(home: Path, *command, here: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    own = {"HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env=inherited | own,
        cwd=here,
        capture_output=True,
        text=True,
        timeout=300,
    )


@contextlib.contextmanager
def listening(answer: bytes | None):
    """A port at which something listens that is no Ray: it says nothing, or greets like another server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def _accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept()[0])
                    if answer:
                        kept[-1].sendall(answer)

        threading.Thread(target=_accept, daemon=True).start()
        yield server.getsockname()[1]
        for each in kept:
            each.close()


def told(done: tuple[int, str, str], *words: str) -> None:
    """done: exit code, standard output, standard error."""
    code, out, error = done
    assert code == 2, error + out
    assert error.count("error: ") == 1 and "Traceback" not in error, error
    for word in words:
        assert word in error


@pytest.mark.parametrize("variable, around", [(True, "{}"), (True, "{}\r"), (False, "{}"), (False, " {}")])
def test_row_11_a_port_where_nothing_listens_is_one_message_at_once(
    study, here, monkeypatch, tmp_path, variable, around
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    given = () if variable else ("--address", around.format(address))
    monkeypatch.setenv("RAY_ADDRESS", around.format(address) if variable else "")
    began = time.monotonic()
    done = here(main, study, "--out", tmp_path / "run", *given)
    assert time.monotonic() - began < 30
    told(done, "No Ray cluster can be joined at this address.", f"nothing listens at {address}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("answer", [None, b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_row_11_a_port_where_something_else_listens_is_one_message(
    study, here, monkeypatch, tmp_path, answer
):
    monkeypatch.setattr(surroundings, "RAY_SECONDS", 1)
    with listening(answer) as port:
        began = time.monotonic()
        done = here(main, study, "--out", tmp_path / "run", "--address", f"127.0.0.1:{port}")
        assert time.monotonic() - began < 60, (
            "a second of waiting, and the start of a Python on a loaded machine"
        )
    told(done, "No Ray cluster can be joined at this address.")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_row_12_a_run_bound_to_one_core_trains_one_trial_at_a_time_and_check_says_so(study, home, tmp_path):
    first = min(os.sched_getaffinity(0))
    bound = f"import os; os.sched_setaffinity(0, {{{first}}})\n"
    check = bound + "import hnscc, json, sys; print(json.dumps(hnscc.check(sys.argv[1])['time']))"
    done = started(home, "-c", check, study)
    assert json.loads(done.stdout)["cores_here"] == 1, done.stderr
    ask = bound + (
        "import ray\nfrom rayjobs.cluster import connected\n"
        "with connected(None): print('CPUs', ray.cluster_resources()['CPU'])"
    )
    done = started(home, "-c", ask)
    assert "CPUs 1.0" in done.stdout, done.stderr


OWN_RAY = """
import ray, hnscc, sys
from hnscc.base.errors import InputError
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
try:
    hnscc.run(*sys.argv[1:])
except InputError as error:
    print(error.problem, ray.is_initialized())
"""


@pytest.mark.slow
def test_a_script_that_uses_ray_itself_is_told(study, home, tmp_path):
    """It was told to raise what limits processes."""
    done = started(home, "-c", OWN_RAY, study, tmp_path / "run")
    assert done.stdout == "This process uses Ray already. True\n", done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["relative", "letters", "taken"])
def test_row_13_a_folder_that_ray_cannot_use_is_gone_round(monkeypatch, kind):
    """Ray ended in a traceback of its encoding, or did not start, and `ulimit` was blamed: for a relative path, for
    one with other letters, and where another user's folder lies in Ray's place."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    with tempfile.TemporaryDirectory(prefix="é" if kind == "letters" else "tmp", dir="/tmp") as short:
        monkeypatch.chdir(short)
        monkeypatch.setenv("TMPDIR", "." if kind == "relative" else short)
        if kind == "taken":
            Path(short, "ray").touch()  # root may write into any folder
        with folder_for_ray() as folder:
            assert folder is not None and Path(folder).parent == Path("/tmp")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["long", "read-only", "gone"])
def test_row_13_a_tmpdir_that_is_no_place_for_sockets_is_gone_round(study, here, monkeypatch, tmp_path, kind):
    """/proc cannot be written to, not even by root."""
    long = tmp_path / ("x" * 80)
    long.mkdir()
    made, make = [], tempfile.mkdtemp
    monkeypatch.setattr(
        tempfile, "mkdtemp", lambda *given, **how: made.append(make(*given, **how)) or made[-1]
    )
    tmpdir = {"long": str(long), "read-only": "/proc", "gone": str(tmp_path / "gone")}[kind]
    monkeypatch.setenv("TMPDIR", tmpdir)
    monkeypatch.setattr(tempfile, "tempdir", None)  # where a new process would find none yet
    code, out, error = here(main, study, "--out", tmp_path / "run")
    assert code == 0, error + out
    assert "1 trial completed" in out
    own = [Path(each) for each in made if Path(each).name.startswith("hnscc-")]
    assert Path("/tmp") in {each.parent for each in own}
    assert not any(each.exists() for each in own), "its own folder is gone again"


def test_row_13_a_short_tmpdir_is_left_to_ray(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    with folder_for_ray() as folder:
        assert folder is None


@pytest.mark.slow
def test_row_14_a_ray_that_does_not_start_is_told(study, home, tmp_path):
    """Of 40 open files it started no process, and ended in a traceback: `Timed out waiting for file`."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
    done = started(home, *RUN[:2], limited + RUN[2], *RUN[3:], study, "--out", tmp_path / "run")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "error: Ray did not start on this machine." in done.stderr and "`ulimit -a`" in done.stderr


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root may become another user, whom limits of processes hold"
)
def test_a_machine_without_room_for_processes_is_told(home):
    """Ray raises another kind of OSError there, which ended in a traceback: `Resource temporarily unavailable`."""
    done = started(home, "-c", NO_PROCESS)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "error: Ray did not start on this machine." in done.stderr and "`ulimit -a`" in done.stderr


HIDING = ("hnscc.py", "ray.py", "torch.py", "numpy/__init__.py", "statistics.py")


@pytest.mark.parametrize("name", HIDING)
def test_row_17_a_file_that_hides_a_package_is_named(study, here, monkeypatch, tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit('not the package')\n")
    monkeypatch.chdir(tmp_path)
    done = here(main, study, "--out", tmp_path / "run")
    told(done, "A file in the working folder hides a package", name.partition("/")[0])
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match=f"hides a package[^$]*{name.partition('/')[0]}"):
        hnscc.check(study)


def test_row_17_the_command_names_all_files_that_hide_what_it_has_loaded(study, home, tmp_path):
    for name in HIDING:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('not the package')\n")
    done = started(home, *RUN, study, "--out", tmp_path / "run", here=tmp_path)
    names = "hnscc.py, numpy, ray.py, statistics.py, torch.py"
    told((done.returncode, done.stdout, done.stderr), "A file in the working folder hides a package", names)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("function", ["run", "search"])
def test_row_17_a_script_of_ones_own_names_a_file_that_hides_ray(study, home, tmp_path, function):
    """Of a script, its folder is the first that Python looks into: `'ray' is not a package`, a traceback."""
    (tmp_path / "ray.py").write_text("raise SystemExit('not the package')\n")
    (tmp_path / "mine.py").write_text(
        f"import hnscc\nhnscc.{function}({str(study)!r}, {str(tmp_path / 'run')!r})\n"
    )
    done = started(home, tmp_path / "mine.py", here=tmp_path)
    assert (
        "InputError: A file in the working folder hides a package" in done.stderr and "ray.py" in done.stderr
    )
    assert not (tmp_path / "run").exists()


def test_row_17_the_module_by_its_name_finds_the_installed_packages_too(study, home, tmp_path):
    for name in ("hnscc.py", "ray.py"):
        (tmp_path / name).write_text("raise SystemExit('not the package')\n")
    done = started(home, "-m", "rayjobs.study", study, "--out", tmp_path / "run", here=tmp_path)
    done = (done.returncode, done.stdout, done.stderr)
    told(done, "A file in the working folder hides a package", "hnscc.py", "ray.py")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["numpy.py", "queue.py"])
def test_row_17_a_training_without_ray_loads_the_installed_packages(study, home, tmp_path, name):
    (tmp_path / name).write_text("raise SystemExit('not the package')\n")
    done = started(home, "-m", "hnscc.train", study, "no-f0-r00", "--out", tmp_path / "run", here=tmp_path)
    told((done.returncode, done.stdout, done.stderr), "The study has no such trial.", "no-f0-r00")


LOAD = """
import importlib, sys
import rayjobs.study
from rayjobs.shadowed import LOADED_LATER
before = {name.partition(".")[0] for name in sys.modules}
for name in sys.argv[1:]:
    importlib.import_module(name)
after = {name.partition(".")[0] for name, module in sys.modules.items() if getattr(module, "__spec__", None)}
# This repository's own: its root is a folder that one may stand in.
print(sorted(name for name in after - before - LOADED_LATER - {"data_prep"} if not name.startswith("_")))
"""
TRAINS = ("rayjobs.worker", "hnscc.training.trial", "segmentation_models_pytorch", "albumentations")


@pytest.mark.slow
def test_row_17_whatever_trains_and_tabulates_is_in_the_list_of_what_is_loaded_later(home):
    done = started(home, "-c", LOAD, *TRAINS, "rayjobs.scheduling", "rayjobs.aggregate", "duckdb")
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


@pytest.mark.slow
def test_row_17_other_files_in_the_working_folder_hide_nothing(study, home, tmp_path):
    for name in ("my_analysis.py", "hnscc.txt", "train.py", "ray/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    done = started(home, *RUN, study, "--out", tmp_path / "run", here=tmp_path)
    assert done.returncode == 0, done.stderr
