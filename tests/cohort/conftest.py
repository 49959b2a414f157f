"""A small store, with a study of it, its division and the data of its fold."""

import pytest
from stores import make_store, study_of

from hnscc.cohort.fold import read_folds
from hnscc.cohort.splits import divide_cohort


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("store"))
    study = study_of(store.location)
    division = divide_cohort(store, study, 0)
    return store, study, division, read_folds(store, study, [division])[0]
