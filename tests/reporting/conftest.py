"""One run folder for all tests of the report that change nothing in it."""

import pytest
from reports import FOUR, Page, fill, report, store_run
from run_folders import add_failure

from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of


@pytest.fixture(scope="session")
def corrected(tmp_path_factory) -> RunFolder:
    run, study = store_run(tmp_path_factory.mktemp("corrected"), repeats=3, variants=FOUR)
    fill(run, study, skip=("pet-f0-r02",))
    add_failure(run, trials_of(study)[2], "Traceback\n  secret.nii\nRuntimeError: /home/patient/secret.nii")
    report(run)
    return run


@pytest.fixture(scope="session")
def page(corrected) -> Page:
    return Page(corrected.html.read_text())
