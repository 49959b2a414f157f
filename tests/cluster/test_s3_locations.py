"""A location on a real S3 server does what a folder does."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hnscc.base import locations
from hnscc.base.errors import InputError
from hnscc.base.files import overwrite, read_sealed, write_bytes, write_json, write_sealed
from hnscc.base.locations import S3Path, client
from hnscc.cohort.store import open_store
from hnscc.study.loading import open_run
from hnscc.study.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("server")


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_place_on_s3_does_what_a_folder_does(kind, tmp_path, there):
    root = tmp_path if kind == "folder" else there
    file = root / "trials" / "a" / "record.json"
    assert not file.is_file() and not file.exists() and not (root / "trials").is_dir()
    for ask in (file.read_bytes, file.read_text, file.unlink, file.stat, lambda: read_sealed(file)):
        with pytest.raises(FileNotFoundError):
            ask()
    file.unlink(missing_ok=True)
    write_bytes(file, b"one")
    write_bytes(file, b"another")
    assert (file.read_bytes(), file.read_text(), file.stat().st_size) == (b"another", "another", 7)
    assert abs(file.stat().st_mtime - time.time()) < 60
    assert file.is_file() and not file.is_dir() and file.parent.is_dir() and not file.parent.is_file()
    overwrite(file, [memoryview(b"in "), memoryview(b"parts")])
    assert file.read_bytes() == b"in parts"
    write_sealed(file, {"a": 1})
    assert read_sealed(file) == {"a": 1}
    write_bytes(root / "empty", b"")
    assert (root / "empty").read_bytes() == b""
    for other in (
        "trials/b/record.json",
        "trials/b/c/record.json",
        "trials/record.json",
        "trials/c/other.json",
    ):
        write_json(root / other, {})
    found = sorted(str(path).removeprefix(f"{root}/") for path in root.glob("trials/*/record.json"))
    assert found == ["trials/a/record.json", "trials/b/record.json"]
    assert [folder.root.name for folder in RunFolder(root).recorded] == ["a", "b"]
    file.unlink()
    assert not file.exists()


def test_a_prefix_ends_at_a_slash(there):
    write_bytes(there / "run" / "a", b"1")
    write_bytes(there / "run2" / "b", b"2")
    assert [path.name for path in (there / "run").below()] == ["a"]
    assert not (there / "ru").is_dir()


def test_what_is_larger_than_a_part_arrives_whole(there):
    content = random.Random(1).randbytes(2 * locations.PART_BYTES + 12345)
    write_bytes(there / "large", content)
    assert (there / "large").read_bytes() == content


def test_of_many_conditional_writes_exactly_one_succeeds(there):
    with ThreadPoolExecutor(8) as pool:
        for turn in range(20):
            file = there / f"file-{turn}"
            assert sum(pool.map(lambda i, file=file: file.create(b"%d" % i), range(8))) == 1
            first, version = file.read_version()
            marks = [b"second %d" % i for i in range(8)]
            wrote = list(pool.map(lambda mark, f=file, v=version: f.replace_version(mark, v), marks))
            assert sum(wrote) == 1
            assert file.read_bytes() == marks[wrote.index(True)] != first
    assert not (there / "absent").replace_version(b"x", version)
    assert not (there / "absent").exists()


def test_a_missing_bucket_and_wrong_credentials_are_told(server, there, monkeypatch):
    other = S3Path("no-such-bucket", "runs/x")
    for ask in (other.read_bytes, other.is_file, other.is_dir, lambda: other.write_bytes(b"")):
        with pytest.raises(InputError, match="no such bucket"):
            ask()
    for location in ("open_store", "open_run"):
        with pytest.raises(InputError, match="no such bucket"):
            {"open_store": open_store, "open_run": open_run}[location](str(other))
    for name, code in (
        ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"),
        ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, "NotTheRightOne")
            client.cache_clear()
            asked = (
                there.read_bytes,
                there.is_dir,
                lambda: there.write_bytes(b""),
                lambda: open_store(there),
            )
            for ask in asked:
                with pytest.raises(InputError, match=f"{code}|403") as refused:
                    ask()
                for secret in ("NotTheRightOne", server.key, server.secret):
                    assert secret not in str(refused.value)
        client.cache_clear()
