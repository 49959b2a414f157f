"""A cluster as deploy/onprem.yaml starts it, seen from the user's machine, and its `ray` commands."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hosts import HOME, ROOT, Host

SHIPPED = yaml.safe_load((ROOT / "deploy/onprem.yaml").read_text())
DASHBOARD = "http://127.0.0.1:8265"
FILE = HOME / "onprem.yaml"
# So many seconds without a head, and a worker gives up; Ray's own 60 would only be waited for.
HEADLESS_SECONDS = 15


@dataclass(frozen=True)
class Cluster:
    client: Host
    head: Host
    workers: list[Host]
    shared: Path

    @property
    def machines(self) -> list[Host]:
        return [self.head, *self.workers]

    def ray(self, *arguments: Any, **variables: str) -> subprocess.CompletedProcess:
        """A `ray` command in the user's terminal, which stands in the repository."""
        settings = [f"{name}={value}" for name, value in variables.items()]
        return self.client.run(["env", *settings, "ray", *arguments], folder=ROOT, seconds=400)

    def submit(
        self, *command: Any, options: Sequence[str] = (), **variables: str
    ) -> subprocess.CompletedProcess:
        """A job of the repository, with its log. It ends when the job does, with 1 where that failed."""
        where = ["--address", DASHBOARD, "--working-dir", ".", *options]
        return self.ray("job", "submit", *where, "--", *command, **{"RAY_AUTH_MODE": "token"} | variables)


def as_shipped() -> dict[str, Any]:
    """The shipped file but for three things: the environment is this one instead of a new one from the network, the
    machines are small, and workers notice the head's end sooner."""
    config = yaml.safe_load((ROOT / "deploy/onprem.yaml").read_text())
    installing = [
        command for command in config["setup_commands"] if "-m venv" in command or "pip install" in command
    ]
    assert len(installing) == 2
    config["setup_commands"].remove(installing[0])
    config["setup_commands"][config["setup_commands"].index(installing[1])] = (
        f"mkdir -p ~/hnscc && ln -sfn {sys.prefix} ~/hnscc/venv"
    )
    small = " --object-store-memory=100000000"
    config["head_start_ray_commands"][-1] += small
    config["worker_start_ray_commands"][-1] = (
        f"export RAY_gcs_rpc_server_reconnect_timeout_s={HEADLESS_SECONDS}; "
        + config["worker_start_ray_commands"][-1]
        + f"{small} --num-cpus=1"
    )
    return config


def told_once() -> list[str]:
    """The commands by which the file's header has token and certificate made."""
    header = "".join(
        line[1:] for line in (ROOT / "deploy/onprem.yaml").read_text().splitlines(True) if line[0] == "#"
    )
    commands = header.replace("\\\n", " ").splitlines()
    found = [
        command.strip() for command in commands if "get-auth-token" in command or "openssl req" in command
    ]
    assert len(found) == 2
    return found


def eventually(true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True
