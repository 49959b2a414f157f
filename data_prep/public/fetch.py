"""Fetches the public cohort into a folder: each file by pooch, which compares its checksum, and then renames it
into place.

The manifest is written last, so that where it exists, all files do. A second run does not fetch again what is there
and right.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import pooch
import requests

from data_prep.public.sts import (
    AGAIN,
    MANIFEST,
    NAMED_FILES,
    NOTICE,
    NOTICE_TEXT,
    SECONDS,
    GitHub,
    InNetwork,
    PublicFile,
    in_copy,
    manifest_of,
    on_github,
    sts_files,
    telling_failures,
)
from hnscc.base.errors import InputError
from hnscc.base.files import sha256, write_errors, write_text
from hnscc.base.in_words import first_of
from hnscc.base.locations import S3Path, locate
from hnscc.base.steps import Progress

# Files that are being fetched lie here, below the cohort's folder; none of them stays.
UNFINISHED = ".unfinished"
CHUNK = 1 << 16


def fetch_sts(
    out: str | Path,
    *,
    files: Sequence[PublicFile] | None = None,
    copy: str | None = None,
    github: GitHub | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch the files of the public cohort of soft-tissue sarcoma into the folder `out`; the path of its manifest.csv.

    files: all 102 (71 MB) unless given. copy: the http(s) address of a copy of such a folder, which is asked in place
    of GitHub. github: its addresses, where they are not the public ones. progress: called with the files that are
    there, their number, and the path of the one fetched last. The network is not asked where all are there already.
    InputError: the network does not give a file, or another one than is listed; a file of that name is there with
    another content (nothing is fetched then); nothing can be written there. StorageError: the disk is full. Files that
    were whole before stay, and nothing else does.
    """
    folder, wanted = _on_disk(out), sts_files() if files is None else tuple(files)
    tell = progress or (lambda done, total, text: None)
    texts = {NOTICE: NOTICE_TEXT, MANIFEST: manifest_of(wanted)}
    with write_errors(folder):
        missing = _missing(folder, wanted, texts)
        if missing:
            addresses = on_github(missing, github or GitHub()) if copy is None else in_copy(missing, copy)
            folder.mkdir(parents=True, exist_ok=True)
            _fetch_each(folder, missing, addresses, len(wanted), tell)
        for name, text in texts.items():
            write_text(folder / name, text)
    return folder / MANIFEST


def _on_disk(out: str | Path) -> Path:
    folder = locate(out)
    if isinstance(folder, S3Path):
        raise InputError(
            "The cohort is fetched to a disk.",
            where="DIR",
            expected="a folder on this machine",
            found="an s3:// URL",
            do="name a folder; `hnscc prepare` can write the store to S3",
        )
    return folder


def _missing(folder: Path, files: Sequence[PublicFile], texts: dict[str, str]) -> list[PublicFile]:
    """Return the files that are missing. InputError is raised where one has another content, since nothing
    is overwritten."""
    digests = {file.path: file.sha256 for file in files}
    digests |= {name: sha256(text.encode()) for name, text in texts.items()}
    there = {name for name in digests if (folder / name).exists() or (folder / name).is_symlink()}
    wrong = sorted(name for name in there if not _is_right(folder / name, digests[name]))
    if wrong:
        raise InputError(
            "Files are there that differ from those of the cohort.",
            where=str(folder),
            expected="none, or files whose checksums are those of the list",
            found=first_of(wrong, NAMED_FILES),
            do="delete them (they are fetched anew), or choose another folder",
        )
    return [file for file in files if file.path not in there]


def _is_right(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path.read_bytes()) == digest


def _fetch_each(
    folder: Path, files: Sequence[PublicFile], addresses: dict[str, str], total: int, tell: Progress
) -> None:
    unfinished = folder / UNFINISHED
    digests = {file.path: f"sha256:{file.sha256}" for file in files}
    fetcher = pooch.create(unfinished, base_url="", registry=digests, urls=addresses, retry_if_failed=1)
    pooch.get_logger().setLevel(logging.WARNING)  # it would name each file on standard error
    there = total - len(files)
    try:
        for number, file in enumerate(files, start=1):
            _fetch(fetcher, file, addresses[file.path])
            final = folder / file.path
            final.parent.mkdir(parents=True, exist_ok=True)
            (unfinished / file.path).replace(final)
            tell(there + number, total, file.path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _fetch(fetcher: pooch.Pooch, file: PublicFile, address: str) -> None:
    """Fetch a file below UNFINISHED, once more if that fails, and compare its checksum."""
    try:
        with telling_failures(address):
            fetcher.fetch(file.path, downloader=_download)
    except ValueError:  # what pooch raises for another checksum
        raise InputError(
            "The network gives another file than the cohort's.",
            where=InNetwork(address).shown,
            expected=f"{file.path} with the SHA-256 {file.sha256}",
            found="another checksum, twice",
            do=f"see whether a proxy changes what it passes on, then {AGAIN}",
        ) from None


def _download(address: str, path: str, _: pooch.Pooch) -> None:
    """Pooch's own leaves the connection of an answer that failed open."""
    headers = {"Accept-Encoding": "identity"}
    with requests.get(address, stream=True, timeout=SECONDS, headers=headers) as answer:
        answer.raise_for_status()
        # Web servers say of a .gz file that it is one; requests would unpack it.
        answer.raw.headers.pop("Content-Encoding", None)
        with Path(path).open("wb") as file:
            for piece in answer.iter_content(CHUNK):
                file.write(piece)
