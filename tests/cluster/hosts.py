"""Several hosts on one machine: for each a network, PID and mount namespace with an sshd, all on one bridge.

Each host has its own home folders, /tmp, /run and /dev/shm and one unprivileged user, USER, whom all of them know.
The interpreter, the repository and one shared folder are seen by all of them under the same path; the shared folder
stands for network storage. Nothing outlives the hosts' first processes: no name in /run/netns, no link, no mount.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
USER, UID = "hnscc", 7077
HOME = Path("/home") / USER
PATH = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAMS = (
    "sshd",
    "ssh",
    "ssh-keygen",
    "rsync",
    "ip",
    "ss",
    "ps",
    "unshare",
    "nsenter",
    "setpriv",
    "openssl",
)
# What each host has for itself; what others need of it below is bound in again.
OWN = ("/home", "/root", "/tmp", "/run")
SSHD = """
HostKey /run/host_key
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
"""
FIRST_PROCESS = """
set -eu
hostname "$0"
own=$1; shift
for seen in "$@"; do mkdir -p "$own$seen"; mount --bind "$seen" "$own$seen"; done
for file in passwd shadow group; do mount --bind "$own/etc/$file" "/etc/$file"; done
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
for top in home root run tmp; do mount --rbind "$own/$top" "/$top"; done
exec "$(command -v sshd)" -D -e -f /run/sshd_config
"""


def missing() -> str | None:
    """Why hosts cannot be made here, or None."""
    if os.geteuid() != 0:
        return "hosts are made of namespaces, which needs root"
    absent = [program for program in PROGRAMS if not shutil.which(program, path=PATH)]
    if absent:
        return f"not installed: {', '.join(absent)}"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True)
    return f"no namespaces: {tried.stderr.decode().strip()}" if tried.returncode else None


@dataclass(frozen=True)
class Host:
    """address: IPv4; own: where its private folders lie for the test; pid: its first process, as the test sees it."""

    name: str
    address: str
    own: Path
    pid: int

    @property
    def home(self) -> Path:
        """USER's home folder, as the test sees it."""
        return self.own / HOME.relative_to("/")

    def inside(self, command: list[Any], *, root: bool = False, folder: Path | None = None) -> list[str]:
        """The command line that runs `command` on this host as USER (or root), in that user's home or in `folder`."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        identity = [] if root else [f"--setuid={UID}", f"--setgid={UID}"]
        home = Path("/root") if root else HOME
        clean = ["env", "--ignore-environment", f"--chdir={folder or home}"]
        variables = [f"HOME={home}", f"PATH={PATH}", "LANG=C.UTF-8"]
        return [*enter, *identity, *clean, *variables, *map(str, command)]

    def run(
        self, command: list[Any], *, seconds: float = 120, **where: Any
    ) -> subprocess.CompletedProcess[str]:
        """The ended command with its standard output and error, both text; `where` as for `inside`."""
        return subprocess.run(
            self.inside(command, **where),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def processes(self) -> list[str]:
        """The command line of every process of this host, without those of sshd and of this call."""
        listed = self.run(["ps", "-ww", "-eo", "stat=,args="], root=True)
        lines = (line.split(None, 1) for line in listed.stdout.splitlines())
        return [
            args
            for state, args in lines
            if not state.startswith("Z") and not args.startswith(("sshd:", "ps "))
        ]

    def listening(self) -> list[tuple[str, int, str]]:
        """Address, TCP port and process name of whatever takes connections, loopback included."""
        command = ["ss", "--listening", "--tcp", "--numeric", "--processes", "--no-header"]
        found = []
        for line in self.run(command, root=True).stdout.splitlines():
            _, _, _, local, _, user = line.split(None, 5)
            address, _, port = local.rpartition(":")
            found.append((address.strip("[]").removeprefix("::ffff:"), int(port), user.split('"')[1]))
        return found


@contextlib.contextmanager
def hosts(shared: Path, addresses: dict[str, str]) -> Iterator[dict[str, Host]]:
    """Hosts by name, on one network of 256 addresses. USER may log in from each to each with ~/.ssh/hnscc_cluster.

    shared: an existing folder that USER is given, at the same path on every host. When the context ends, also by an
    exception, every process on the hosts is killed and their private files are removed.
    """
    os.chown(shared, UID, UID)
    with contextlib.ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="hosts-")))
        folder.chmod(0o755)
        key = _keys(folder)
        made: dict[str, Host] = {}
        for name, address in addresses.items():
            own = _own_files(folder / name, key)
            made[name] = Host(name, address, own, _first_process(name, own, shared, ending))
        _network(list(made.values()))
        for host in made.values():
            _await_sshd(host)
        yield made


def _keys(folder: Path) -> Path:
    for name in ("key", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    return folder / "key"


def _own_files(own: Path, key: Path) -> Path:
    """The private folders of one host, with what sshd reads and USER's account and key."""
    for top in OWN:
        (own / top.lstrip("/")).mkdir(parents=True)
    (own / "tmp").chmod(0o1777)
    home = own / HOME.relative_to("/")
    for made in (own / "run/sshd", own / "etc", home / ".ssh"):
        made.mkdir(parents=True)
    shutil.copy(key.with_name("host_key"), own / "run/host_key")
    (own / "run/sshd_config").write_text(SSHD)
    shutil.copy(key, home / ".ssh/hnscc_cluster")
    shutil.copy(key.with_suffix(".pub"), home / ".ssh/authorized_keys")
    (home / ".bashrc").touch()
    account = {
        "passwd": f"{USER}:x:{UID}:{UID}::{HOME}:/bin/bash",
        "shadow": f"{USER}:*:19000:0:99999:7:::",
        "group": f"{USER}:x:{UID}:",
    }
    for name, line in account.items():
        (own / "etc" / name).write_text(Path("/etc", name).read_text().rstrip("\n") + f"\n{line}\n")
    (own / "etc/shadow").chmod(0o600)
    for path in (home, *home.rglob("*")):
        os.chown(path, UID, UID)
        path.chmod(0o700 if path.is_dir() else 0o600)
    return own


