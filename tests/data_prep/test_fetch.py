"""The public cohort fetched from servers on this machine that answer as GitHub does; no test asks the real one."""

import gzip
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from processes import ROOT
from public_files import CONTENTS, FILES, PATHS, file_of
from scans import prepare, sts
from web import Web, as_github, send, web_server

from data_prep.public.fetch import fetch_sts
from data_prep.public.sts import REPOSITORY, GitHub, sts_files
from hnscc.base.errors import InputError, StorageError

# The same in a process of its own.
FETCH = f"""
import sys
from data_prep.public.fetch import GitHub, fetch_sts
from data_prep.public.sts import PublicFile

address, out = sys.argv[1:]
fetch_sts(out, files={FILES}, github=GitHub(address, address))
"""
# Where the repository has them: elsewhere than the cohort's folder, under other names.
THERE = [f"some folder/{number}/x.nii.gz" for number in range(6)]


@pytest.fixture
def web():
    with web_server() as server:
        repository(server)
        yield server


def repository(web: Web, left_out: int = 0, **how) -> None:
    held = zip(THERE, FILES, CONTENTS, strict=True)
    contents = {path: (file.blob, content) for path, file, content in list(held)[left_out:]}
    as_github(web, REPOSITORY, contents, **how)


def fetch(web: Web, out: Path, **options) -> Path:
    return fetch_sts(out, files=FILES, github=GitHub(web.address, web.address), **options)


def refused(web: Web, out: Path, **options) -> InputError:
    with pytest.raises(InputError) as caught:
        fetch(web, out, **options)
    return caught.value


