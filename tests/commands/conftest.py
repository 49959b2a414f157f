"""What several tests of the commands read and none of them changes: a run folder with its tables, and a store."""

import pytest
from run_folders import random_run, small_study
from stores import make_store
from trained_runs import trained_run

from hnscc.aggregation.build import write_tables


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    run = random_run(tmp_path_factory.mktemp("run"), small_study(repeats=3))
    write_tables(run)
    return run.root


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return a study of two folds, two variants and two repeats, with its weights; none of the tests writes there."""
    return trained_run(tmp_path_factory.mktemp("trained"))
