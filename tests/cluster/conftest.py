"""One S3 server for all test_s3_ files, and runs that are trained there once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from on_s3 import BUCKET, STARTED, run, surroundings, write_study
from s3_server import S3Server, missing, s3_server
from stores import make_store, study_of

from hnscc.base.locations import S3Path
from hnscc.commands import train
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of


@pytest.fixture(scope="session")
def s3(tmp_path_factory) -> Iterator[tuple[S3Server, Path]]:
    """Start the server; give it and the home folder of the processes that talk to it."""
    assert not missing(), missing()
    home = tmp_path_factory.mktemp("home")
    with s3_server() as started:
        with surroundings(started, home):
            started.make_bucket(BUCKET)
        yield started, home


@pytest.fixture(scope="module")
def server(s3) -> Iterator[S3Server]:
    """Give the server, which this process finds for as long as the module lasts."""
    with surroundings(*s3):
        yield s3[0]


@pytest.fixture
def there(server, request) -> S3Path:
    """Return a prefix that only this test uses."""
    return S3Path(BUCKET, request.node.name.translate({ord(each): "-" for each in "[]/ "}))


@pytest.fixture
def bucket(server):
    return server.bucket(BUCKET)


@pytest.fixture(autouse=True)
def started() -> Iterator[None]:
    """Kill every process that a test started and left running."""
    yield
    for process in STARTED:
        process.kill()
        process.communicate()
    STARTED.clear()


@pytest.fixture(scope="session")
def trained(s3, tmp_path_factory) -> dict[str, RunFolder]:
    """Train the same four trials twice, with reports: in a folder from a store in a folder, and on S3 from a store
    on S3."""
    with surroundings(*s3):
        return {
            "folder": train_all(tmp_path_factory.mktemp("trained"), tmp_path_factory.mktemp("folder")),
            "s3": train_all(S3Path(BUCKET, "trained"), tmp_path_factory.mktemp("s3")),
        }


def train_all(root: Path | S3Path, folder: Path) -> RunFolder:
    study = write_study(folder, make_store(root, patients=12).location)
    for trial in trials_of(study_of("none")):
        assert train.main([str(study), trial.trial_id, "--out", str(root / "run")]) == 0
    run("hnscc", "aggregate", root / "run")
    return RunFolder(root / "run")
