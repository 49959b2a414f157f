"""Runs a module of the project as its user would start it: in a process of its own."""

import contextlib
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The environment of a test's local Ray. It may take long to start on a busy machine, and even minutes with the low
# priority that Ray gives its processes by default, while tests run at a higher one.
LOCAL_RAY = {
    "RAY_worker_niceness": "0",
    "RAY_raylet_start_wait_time_s": "120",
}
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
# Everything in this process joins or starts Ray with the same token, since Ray reads it once, when it is imported.
os.environ.update(LOCAL_RAY | TOKEN)


def start(
    home: Path, module: str, *arguments: object, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start python -m module, in a process group of its own, as a shell does. home: where Ray keeps files."""
    own = {"HOME": str(home), "OMP_NUM_THREADS": "1"} | LOCAL_RAY | (environment or {})
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    out = subprocess.PIPE
    return subprocess.Popen(
        command, env=inherited | own, cwd=ROOT, text=True, stdout=out, stderr=out, process_group=0
    )


def run(
    home: Path, module: str, *arguments: object, code: int = 0, environment: dict[str, str] | None = None
) -> tuple[str, str]:
    """Run it to its end, which must have that exit code; return what it printed and its errors."""
    process = start(home, module, *arguments, environment=environment)
    out, error = process.communicate(timeout=500)
    assert process.returncode == code, f"exit code {process.returncode}\n{error}{out}"
    return out, error


def call(home: Path, main: Callable[[list[str]], int], *arguments: object) -> tuple[int, str, str]:
    """Call the `main` of a module in this process; return exit code, standard output and standard error. Unlike the
    fixture `here`, it also serves what outlives a test. It costs no imports."""
    with (
        pytest.MonkeyPatch.context() as patched,
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as error,
    ):
        set_local_ray(patched, home)
        code = main([*map(str, arguments)])
    return code, out.getvalue(), error.getvalue()


def set_local_ray(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Set the environment in which this process starts a Ray of its own; RAY_ADDRESS and similar variables
    are removed."""
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    for name, value in {"HOME": str(home), "OMP_NUM_THREADS": "1", **LOCAL_RAY, **TOKEN}.items():
        monkeypatch.setenv(name, value)


@contextlib.contextmanager
def running_cluster(
    home: Path, gpus: int, cpus: int | None = None, environment: dict[str, str] | None = None
) -> Iterator[tuple[str, dict[str, str]]]:
    """Start a cluster of one machine, whose GPUs are declared, not real; give its address and its token.

    The cluster is up when the `with` block begins. environment: of its workers. cpus: declared, too; None for those of
    this machine.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray = Path(sys.executable).parent / "ray"
    command = [str(ray), "start", "--head", "--block", f"--port={port}", f"--num-gpus={gpus}"]
    command += [f"--num-cpus={cpus or os.cpu_count()}", "--include-dashboard=false", "--disable-usage-stats"]
    own = {"HOME": str(home), "OMP_NUM_THREADS": "1"} | LOCAL_RAY | TOKEN | (environment or {})
    said = home / f"ray-{port}.txt"
    with said.open("w") as file:
        process = subprocess.Popen(command, env=os.environ | own, stdout=file, stderr=file)
    try:
        until = time.monotonic() + 300
        while "Ray runtime started" not in said.read_text():
            assert process.poll() is None and time.monotonic() < until, said.read_text()
            time.sleep(0.1)
        yield f"127.0.0.1:{port}", TOKEN
    finally:
        process.terminate()
        process.wait(timeout=60)
