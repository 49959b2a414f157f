"""What keeps the network from giving a file, told in words."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

from hnscc.base.errors import InputError

AGAIN = "give the same command again: what is whole is not fetched again"
# What is known of an answer by its number; GitHub says 403 or 429 to who has asked too often.
REFUSALS = {
    401: ("the server asks for a password", "ask whoever runs the server"),
    403: ("the server refuses, as GitHub does for an hour after 60 requests", f"in an hour, {AGAIN}"),
    404: ("the server has no such file", "see whether the address is right, or has moved"),
    407: ("the proxy asks for a password", "name the proxy with its password in HTTPS_PROXY"),
    429: ("the server has been asked too often", f"in an hour, {AGAIN}"),
}


@dataclass(frozen=True)
class InNetwork:
    """An address, of which a message shows no user name and no password."""

    address: str

    @property
    def shown(self) -> str:
        parts = urlsplit(self.address)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"


@contextlib.contextmanager
def telling_failures(address: str) -> Iterator[None]:
    """Turn what the network refuses within a `with` block into InputError. Other errors pass."""
    try:
        yield
    except requests.exceptions.RequestException as error:
        found, do = _reason(error)
        raise InputError(
            "The network does not give what was asked for.",
            where=InNetwork(address).shown,
            expected="an answer with the whole file",
            found=found,
            do=do,
        ) from None


def _reason(error: requests.exceptions.RequestException) -> tuple[str, str]:
    kinds = requests.exceptions
    if isinstance(error, kinds.HTTPError) and error.response is not None:
        code = error.response.status_code
        found, do = REFUSALS.get(code, ("the server failed" if code >= 500 else "the server refuses", AGAIN))
        return f"{found} (HTTP {code})", do
    if isinstance(error, kinds.SSLError):
        return "a certificate that is not trusted", "name your hospital's certificates in REQUESTS_CA_BUNDLE"
    if isinstance(error, kinds.Timeout):
        return "no answer in time", AGAIN
    if isinstance(error, kinds.ChunkedEncodingError):
        return "an answer that breaks off", AGAIN
    if isinstance(error, kinds.JSONDecodeError):
        return "an answer that is no JSON", "see whether a proxy answers in its place"
    if isinstance(error, kinds.ConnectionError):
        return "no connection", f"connect to the network (a proxy: HTTPS_PROXY), then {AGAIN}"
    return "an address or answer that cannot be read", "see whether the address is right"
