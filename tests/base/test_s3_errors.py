"""What an S3 server answers, told with the cure that it needs. The server is a stand-in; the client is the real one."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hnscc.base import locations
from hnscc.base.errors import InputError
from hnscc.base.locations import S3Path, client


class Refusal(BaseHTTPRequestHandler):
    """Answers every request with the status and the code of its server."""

    server: "Storage"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        code = f"<Error><Code>{self.server.code}</Code></Error>".encode()
        body = b"" if self.command == "HEAD" else code
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_DELETE = _answer

    def log_message(self, *told) -> None:
        pass


class Storage(ThreadingHTTPServer):
    status, code = 403, "AccessDenied"


@pytest.fixture
def storage(monkeypatch):
    with Storage(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in (*locations.ENDPOINT, *locations.CREDENTIALS):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "TheKeyOfThisTest")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "TheSecretOfThisTest")
        monkeypatch.setattr(locations, "OUTAGE_SECONDS", 0.0)
        monkeypatch.setattr(locations, "AGAIN_SECONDS", 0.1)
        client.cache_clear()
        yield server
        client.cache_clear()
        server.shutdown()


KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"


@pytest.mark.parametrize(
    ("status", "code", "cure"),
    [
        (403, "RequestTimeTooSkewed", "clock set by a time server"),
        (403, "AccessDenied", "these rights in the bucket"),
        (403, "InvalidAccessKeyId", KEYS),
        (403, "SignatureDoesNotMatch", KEYS),
        (400, "ExpiredToken", KEYS),
        (501, "NotImplemented", "use another storage"),
    ],
)
def test_each_refusal_is_told_with_its_own_cure_and_not_waited_out(storage, status, code, cure, capsys):
    storage.status, storage.code = status, code
    with pytest.raises(InputError, match=code) as refused:
        S3Path("my-bucket", "run/.lock").create(b"x")
    told = str(refused.value)
    assert cure in told
    assert (KEYS in told) == (cure == KEYS)
    assert "TheKeyOfThisTest" not in told
    assert capsys.readouterr().err == "", "no try after the first"


def test_a_refusal_that_names_no_code_is_told_by_its_status(storage):
    with pytest.raises(InputError, match="these rights in the bucket") as refused:
        S3Path("my-bucket", "x").stat()
    assert "HTTP status 403" in str(refused.value)
