"""Places by path and by URL. Nothing here needs an S3 server (tests/cluster/test_s3_locations.py has one)."""

import glob
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from stores import study_of

from hnscc.base import locations as locations
from hnscc.base.errors import InputError, StorageError
from hnscc.base.locations import S3Path, client, locate, paths_matching
from hnscc.cohort.store import open_store
from hnscc.study.loading import load_study, open_run
from hnscc.study.run_folder import run_folder_of
from hnscc.study.trials import Trial

SECRET = "TheSecretKeyOfThisTest"


@pytest.fixture
def closed(monkeypatch):
    """The environment of an S3 server at a port of this machine where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in (*locations.ENDPOINT, *locations.CREDENTIALS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "TheKeyOfThisTest")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setattr(locations, "OUTAGE_SECONDS", 0.0)
    monkeypatch.setattr(locations, "AGAIN_SECONDS", 0.1)
    client.cache_clear()
    yield f"http://127.0.0.1:{port}"
    client.cache_clear()


@pytest.mark.parametrize("text", ["runs/demo", "/data/s3", "s3", "a:b/c", "runs/demo/"])
def test_whatever_is_no_url_is_a_path(text):
    assert locate(text) == locate(Path(text)) == Path(text)


@pytest.mark.parametrize("text", ["~", "~/runs/demo"])
def test_a_path_from_the_home_folder_that_no_shell_wrote_out_is_refused(text):
    """`--out=~/runs/x` made a folder named ~, and `store: ~/data/x.zarr` was told to be nothing that is there."""
    for location in (text, Path(text)):
        with pytest.raises(InputError, match="stands for the home folder") as caught:
            locate(location)
        assert "`echo ~`" in caught.value.do
    assert locate("~mine.yaml") == Path("~mine.yaml")


def test_a_url_is_a_bucket_and_a_prefix():
    assert locate("s3://my-bucket/runs/demo") == S3Path("my-bucket", "runs/demo")
    assert locate("s3://my-bucket/runs/demo/") == locate(locate("s3://my-bucket/runs/demo"))
    assert str(locate("s3://my-bucket/runs/demo/")) == "s3://my-bucket/runs/demo"


@pytest.mark.parametrize(
    "url",
    [
        "s3://my-bucket",
        "s3://my-bucket/",
        "s3:///runs/demo",
        "s3://b/runs/demo",
        "s3://my-bucket/runs//demo",
        "s3://my-bucket/runs/../other",
        "s3://my-bucket/./runs",
        "s3://my-bucket/runs?versionId=3",
        "s3://my-bucket/runs#top",
        "s3:/my-bucket/runs",  # what pathlib makes of a URL
        "S3://my-bucket/runs",
        "gs://my-bucket/runs",
        "https://my-bucket.example/runs",
        "file:///runs/demo",
    ],
)
def test_other_urls_are_refused(url):
    for location in (url, Path(url)) if url.startswith("s3:/m") else (url,):
        with pytest.raises(InputError, match="s3://bucket/prefix"):
            locate(location)


def test_a_password_in_a_url_is_refused_and_not_repeated():
    with pytest.raises(InputError) as refused:
        locate(f"s3://user:{SECRET}@my-bucket/runs")
    assert SECRET not in str(refused.value)


def test_names_below_a_place_are_those_of_a_path():
    there, here = S3Path("my-bucket", "runs"), Path("runs")
    for name in ("a", "trials/x-f0-r00", "trials/x/record.json"):
        below = there / name
        assert (below.key, below.name, below.parent.key) == (
            str(here / name),
            (here / name).name,
            str((here / name).parent),
        )
    assert there.absolute() is there
    assert str(there.parent) == "s3://my-bucket"


def test_places_are_values():
    one, other = S3Path("my-bucket", "a"), S3Path("my-bucket", "b")
    assert sorted([other, one]) == [one, other]
    assert {one: 1}[S3Path("my-bucket", "a")] == 1
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 (made here)
    with pytest.raises(AttributeError):
        one.key = "b"


def test_a_run_folder_is_placed_by_its_text(tmp_path):
    study = study_of(tmp_path / "cohort.zarr")
    for nothing in (None, ""):
        assert run_folder_of(study.name, nothing).root == Path("runs/small")
    for given in (3, b"x", ["x"]):
        with pytest.raises(InputError, match="out names no place"):
            run_folder_of(study.name, given)
    folder = run_folder_of(study.name, "s3://my-bucket/runs/x")
    assert str(folder.trial(Trial("pet", 0, 3).trial_id).record) == (
        "s3://my-bucket/runs/x/trials/pet-f0-r03/record.json"
    )
    assert run_folder_of(study.name, folder.root) == folder


def test_a_folder_that_vanishes_as_it_is_listed_is_no_error(tmp_path, monkeypatch):
    """`hnscc run` deletes .shared in one thread while another lists what killed processes left there."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").touch()
    (tmp_path / ".shared").mkdir()
    listing, vanished = os.scandir, []

    def others_delete(path):
        if Path(path).name == ".shared":
            vanished.append(path)
            Path(path).rmdir()
        return listing(path)

    monkeypatch.setattr(os, "scandir", others_delete)
    for each in vars(glob).values():  # Python 3.13 and later keep the function there
        if isinstance(each, type) and "scandir" in vars(each):
            monkeypatch.setattr(each, "scandir", staticmethod(others_delete))
    assert paths_matching(tmp_path, "*/*") == [tmp_path / "kept" / "a"]
    assert vanished


