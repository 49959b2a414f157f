"""A web server that only this machine reaches, which answers as a test says, and GitHub as such a server."""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# An answer: a content, a status without content, or a function that answers the request itself.
Answer = bytes | int | Callable[[BaseHTTPRequestHandler], None]


class Web:
    """What the server answers and was asked. answers: by path, query included; every other path is not found. asked:
    the paths in the order of asking."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []

    def give(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        answer = self.answers.get(request.path, 404)
        if callable(answer):
            answer(request)
        elif isinstance(answer, int):
            send(request, b"refused", code=answer)
        else:
            send(request, answer)


def send(
    request: BaseHTTPRequestHandler,
    content: bytes,
    *,
    code: int = 200,
    promised: int = 0,
    encoding: str | None = None,
) -> None:
    """Send an answer. promised: so many more bytes are announced, and the connection ends without them."""
    request.send_response(code)
    if encoding:
        request.send_header("Content-Encoding", encoding)
    request.send_header("Content-Length", str(len(content) + promised))
    request.end_headers()
    request.wfile.write(content)


@contextlib.contextmanager
def web_server() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.give(self)

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _without_proxy():
        web = Web(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def _without_proxy() -> Iterator[None]:
    """Reach this server directly, where the network is reached by a proxy."""
    before = os.environ.get("NO_PROXY")
    os.environ["NO_PROXY"] = "127.0.0.1"
    try:
        yield
    finally:
        del os.environ["NO_PROXY"]
        if before is not None:
            os.environ["NO_PROXY"] = before


def as_github(
    web: Web, repository: str, contents: dict[str, tuple[str, bytes]], *, truncated: bool = False
) -> None:
    """Answer as GitHub does for a repository whose newest commit holds these contents: by path, git's name and
    the content."""
    commit = "c0ffee" * 6 + "abcd"
    tree = [{"path": path, "type": "blob", "sha": blob} for path, (blob, _) in contents.items()]
    tree.append({"path": "a folder", "type": "tree", "sha": "0" * 40})
    listing = {"sha": commit, "tree": tree, "truncated": truncated}
    web.answers = {
        f"/repos/{repository}/commits/HEAD": json.dumps({"sha": commit}).encode(),
        f"/repos/{repository}/git/trees/{commit}?recursive=1": json.dumps(listing).encode(),
    }
    for path, (_, content) in contents.items():
        web.answers[f"/{repository}/{commit}/{path.replace(' ', '%20')}"] = content
