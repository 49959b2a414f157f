"""The order of the test files, the examples of Hypothesis, and fixtures that several files need: the command, a
module's `main` in this process, and for Ray one home folder and one running cluster.

A command in a process of its own (`processes.run`) costs four seconds of imports before it does anything. So it is run
in one only where a test depends on the process: kills, Ctrl-C, locks between processes, the environment at its start.
Everything else is called in the process of the tests (`hnscc`, `here`). All tests of a process of pytest share `home`
and `cluster`, and must leave them as they are. What takes seconds to make or to load, and several files share, is made
in one process of pytest, if these files are in one row of TOGETHER.
"""

import gc
import sys
from types import ModuleType

import pytest
from hypothesis import settings
from processes import running_cluster, set_local_ray

from hnscc.commands.cli import run_command

# A commit always has the same examples. `pytest --hypothesis-profile=default tests/scores` chooses other examples.
settings.register_profile("same_examples", derandomize=True)
settings.load_profile("same_examples")

# Files below tests/ whose tests run in one process, so that what they share is made, or loaded, once.
TOGETHER = (
    # MONAI (5 s) and scikit-learn.
    (
        *("scores/test_ten_thousand_masks.py", "scores/test_surface_elements.py", "scores/test_metrics.py"),
        *("scores/test_thresholds.py", "scores/test_detection.py", "scores/test_calibration.py"),
        *("scores/test_lesions.py", "aggregation/test_detection.py", "training/test_losses.py"),
    ),
    # The library of networks.
    (
        *("training/test_network.py", "training/test_resizing.py", "training/test_subpixel.py"),
        *("training/test_arithmetic.py", "training/test_feeding.py", "training/test_adam.py"),
        *("training/test_network_tried.py", "training/test_inference.py"),
    ),
    # A trained study, and that library.
    (
        *("commands/test_advice.py", "commands/test_check_training.py", "commands/test_init.py"),
        *("commands/test_predict.py", "commands/test_predict_dicom.py", "commands/test_predict_measures.py"),
        *(
            "commands/test_predict_places.py",
            "commands/test_predict_refused.py",
            "commands/test_predict_told.py",
        ),
        *("commands/test_predict_scans.py", "commands/test_predict_units.py"),
        *("commands/test_export.py", "commands/test_register.py"),
    ),
    # A report.
    (
        *("reporting/test_brief.py", "reporting/test_report.py", "reporting/test_pages.py"),
        *("reporting/test_sections.py", "reporting/test_whole_scans.py", "reporting/test_published.py"),
    ),
    # The syntax trees of all files.
    (
        *("test_docstrings.py", "test_errors.py", "test_arrays.py", "test_layers.py", "test_run_paths.py"),
        *("test_prose.py", "test_named_in_pages.py", "test_doc_examples.py"),
        *("base/test_console.py", "base/test_in_words.py"),
    ),
    # The process that others are forked from.
    ("training/test_in_use.py", "training/test_earlier.py"),
)
# Files whose tests take longest, or that are in a row above; those that wait for Ray the most come first.
LONGEST = [
    *("test_search_runs.py", "test_study.py", "test_in_use.py", "test_surroundings.py"),
    *("test_advice.py", "test_brief.py", "test_phantom.py", "test_network.py", "test_ten_thousand_masks.py"),
    *(
        "test_writing.py",
        "test_registering.py",
        "test_requests.py",
        "test_check.py",
        "test_geometry_faults.py",
    ),
]


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Run Python's garbage collector never during the collection of tests, and less often afterwards. During it hardly
    anything is garbage, and looking for it takes a sixth of the time. Later, what was collected here is not looked at,
    and the search for what tests leave would be slow, since libraries hold millions of objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


def pytest_sessionfinish():
    """Let the garbage collector look at the collected tests again, since some libraries complain at the end about
    objects that were never freed."""
    gc.unfreeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Sort the longest files first, so that several processes that share the files end at about the same time. Of a
    test marked `quick`, mark all cases as slow except so many, spread evenly."""
    cases: dict[object, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("quick"):
            cases.setdefault(item.function, []).append(item)
    for each in cases.values():
        (number,) = each[0].get_closest_marker("quick").args
        kept = {len(each) * at // number for at in range(number)}
        for at, item in enumerate(each):
            if at not in kept:
                item.add_marker("slow")
    order = {name: position for position, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONGEST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Make `--dist loadfile` treat the files of a row of TOGETHER as one."""
    from xdist.scheduler import LoadFileScheduling  # it may be left out (-p no:xdist)

    first = {f"tests/{each}": f"tests/{row[0]}" for row in TOGETHER for each in row}

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return first.get(file, file)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def smp() -> ModuleType:
    """Return the library of networks. It takes a second to load, so that only tests which ask for it load it."""
    from hnscc.training.library import smp

    return smp


@pytest.fixture(scope="session")
def sklearn() -> ModuleType:
    """Return scikit-learn. It takes more than a second to load, so that only tests which ask for it load it."""
    import sklearn.calibration
    import sklearn.ensemble
    import sklearn.metrics

    return sklearn


@pytest.fixture
def hnscc(capsys, monkeypatch):
    """Run the command in this process: exit code, standard output, standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hnscc", *map(str, arguments)])
        code = run_command()
        out, error = capsys.readouterr()
        return code, out, error

    return run


@pytest.fixture
def here(home, monkeypatch, capsys):
    """Call the `main` of a module in this process, with the Ray that it may start: exit code, standard output, standard
    error. RAY_ADDRESS and similar variables are not set; the token is that of `cluster`."""
    set_local_ray(monkeypatch, home)

    def call(main, *arguments) -> tuple[int, str, str]:
        code = main([*map(str, arguments)])
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Return a private home folder, in which Ray keeps files."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def cluster(home):
    """Start a cluster with a token and one GPU that is declared, not real; give its address and environment."""
    with running_cluster(home, gpus=1) as running:
        yield running
