"""One process at a time in a run folder on a real S3 server, though its owner is killed or stands still."""

import signal
import subprocess
import time

import pytest
from on_s3 import objects, outage, spawn

from hnscc.base.locations import S3Path

pytestmark = pytest.mark.usefixtures("server")


HOLD = """
import sys, time
import hnscc.base.locks as lease
from hnscc.base.errors import InputError, StorageError
from hnscc.base.locations import locate

url, lease.LEASE_SECONDS, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
try:
    with lease.only_one(locate(url)):
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
