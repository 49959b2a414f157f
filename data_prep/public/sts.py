"""The public cohort of soft-tissue sarcoma: its files, each known by its content, the texts that go with them, and
where the network holds them: on GitHub, found there by their content, or in a copy; what keeps it from giving a file.

sts.json lists every file with its size, its SHA-256 and its `blob`: the SHA-1 by which git names a content (`git
hash-object`). They were computed from the files themselves, so they hold wherever a copy lies.

Which folder of the repository the files lie in is not written down here: that folder has been renamed before. GitHub
lists every path of the repository with git's name of its content, and that name is known of every file.
"""

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of, first_of

LISTED = Path(__file__).with_name("sts.json")
MANIFEST, NOTICE = "manifest.csv", "README.txt"
# The data set's own names of files, by the manifest's column.
NAMES = {"pet": "PET_image.nii.gz", "mri": "MR_T1_image.nii.gz", "mask": "MR_T1_mask.nii.gz"}

NOTICE_TEXT = """\
FDG-PET and T1-weighted MR of soft-tissue sarcoma: 34 patients, with lesion masks (on the MR grid)

Source:   the IBSI validation data set, github.com/theibsi/data_sets, which is based on the collection
          Soft-tissue-Sarcoma of The Cancer Imaging Archive
Licence:  Creative Commons Attribution 3.0 Unported, https://creativecommons.org/licenses/by/3.0/
Changes:  none to any file; a subset was taken, and manifest.csv was written

PET is SUV; MR was corrected (N4) and normalised by subcutaneous fat. PET and MR of a patient share one frame of
reference and have different grids. All volumes are cropped to 5 cm around the tumour, which gives its position away,
and no scan is without lesion: say so beside every figure that you make with them. Not a clinical result.

Please cite
- Vallieres M, Freeman CR, Skamene SR, El Naqa I (2015). A radiomics model from joint FDG-PET and MRI texture features
  for the prediction of lung metastases in soft-tissue sarcomas of the extremities. The Cancer Imaging Archive,
  DOI 10.7937/K9/TCIA.2015.7GO2GSKS; and Physics in Medicine and Biology, DOI 10.1088/0031-9155/60/14/5471
- Clark K et al. (2013). The Cancer Imaging Archive (TCIA): maintaining and operating a public information repository.
  Journal of Digital Imaging 26(6), 1045-1057, DOI 10.1007/s10278-013-9622-7
"""
AGAIN = "give the same command again: what is whole is not fetched again"
REPOSITORY = "theibsi/data_sets"
SECONDS = (10, 60)  # to be connected; between two pieces of an answer
NAMED_FILES = 6  # so many files are named in a message


@dataclass(frozen=True)
class PublicFile:
    """One file of the cohort. role: pet, mri or mask, the manifest's column. size: in bytes. sha256, blob: of its
    content, as hexadecimal digits; blob is git's name of it (SHA-1)."""

    patient_id: str
    role: str
    size: int
    sha256: str
    blob: str

    @property
    def path(self) -> str:
        """Its path below the cohort's folder."""
        return f"nifti/{self.patient_id}/{NAMES[self.role]}"


def sts_files() -> tuple[PublicFile, ...]:
    """Return its 102 files, three of each patient, in the order of the manifest."""
    return tuple(PublicFile(**each) for each in json.loads(LISTED.read_text(encoding="utf-8")))


def manifest_of(files: Sequence[PublicFile]) -> str:
    """Return the manifest of these files, as CSV: a row for each patient, who has one scan of the same name."""
    paths: dict[str, dict[str, str]] = {}
    for file in files:
        paths.setdefault(file.patient_id, {})[file.role] = file.path
    text = io.StringIO()
    writer = csv.DictWriter(text, ["patient_id", "scan_id", *NAMES], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"patient_id": name, "scan_id": name, **row} for name, row in paths.items())
    return text.getvalue()


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
    """An address, which messages show without user name and password."""

    address: str

    @property
    def shown(self) -> str:
        parts = urlsplit(self.address)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"


@contextlib.contextmanager
def telling_failures(address: str) -> Iterator[None]:
    """Turn failures of the network within a `with` block into InputError; other errors pass."""
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


@dataclass(frozen=True)
class GitHub:
    """The addresses of GitHub: `api` lists what a repository holds, `raw` gives the files."""

    api: str = "https://api.github.com"
    raw: str = "https://raw.githubusercontent.com"


def on_github(files: Sequence[PublicFile], github: GitHub) -> dict[str, str]:
    """The address of each file at the newest commit, by its path below the cohort's folder. Asks GitHub twice.

    InputError where GitHub cannot be reached, refuses, answers with something else, or lacks a file.
    """
    repository = f"{github.api}/repos/{REPOSITORY}"
    commit = _answer(f"{repository}/commits/HEAD", str, "sha")
    tree = f"{repository}/git/trees/{commit}?recursive=1"
    listed = _json(tree)
    paths = _paths_of(listed, tree)
    if missing := [file for file in files if file.blob not in paths]:
        raise _not_listed(missing, len(files), cut_short=listed.get("truncated") is True)
    return {file.path: f"{github.raw}/{REPOSITORY}/{commit}/{quote(paths[file.blob])}" for file in files}


def in_copy(files: Sequence[PublicFile], address: str) -> dict[str, str]:
    """The address of each file in a copy of the cohort's folder that a server gives, by its path below that folder.

    InputError where `address` is none that begins with http:// or https://.
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # such as http://[x
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            "That is no address of a copy of the cohort.",
            where="--from",
            expected="an address such as http://server/sts, where the server gives sts/nifti/STS_001/PET_image.nii.gz",
            found=f"something that begins with {parts.scheme}:" if parts.scheme else "no http:// or https://",
            do="give the address of a web server; a copy on a disk needs no fetching",
        )
    return {file.path: f"{address.rstrip('/')}/{file.path}" for file in files}


def _json(address: str) -> dict[str, Any]:
    with telling_failures(address):
        answer = requests.get(address, timeout=SECONDS, headers={"Accept": "application/vnd.github+json"})
        answer.raise_for_status()
        value = answer.json()
    if not isinstance(value, dict):
        raise _strange(address)
    return value


def _answer(address: str, kind: type, key: str) -> Any:
    value = _json(address).get(key)
    if not isinstance(value, kind):
        raise _strange(address)
    return value


def _paths_of(listed: dict[str, Any], address: str) -> dict[str, str]:
    """Return the first path of each content, by git's name of it."""
    entries = listed.get("tree")
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise _strange(address)
    blobs = [(str(each.get("path")), str(each.get("sha"))) for each in entries if each.get("type") == "blob"]
    return {blob: path for path, blob in sorted(blobs, reverse=True)}


def _strange(address: str) -> InputError:
    return InputError(
        "The answer is not GitHub's.",
        where=InNetwork(address).shown,
        expected="a listing of the repository as JSON",
        found="an answer without one",
        do="see whether a proxy answers in its place, or use a copy of the cohort (--from)",
    )


def _not_listed(missing: Sequence[PublicFile], wanted: int, *, cut_short: bool) -> InputError:
    names = first_of([file.path for file in missing], NAMED_FILES)
    why = " GitHub cut its listing short." if cut_short else ""
    return InputError(
        f"GitHub does not list all files of the cohort.{why}",
        where=f"github.com/{REPOSITORY}",
        expected=f"all {count_of(wanted, 'file')}, found by their content",
        found=f"all but {len(missing)}: {names}",
        do="try again later"
        if cut_short
        else "see what has changed there, or use a copy of the cohort (--from)",
    )