def test_http_only_where_the_endpoint_says_so(closed, monkeypatch):
    assert str(client("my-bucket").client_options["allow_http"]).lower() == "true"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:1")
    client.cache_clear()
    assert str(client("my-bucket").client_options["allow_http"]).lower() == "false"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"])
def test_what_the_environment_lacks_is_named_at_once(name, closed, monkeypatch):
    monkeypatch.setenv(name, "" if name == "AWS_ACCESS_KEY_ID" else "127.0.0.1:9000")
    with pytest.raises(InputError, match=name) as refused:
        S3Path("my-bucket", "x").read_bytes()
    assert SECRET not in str(refused.value)


def test_no_credentials_at_aws_are_named(closed, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    # Where the machine would ask for its role; else this test would ask the real address.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", closed)
    with pytest.raises(InputError, match="no role of its own"):
        S3Path("my-bucket", "x").read_bytes()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: S3Path("my-bucket", "x").read_bytes(),
        lambda: S3Path("my-bucket", "x").write_bytes(b"x"),
        lambda: S3Path("my-bucket", "x").is_file(),
        lambda: S3Path("my-bucket", "x").is_dir(),
        lambda: S3Path("my-bucket", "x").unlink(missing_ok=True),
        lambda: S3Path("my-bucket", "x").create(b"x"),
        lambda: list(S3Path("my-bucket", "x").glob("trials/*/record.json")),
        lambda: open_store("s3://my-bucket/x"),
        lambda: open_run("s3://my-bucket/x"),
        lambda: load_study(S3Path("my-bucket", "x/study.yaml")),
    ],
)
def test_no_answer_is_neither_absence_nor_damage(ask, closed, capsys):
    with pytest.raises(StorageError, match="does not answer") as gone:
        ask()
    told = str(gone.value) + capsys.readouterr().err
    assert "trying again" in told
    assert SECRET not in told and "TheKeyOfThisTest" not in told


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["verify", "s3://my-bucket/x"], 1),
        (["verify", "s3://my-bucket"], 2),
        (["query", "s3:/b/x", "SELECT 1"], 2),
    ],
)
def test_exit_codes(arguments, code, closed):
    command = "import hnscc.base.locations as p, hnscc.commands.cli; p.OUTAGE_SECONDS = 0.0; hnscc.commands.cli.main()"
    done = subprocess.run([sys.executable, "-c", command, *arguments], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "what to do" in done.stderr and "Traceback" not in done.stderr and SECRET not in done.stderr
