"""deploy/onprem.yaml as it is shipped: `ray up` over real SSH to hosts of this machine's own, jobs, ports, `ray down`.

The tests share one cluster, in the order in which a user meets it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hosts import HOME, ROOT, UID, Host, hosts, missing
from ray_up import DASHBOARD, FILE, SHIPPED, Cluster, as_shipped, eventually, told_once
from stores import make_store, study_of

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
# The ports that the file's header tells to open between the machines, and SSH.
HEAD_ONLY = {6379, 10001}
EVERYWHERE = {22, *range(6380, 6385), *range(10002, 11000)}
# Answered without a token, which no setting of Ray prevents. By HTTP: whether Ray is alive. By gRPC, and only to those
# who hold the cluster's certificate: the same, and addresses and counters of connections.
OPEN_PATHS = {"/api/healthz", "/api/local_raylet_healthz"}
OPEN_SERVICES = (
    "/grpc.health.v1.Health/",
    "/grpc.channelz.v1.Channelz/",
    "/grpc.reflection.v1alpha.ServerReflection/",
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    shared = tmp_path_factory.mktemp("shared")
    provider = SHIPPED["provider"]
    workers = {f"worker{i}": address for i, address in enumerate(provider["worker_ips"], start=1)}
    network = provider["head_ip"].rpartition(".")[0]
    with hosts(shared, {"client": f"{network}.250", "head": provider["head_ip"], **workers}) as made:
        client = made["client"]
        (client.home / "onprem.yaml").write_text(yaml.safe_dump(as_shipped(), sort_keys=False, width=1000))
        for command in told_once():
            done = client.run(["bash", "-c", command])
            assert done.returncode == 0, done.stderr
        cluster = Cluster(client, made["head"], [made[name] for name in workers], shared)
        up = cluster.ray("up", "-y", FILE)
        assert up.returncode == 0, up.stdout + up.stderr
        all_joined = f"{len(cluster.machines)} local.cluster.node"
        assert eventually(lambda: all_joined in cluster.ray("exec", FILE, "ray status").stdout, seconds=180)
        yield cluster


@pytest.fixture(scope="module")
def tunnel(cluster: Cluster) -> Iterator[None]:
    """`ray dashboard` in another terminal of the user. Ends with all that it started."""
    command = ["setpriv", "--pdeathsig=TERM", "timeout", "1800", "ray", "dashboard", FILE]
    process = subprocess.Popen(
        cluster.client.inside(command, folder=ROOT),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    listening = cluster.client.listening
    assert eventually(lambda: 8265 in [port for _, port, _ in listening()], seconds=60)
    yield
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def store(cluster: Cluster):
    """Where all machines see it, and no user but root may write."""
    return make_store(cluster.shared, patients=12)


def write_study(cluster: Cluster, name: str, store, **settings: Any) -> Path:
    raw = study_of(store.location, name=name, **settings).model_dump(mode="json")
    path = cluster.shared / f"{name}.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def tables(folder: Path) -> dict[str, pa.Table]:
    """Every table outside its columns of wall-clock time."""
    read = {path.name: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}
    return {
        name: table.drop_columns([column for column in table.column_names if column == "seconds"])
        for name, table in read.items()
    }


def test_the_doctor_finds_nothing_wrong(cluster: Cluster):
    """Nor anything to note: token, certificate and code are where the file says."""
    checked = cluster.client.run(
        ["hnscc", "doctor", "--cluster", "deploy/onprem.yaml", "--working-dir", "."], folder=ROOT
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "note:" not in checked.stdout + checked.stderr


def test_nothing_is_left_open_on_the_machines(cluster: Cluster):
    """The token is the same everywhere and its owner's alone, so are Ray's files; usage statistics are off."""
    token = (cluster.client.home / ".ray/auth_token").read_bytes()
    for host in cluster.machines:
        assert (host.home / ".ray/auth_token").read_bytes() == token
        for secret in (host.home / ".ray/auth_token", host.home / ".ray/hnscc.key"):
            assert (secret.stat().st_uid, secret.stat().st_mode & 0o777) == (UID, 0o600)
        assert (host.home / ".ray").stat().st_mode & 0o777 == 0o700
        assert (host.own / "tmp/hnscc").stat().st_mode & 0o777 == 0o700
        assert not (host.own / "tmp/ray").exists()
    assert {"code", "venv"} == {path.name for path in (cluster.head.home / "hnscc").iterdir()}
    mounted = {path.name for path in (cluster.head.home / "hnscc/code").iterdir()}
    assert mounted == {
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "LICENSE",
        "hnscc",
        "rayjobs",
        "data_prep",
    }
    assert (cluster.head.home / "ray_bootstrap_key.pem").stat().st_mode & 0o777 == 0o600
    logged = cluster.head.run(
        ["grep", "-r", "Usage reporting is disabled", "/tmp/hnscc/ray/session_latest/logs"]
    )
    assert logged.returncode == 0


def test_every_port_refuses_who_has_no_token_or_a_wrong_one(cluster: Cluster, tunnel: None):
    """While a job runs on every worker: each port beyond loopback is a known one, and refuses every call but those of
    OPEN_SERVICES and OPEN_PATHS."""
    work = "import ray, time; ray.init(); ray.get([ray.remote(lambda: time.sleep(600)).remote() for _ in range(2)])"
    started = cluster.submit("python", "-c", work, options=["--no-wait", "--submission-id", "busy"])
    assert started.returncode == 0, started.stdout + started.stderr

    def all_busy() -> bool:
        return all(beyond_loopback(host) & set(range(10002, 11000)) for host in cluster.machines)

    assert eventually(all_busy, seconds=120)
    open_ports = {host.address: beyond_loopback(host) for host in cluster.machines}
    for host in cluster.machines:
        assert open_ports[host.address] <= EVERYWHERE | (HEAD_ONLY if host is cluster.head else set())
        assert open_ports[host.address] >= set(range(6380, 6385))
    targets = [f"{address}:{port}" for address, ports in open_ports.items() for port in sorted(ports)]
    asked = cluster.client.run(
        [
            "python",
            ROOT / "tests/cluster/ports.py",
            HOME / ".ray/hnscc.crt",
            HOME / ".ray/hnscc.key",
            *targets,
        ],
        seconds=500,
    )
    assert asked.returncode == 0, asked.stderr
    answers = json.loads(asked.stdout)
    assert answers.keys() == set(targets)
    wrong = {target: told for target in targets if (told := breaches(target, answers[target]))}
    assert not wrong
    # All are still there: a call that ends the process behind a port is no refusal.
    assert {host.address: beyond_loopback(host) for host in cluster.machines} == open_ports
    stopped = cluster.ray("job", "stop", "--address", DASHBOARD, "busy", RAY_AUTH_MODE="token")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr


def beyond_loopback(host: Host) -> set[int]:
    return {
        port for address, port, _ in host.listening() if not address.startswith("127.") and address != "::1"
    }


def breaches(target: str, answers: dict[str, Any]) -> list[str]:
    """What a port told to one who has no token (`none`) or another one (`wrong`), and should not have."""
    strangers, insiders = answers["strangers"], answers["with the certificate"]
    if target.endswith(":22"):
        return [] if all("SSH-2.0" in str(answer) for answer in strangers.values()) else [str(strangers)]
    found = []
    for token, code in (("none", "401"), ("wrong", "403")):
        if insiders:
            if not isinstance(strangers[token], str):
                found.append(f"{token}: answers without the certificate")
            found += told(insiders[token], {"UNAUTHENTICATED"}, {"UNIMPLEMENTED"}, OPEN_SERVICES)
        elif isinstance(strangers[token], str):
            found.append(f"{token}: neither gRPC nor HTTP: {strangers[token]}")
        else:
            found += told(strangers[token], {code}, set(), tuple(OPEN_PATHS))
    return found


def told(
    statuses: dict[str, list[str]], refusals: set[str], absent: set[str], allowed: tuple[str, ...]
) -> list[str]:
    """Whatever was asked and neither refused nor absent nor allowed; something must have been refused."""
    found = [] if statuses.keys() & refusals else [f"nothing refused: {sorted(statuses)}"]
    for status, asked in statuses.items():
        if status not in refusals | absent:
            found += [f"{each}: {status}" for each in asked if not each.startswith(allowed)]
    return found


def test_a_user_without_the_token_is_told_so(cluster: Cluster, tunnel: None):
    gcs = f"{cluster.head.address}:6379"
    files = {"CA_CERT": "hnscc.crt", "SERVER_CERT": "hnscc.crt", "SERVER_KEY": "hnscc.key"}
    certificate = {"RAY_USE_TLS": "1"} | {
        f"RAY_TLS_{name}": f"{HOME}/.ray/{file}" for name, file in files.items()
    }
    for variables, message in (
        ({"RAY_AUTH_MODE": "disabled"}, "Missing authentication token"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}, "Invalid authentication token"),
    ):
        refused = cluster.submit("true", **variables)
        assert refused.returncode != 0
        assert message in refused.stdout + refused.stderr
        refused = cluster.ray("status", "--address", gcs, **certificate | variables)
        assert refused.returncode != 0
        assert "InvalidAuthToken" in refused.stdout + refused.stderr
    assert cluster.ray("status", "--address", gcs, **certificate, RAY_AUTH_MODE="token").returncode == 0


def test_ssh_takes_the_key_only(cluster: Cluster):
    for host in cluster.machines:
        options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "PubkeyAuthentication=no"]
        refused = cluster.client.run(["ssh", *options, host.address, "true"])
        assert refused.returncode == 255
        assert "Permission denied (publickey)" in refused.stderr


def test_a_submitted_study_gives_the_tables_of_an_undisturbed_run(
    cluster: Cluster, tunnel: None, store, tmp_path
):
    study = write_study(cluster, "sent", store, training={"epochs": 6})
    command = ["python", "-m", "rayjobs.study", study, "--out", cluster.shared / "run"]
    sent = cluster.submit(*command)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert "4 trials completed, 0 failed, 0 missing" in sent.stdout

    fetched = cluster.ray("rsync-down", FILE, f"{cluster.shared}/run/tables/", f"{HOME}/tables/")
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    alone = subprocess.run(
        [sys.executable, "-m", "rayjobs.study", study, "--out", tmp_path / "run"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert alone.returncode == 0, alone.stdout + alone.stderr
    expected = tables(tmp_path / "run/tables")
    found = tables(cluster.client.home / "tables")
    assert len(expected) >= 11
    assert found.keys() == expected.keys()
    for name, table in expected.items():
        assert found[name].equals(table, check_metadata=True), name

    records = {
        path: path.stat().st_mtime_ns for path in (cluster.shared / "run/trials").glob("*/record.json")
    }
    assert len(records) == 4
    again = cluster.submit(*command)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "4 trials completed, 0 failed, 0 missing" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in records} == records


def test_a_failing_study_is_a_failed_job(cluster: Cluster, tunnel: None, store):
    broken = {"broken": {"modalities": ["pet"], "training": {"learning_rate": 1e30}}}
    study = write_study(cluster, "failing", store, variants=broken, repeats=1, training={"epochs": 1})
    sent = cluster.submit("python", "-m", "rayjobs.study", study, "--out", cluster.shared / "failing")
    assert sent.returncode == 1
    assert "failed: broken-f0-r00: Diverged" in sent.stdout + sent.stderr


def test_a_run_folder_that_only_the_head_sees_is_refused(cluster: Cluster, tunnel: None, store):
    study = write_study(cluster, "alone", store)
    refused = cluster.submit("python", "-m", "rayjobs.study", study, "--out", "/tmp/of-one-machine")
    assert refused.returncode == 1
    assert "exit code 2" in refused.stdout + refused.stderr
    assert any(worker.address in refused.stdout + refused.stderr for worker in cluster.workers)
    assert not (cluster.head.own / "tmp/of-one-machine").exists()


def test_ray_down_leaves_no_process_of_ray(cluster: Cluster):
    """The last test: afterwards there is no cluster. `ray down` itself ends only what runs on the head."""
    assert all(left_over(host) for host in cluster.machines)
    down = cluster.ray("down", "-y", FILE)
    assert down.returncode == 0, down.stdout + down.stderr
    assert not left_over(cluster.head)
    assert eventually(lambda: not any(left_over(host) for host in cluster.workers), seconds=180)


def left_over(host: Host) -> list[str]:
    """The processes on a machine, without those that hold the user's tunnel open."""
    return [process for process in host.processes() if "sleep 86400" not in process]