def _first_process(name: str, own: Path, shared: Path, ending: contextlib.ExitStack) -> int:
    """Start one host's sshd as the first process of its namespaces; `ending` kills it, and so all of the host."""
    seen = dict.fromkeys(map(str, [ROOT, sys.prefix, sys.base_prefix, shared]))
    hidden = [folder for folder in seen if folder.startswith(tuple(f"{top}/" for top in OWN))]
    log = ending.enter_context((own / "sshd.log").open("wb"))
    # The host dies with the test, even where that is killed.
    namespaces = (
        "setpriv --pdeathsig=KILL unshare --net --pid --fork --mount --uts --ipc --mount-proc --kill-child"
    )
    process = subprocess.Popen(
        [*namespaces.split(), "bash", "-c", FIRST_PROCESS, name, own, *hidden],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={"PATH": PATH},
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    ending.callback(_kill, process, children)
    while not (found := children.read_text().split()):
        assert process.poll() is None, (own / "sshd.log").read_text()
        time.sleep(0.01)
    return int(found[0])


def _kill(process: subprocess.Popen[bytes], children: Path) -> None:
    """Kill the first process and wait until the kernel has ended every other process of its PID namespace."""
    if process.poll() is None:
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        process.wait()


def _network(made: list[Host]) -> None:
    """One bridge, in the first host's namespace, and a pair of interfaces for each of the others."""
    first, *others = made
    _ip(first, "link add eth0 type bridge")
    for number, host in enumerate(others):
        _ip(first, f"link add to{number} master eth0 type veth peer name eth0 netns {host.pid}")
        _ip(first, f"link set to{number} up")
    for host in made:
        _ip(host, f"address add {host.address}/24 dev eth0")
        _ip(host, "link set lo up")
        _ip(host, "link set eth0 up")


def _ip(host: Host, command: str) -> None:
    subprocess.run(["nsenter", f"--target={host.pid}", "--net", "ip", *command.split()], check=True)


def _await_sshd(host: Host) -> None:
    """Its mounts are made, then, and it may be entered."""
    deadline = time.monotonic() + 20
    while "sshd" not in [process for _, _, process in host.listening()]:
        assert time.monotonic() < deadline, (host.own / "sshd.log").read_text()
        time.sleep(0.05)
