"""What the ports of a Ray cluster answer to somebody who has no token, or a wrong one.

    python ports.py CERTIFICATE KEY ADDRESS:PORT ...

prints JSON: for each port what it says to strangers and, where it speaks gRPC over TLS, to somebody who holds the
cluster's certificate; each without a token (`none`) and with a wrong one (`wrong`). What a port says is gRPC status ->
procedures, HTTP status -> paths, or a text where it is neither. Every remote procedure that is compiled into Ray, or
declared by its Python modules, is called, with an empty message.
"""

import http.client
import importlib
import json
import pkgutil
import re
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import ray
import ray.core.generated

BINARIES = ("core/src/ray/gcs/gcs_server", "core/src/ray/raylet/raylet", "_raylet.so")
METHOD = re.compile(rb"\0(/(?:[a-z]\w*\.)+[A-Z]\w*/[A-Z]\w*)(?=\0)")
# What HTTP servers of Ray serve: job server and its agents, logs, health, runtime environments, metrics.
PATHS = (
    "/",
    "/api/healthz",
    "/api/local_raylet_healthz",
    "/api/version",
    "/api/jobs/",
    "/api/job_agent/jobs/",
    "/api/v0/logs",
    "/nodes?view=summary",
    "/metrics",
    "/get_runtime_envs_info",
    "/nothing",
)
SECONDS = 3.0
TOKENS = {"none": None, "wrong": "f" * 64}

Answer = dict[str, list[str]] | str


def methods() -> list[str]:
    """The full name of every remote procedure of Ray and of the gRPC within it."""
    folder = Path(ray.__file__).parent
    found = {name.decode() for file in BINARIES for name in METHOD.findall((folder / file).read_bytes())}
    for module in pkgutil.iter_modules(ray.core.generated.__path__):
        if module.name.endswith("_pb2"):
            described = importlib.import_module(f"ray.core.generated.{module.name}").DESCRIPTOR
            for service in described.services_by_name.values():
                found |= {f"/{service.full_name}/{method.name}" for method in service.methods}
    return sorted(found)


def answers(
    target: str, names: list[str], certificate: bytes, key: bytes
) -> dict[str, dict[str, Answer] | None]:
    insider = grpc.ssl_channel_credentials(certificate, key, certificate)
    with_key = _grpc(grpc.secure_channel(target, insider), names)
    plain = _grpc(grpc.insecure_channel(target), names)
    without_key = _grpc(grpc.secure_channel(target, grpc.ssl_channel_credentials(certificate)), names)
    by_http = {kind: _http(target, token) for kind, token in TOKENS.items()}
    return {"strangers": plain or without_key or by_http, "with the certificate": with_key}


def _grpc(channel: grpc.Channel, names: list[str]) -> dict[str, Answer] | None:
    """None where no gRPC server accepts the connection."""
    with channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=SECONDS)
        except grpc.FutureTimeoutError:
            return None
        # A server that wants a certificate says so only after the connection seems to stand.
        if _status(channel, "/grpc.health.v1.Health/Check", []) == "UNAVAILABLE":
            return None
        return {kind: _statuses(channel, names, token) for kind, token in TOKENS.items()}


def _statuses(channel: grpc.Channel, names: list[str], token: str | None) -> dict[str, list[str]]:
    # Without a node id, RaySyncer/StartSync ends the process that is asked (Ray 2.60), before it looks at the token.
    metadata = [("node_id", "ab" * 28)] + ([("authorization", f"Bearer {token}")] if token else [])
    found = defaultdict(list)
    for name in names:
        found[_status(channel, name, metadata)].append(name)
    return found


def _status(channel: grpc.Channel, name: str, metadata: list[tuple[str, str]]) -> str:
    """The status that ends the call, or OK as soon as anything is answered."""
    call = channel.stream_stream(name, request_serializer=bytes, response_deserializer=bytes)
    replies = call(iter([b""]), timeout=SECONDS, metadata=metadata)
    try:
        next(replies, None)
    except grpc.RpcError as error:
        return str(error.code().name)
    finally:
        replies.cancel()
    return "OK"


def _http(target: str, token: str | None) -> Answer:
    host, _, port = target.rpartition(":")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    found = defaultdict(list)
    for path in PATHS:
        connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS)
        try:
            connection.request("GET", path, headers=headers)
            found[str(connection.getresponse().status)].append(path)
        except (http.client.HTTPException, OSError) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()
    return found


def main(certificate: str, key: str, *targets: str) -> dict[str, Any]:
    pair, known = (Path(certificate).read_bytes(), Path(key).read_bytes()), methods()
    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(
            zip(targets, pool.map(lambda target: answers(target, known, *pair), targets), strict=True)
        )


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