def held(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def raw(web: Web) -> list[str]:
    """The files that were asked for, by their place in THERE."""
    asked = [path.partition("some%20folder/")[2] for path in web.asked if "some%20folder/" in path]
    return [name.partition("/")[0] for name in asked]


def test_files_are_found_by_their_content_and_put_where_the_manifest_says(web, tmp_path):
    said = []
    manifest = fetch(web, tmp_path / "new" / "sts", progress=lambda *now: said.append(now))
    assert manifest == tmp_path / "new" / "sts" / "manifest.csv"
    found = held(manifest.parent)
    assert found.pop("manifest.csv").decode() == (
        "patient_id,scan_id,pet,mri,mask\n"
        "P1,P1,nifti/P1/PET_image.nii.gz,nifti/P1/MR_T1_image.nii.gz,nifti/P1/MR_T1_mask.nii.gz\n"
        "P2,P2,nifti/P2/PET_image.nii.gz,nifti/P2/MR_T1_image.nii.gz,nifti/P2/MR_T1_mask.nii.gz\n"
    )
    notice = found.pop("README.txt").decode()
    for part in ("Attribution 3.0", "10.7937/K9/TCIA.2015.7GO2GSKS", "10.1007/s10278-013-9622-7"):
        assert part in notice
    assert found == dict(zip(PATHS, CONTENTS, strict=True))
    assert said == [(number, 6, path) for number, path in enumerate(PATHS, start=1)]
    assert len(web.asked) == 8 and not (manifest.parent / ".unfinished").exists()


def test_what_is_there_is_not_fetched_again(web, tmp_path):
    manifest = fetch(web, tmp_path)
    before = held(tmp_path)
    web.asked.clear()
    fetch(web, tmp_path)
    assert web.asked == []
    (tmp_path / PATHS[3]).unlink()
    manifest.unlink()
    fetch(web, tmp_path)
    assert raw(web) == ["3"] and held(tmp_path) == before


@pytest.mark.parametrize("name", [PATHS[1], "manifest.csv", "README.txt"])
def test_a_file_with_another_content_is_told_and_stays(web, tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")
    error = refused(web, tmp_path)
    assert error.found == name and error.exit_code == 2
    assert held(tmp_path) == {name: b"mine"} and web.asked == []


@pytest.mark.parametrize("kind", ["folder", "link to nowhere"])
def test_what_is_no_file_is_told_and_stays(web, tmp_path, kind):
    path = tmp_path / PATHS[0]
    path.parent.mkdir(parents=True)
    path.mkdir() if kind == "folder" else path.symlink_to("nowhere")
    assert refused(web, tmp_path).found == PATHS[0]


def test_a_failing_server_leaves_whole_files_and_the_next_call_goes_on(web, tmp_path):
    repository(web)
    fifth = next(path for path in web.answers if "/4/" in path)
    content, web.answers[fifth] = web.answers[fifth], 503
    error = refused(web, tmp_path)
    assert "HTTP 503" in error.found and error.where == web.address + fifth
    assert held(tmp_path) == dict(zip(PATHS[:4], CONTENTS[:4], strict=True))
    web.asked.clear()
    web.answers[fifth] = content
    fetch(web, tmp_path)
    assert raw(web) == ["4", "5"] and len(held(tmp_path)) == 8


def test_a_process_killed_half_way_leaves_whole_files_and_the_next_call_goes_on(web, tmp_path):
    waiting, over = threading.Event(), threading.Event()
    third = next(path for path in web.answers if "/2/" in path)
    content = web.answers[third]

    def half(request) -> None:
        send(request, content[:4], promised=len(content) - 4)
        request.wfile.flush()
        waiting.set()
        over.wait(60)

    web.answers[third] = half
    out = tmp_path / "sts"
    process = subprocess.Popen([sys.executable, "-c", FETCH, web.address, out], cwd=ROOT)
    try:
        assert waiting.wait(60)
    finally:
        process.kill()
        process.wait(60)
        over.set()
    final = {name: content for name, content in held(out).items() if not name.startswith(".unfinished/")}
    assert final == dict(zip(PATHS[:2], CONTENTS[:2], strict=True))
    web.answers[third] = content
    web.asked.clear()
    fetch(web, out)
    assert raw(web) == ["2", "3", "4", "5"]
    assert held(out).keys() == {*PATHS, "manifest.csv", "README.txt"}


def test_a_damaged_file_is_fetched_once_more_then_told(web, tmp_path):
    second = next(path for path in web.answers if "/1/" in path)
    web.answers[second] = CONTENTS[1][::-1]
    error = refused(web, tmp_path)
    assert (
        "another checksum" in error.found and FILES[1].sha256 in error.expected and PATHS[1] in error.expected
    )
    assert raw(web) == ["0", "1", "1"] and held(tmp_path) == {PATHS[0]: CONTENTS[0]}


def test_an_answer_that_breaks_off_once_is_asked_for_again(web, tmp_path):
    first = next(path for path in web.answers if "/0/" in path)

    def cut(request) -> None:
        web.answers[first] = CONTENTS[0]
        send(request, CONTENTS[0][:3], promised=7)

    web.answers[first] = cut
    fetch(web, tmp_path)
    assert raw(web) == ["0", "0", "1", "2", "3", "4", "5"] and held(tmp_path)[PATHS[0]] == CONTENTS[0]


def test_a_file_that_a_server_calls_compressed_is_kept_as_it_is(web, tmp_path):
    packed = gzip.compress(CONTENTS[0])
    file = file_of("P1", "pet", packed)
    web.answers = {f"/{file.path}": lambda request: send(request, packed, encoding="x-gzip")}
    fetch_sts(tmp_path, files=[file], copy=web.address)
    assert (tmp_path / file.path).read_bytes() == packed


@pytest.mark.parametrize("truncated", [False, True])
def test_files_that_the_listing_lacks_are_named(web, tmp_path, truncated):
    repository(web, left_out=2, truncated=truncated)
    error = refused(web, tmp_path / "new")
    assert PATHS[0] in error.found and PATHS[1] in error.found and PATHS[2] not in error.found
    assert ("cut its listing short" in error.problem) == truncated
    assert not (tmp_path / "new").exists()


def test_a_listing_that_was_cut_short_serves_where_it_holds_all(web, tmp_path):
    repository(web, truncated=True)
    fetch(web, tmp_path)
    assert len(held(tmp_path)) == 8


@pytest.mark.parametrize(
    "code, words",
    [(403, "60 requests"), (429, "too often"), (404, "no such file"), (407, "proxy"), (500, "failed")],
)
def test_refusals_of_the_listing_are_told(web, tmp_path, code, words):
    web.answers = dict.fromkeys(web.answers, code)
    error = refused(web, tmp_path / "new")
    assert words in error.found and f"HTTP {code}" in error.found
    assert len(web.asked) == 1 and not (tmp_path / "new").exists()


@pytest.mark.parametrize("answer", [b"<html>Please log in</html>", b"[1]", b'{"sha": 3}', b"{}"])
def test_what_is_not_githubs_answer_is_told(web, tmp_path, answer):
    web.answers = dict.fromkeys(web.answers, answer)
    error = refused(web, tmp_path / "new")
    assert "JSON" in error.expected + error.found and "proxy" in error.do
    assert not (tmp_path / "new").exists()


def test_no_network_is_told_without_the_password_of_an_address(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nobody = f"http://me:secret@127.0.0.1:{port}"
    for options in ({"github": GitHub(nobody, nobody)}, {"copy": nobody}):
        with pytest.raises(InputError) as caught:
            fetch_sts(tmp_path / "new", files=FILES, **options)
        assert caught.value.found == "no connection" and "secret" not in str(caught.value)
        assert held(tmp_path) == {}


def test_a_copy_of_the_folder_is_asked_in_place_of_github(web, tmp_path):
    fetch(web, tmp_path / "first")
    web.answers = {f"/mine/sts/{path}": content for path, content in held(tmp_path / "first").items()}
    web.asked.clear()
    fetch(web, tmp_path / "second", copy=f"{web.address}/mine/sts/")
    assert held(tmp_path / "second") == held(tmp_path / "first")
    assert web.asked == [f"/mine/sts/{path}" for path in PATHS]


def test_a_full_disk_is_told(web, tmp_path, mounted):
    folder = mounted("size=16k")
    second = next(path for path in web.answers if "/1/" in path)
    large = bytes(100_000)
    web.answers[second] = large
    files = [FILES[0], file_of("P1", "mri", large)]
    tree = [(file.blob, content) for file, content in zip(files, (CONTENTS[0], large), strict=True)]
    as_github(web, REPOSITORY, dict(zip(THERE, tree, strict=False)))
    with pytest.raises(StorageError, match="The disk is full"):
        fetch_sts(folder / "sts", files=files, github=GitHub(web.address, web.address))
    assert held(folder) == {f"sts/{PATHS[0]}": CONTENTS[0]}


def test_a_bucket_and_a_file_are_no_folder(web, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert refused(web, "s3://bucket/sts").where == "DIR"
    assert refused(web, tmp_path / "file" / "sts").exit_code == 2
    assert refused(web, tmp_path / "file").exit_code == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_real_patients_are_fetched_and_prepared(web, tmp_path):
    folder, files = sts(), sts_files()[:9]
    contents = [(file.blob, (folder / file.path).read_bytes()) for file in files]
    as_github(web, REPOSITORY, {f"ibsi/made up/{number}": each for number, each in enumerate(contents)})
    manifest = fetch_sts(tmp_path / "sts", files=files, github=GitHub(web.address, web.address))
    for file, (_, content) in zip(files, contents, strict=True):
        assert (manifest.parent / file.path).read_bytes() == content
    rows = (folder / "manifest.csv").read_text().splitlines()[:4]
    assert manifest.read_text().splitlines() == rows
    store = prepare(manifest, tmp_path / "store.zarr", size=32, workers=1)
    assert [scan.scan_id for scan in store.scans] == ["STS_001", "STS_002", "STS_003"]


@pytest.mark.parametrize("address", ["http://[x", "ftp://server/sts", "/mnt/sts", "http://"])
def test_what_is_no_web_address_is_refused(tmp_path, address):
    with pytest.raises(InputError, match="no address of a copy") as caught:
        fetch_sts(tmp_path / "new", files=FILES, copy=address)
    assert caught.value.where == "--from" and not (tmp_path / "new").exists()
