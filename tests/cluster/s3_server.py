"""A real S3 server on this machine: Ceph's radosgw, over one monitor and one object daemon that keeps all in memory.

The radosgw alone can be killed and started again, or stopped for a while: what it had acknowledged is still there.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.store import S3Store

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin", "setpriv")
STARTS_WITHIN = 90
TRIES = 3  # to start a server: another program may take the port that was free a moment ago
CONFIGURATION = """
[global]
fsid = {fsid}
mon_host = [v1:127.0.0.1:{monitor}]
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
keyring = {folder}/keyring
run_dir = {folder}
admin_socket = {folder}/$name.asok
crash_dir = {folder}
log_file = {folder}/$name.log
mon_cluster_log_file = {folder}/cluster.log
mon_data = {folder}/monitor
osd_data = {folder}/objects
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_crush_update_on_start = false
osd_class_update_on_start = false
osd_crush_chooseleaf_type = 0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
mon_data_avail_crit = 0
[client.rgw]
rgw_frontends = beast endpoint={address}:{port} tcp_nodelay=1
"""


def missing() -> str | None:
    """Why no S3 server can be started here, or None."""
    absent = [program for program in PROGRAMS if not shutil.which(program)]
    return f"not installed: {', '.join(absent)} (packages radosgw, ceph-mon, ceph-osd)" if absent else None


class S3Server:
    """environment: what a program needs to reach it."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address
        self.port = _free_port()
        self.key, self.secret = secrets.token_hex(8), secrets.token_hex(16)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        # --pdeathsig tells of the death of the starting thread: this one lives as long as the test.
        self.starter = ThreadPoolExecutor(1)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://{self.address}:{self.port}",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self, name: str) -> None:
        url = obstore.sign(self.bucket(name), "PUT", "", expires_in=timedelta(minutes=5))
        with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=60):
            pass

    def bucket(self, name: str) -> S3Store:
        """The test's own connection, for what it puts, looks at and damages behind the program's back."""
        return S3Store(
            name,
            endpoint=f"http://{self.address}:{self.port}",
            access_key_id=self.key,
            secret_access_key=self.secret,
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def start(self) -> None:
        """Start radosgw (again) and wait until it answers."""
        self._run("radosgw", "-f", "-n", "client.rgw")
        self._wait("radosgw", lambda: socket.create_connection((self.address, self.port), timeout=5).close())

    def kill(self) -> None:
        """Kill -9 radosgw; the others, which hold the data, go on."""
        self._end("radosgw")

    def signal(self, number: int) -> None:
        """To radosgw: SIGSTOP makes a server that takes connections and does not answer."""
        self.running["radosgw"].send_signal(number)

    def fill(self) -> None:
        """From now on no write has room, by a quota of a single byte."""
        self._do("radosgw-admin", "quota", "set", "--quota-scope=user", "--uid=test", "--max-size=1")
        self._do("radosgw-admin", "quota", "enable", "--quota-scope=user", "--uid=test")

    def make_room(self) -> None:
        self._do("radosgw-admin", "quota", "disable", "--quota-scope=user", "--uid=test")

    def begin(self) -> None:
        monitor = _free_port()
        facts = {"folder": self.folder, "address": self.address, "port": self.port}
        text = CONFIGURATION.format(fsid=uuid.uuid4(), monitor=monitor, **facts)
        (self.folder / "ceph.conf").write_text(text)
        (self.folder / "keyring").touch()
        for name in ("monitor", "objects"):
            (self.folder / name).mkdir()
        fsid = text.split("fsid = ")[1].split()[0]
        monmap, osd = str(self.folder / "monmap"), str(uuid.uuid4())
        self._do("monmaptool", "--create", "--addv", "a", f"[v1:127.0.0.1:{monitor}]", "--fsid", fsid, monmap)
        self._do("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
        self._run("ceph-mon", "-f", "-i", "a")
        self._wait("ceph-mon", lambda: socket.create_connection(("127.0.0.1", monitor), timeout=5).close())
        self._do("ceph", "osd", "new", osd)
        self._do("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, "--monmap", monmap)
        self._do("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=a")
        self._run("ceph-osd", "-f", "-i", "0")
        self.start()
        owner = ("--uid=test", "--display-name=test", f"--access-key={self.key}", f"--secret={self.secret}")
        self._do("radosgw-admin", "user", "create", *owner)

    def end(self) -> None:
        for name in reversed(list(self.running)):
            self._end(name)
        self.starter.shutdown()

    @property
    def _own(self) -> dict[str, str]:
        return {**os.environ, "CEPH_CONF": str(self.folder / "ceph.conf")}

    def _do(self, *command: str) -> None:
        done = subprocess.run(
            command,
            env=self._own,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=STARTS_WITHIN,
        )
        assert done.returncode == 0, f"{' '.join(command[:3])}: {done.stderr}"

    def _run(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as log:
            self.running[command[0]] = self.starter.submit(
                subprocess.Popen,
                ["setpriv", "--pdeathsig=KILL", *command],  # ends with the test, even where that is killed
                env=self._own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            ).result()

    def _wait(self, name: str, answers: Callable[[], None]) -> None:
        until = time.monotonic() + STARTS_WITHIN
        while True:
            assert self.running[name].poll() is None, (self.folder / f"{name}.out").read_text()
            with contextlib.suppress(OSError):
                answers()
                return
            assert time.monotonic() < until, f"{name} does not answer"
            time.sleep(0.2)

    def _end(self, name: str) -> None:
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(30)


@contextlib.contextmanager
def s3_server(address: str = "127.0.0.1") -> Iterator[S3Server]:
    """A server of its own, at a free port of `address`, with one user; gone at the end with all that it held."""
    with contextlib.ExitStack() as held:
        yield _begun(address, held)


def _begun(address: str, held: contextlib.ExitStack) -> S3Server:
    for left in reversed(range(TRIES)):
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="s3-")))
        server = S3Server(folder, address)
        held.callback(server.end)
        try:
            server.begin()
            return server
        except (AssertionError, subprocess.TimeoutExpired) as failed:
            logs = "".join(each.read_text()[-2000:] for each in folder.glob("*.out"))
            print(f"the S3 server did not start ({left} more tries): {failed}\n{logs}")
    raise AssertionError(f"no S3 server after {TRIES} tries: see the output above")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
