"""The functions behind the commands that train a study: init, check, run, search, status.

A function imports what it needs when it is called, as in every `*_api` file: `import hnscc` alone loads no torch,
no Ray and no NumPy. Functions raise errors of hnscc.base.errors: InputError for wrong input (it says where,
expected, found and what to do), StorageError where a disk or S3 failed. Every location may be an s3:// URL unless
it says otherwise.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hnscc.commands.checked import Checked
    from hnscc.commands.status import Status
    from hnscc.study.schema import Study
    from rayjobs.run_end import RunEnd
    from rayjobs.search_end import SearchEnd


def init(store: str | Path, study: str | Path | None = None, *, prefer: Sequence[str] = ()) -> Path:
    """Write a study file for a store, with comments, and return its path; `check` accepts it as it is.

    store: the store as the study is to name it. Or a folder of scans: then its manifest is written too, beside the
    study file and with the same name, and `prepare` makes from it the store that the study names. A scan without a mask
    has FILL-IN there, which `prepare` refuses until you have written a mask, or none. study: the new file, on a disk;
    unless given, the store's name with .yaml in the working directory, or study.yaml for a folder. The study compares
    each modality alone, all together, and these augmented. prefer: patterns of names of files, or of regions of DICOM,
    such as "*T1_mask*"; of several for a cell of the manifest, one that matches is taken. InputError where a file
    exists already, there is neither store nor scans, or no study fits the store: then nothing is written.
    """
    from hnscc.base.argument_checks import check_list
    from hnscc.base.locations import check_places
    from hnscc.commands.new_study import init_study

    check_list("prefer", prefer, "a list of patterns")
    check_places(store=store)
    if study is not None:
        check_places(study=study)
    begun = init_study(store, study, prefer)
    return begun if isinstance(begun, Path) else begun.study


def check(
    study: str | Path | dict[str, Any],
    out: str | Path | None = None,
    *,
    half_width: float | None = None,
    accept_versions: bool = False,
    address: str | None = None,
) -> Checked:
    """Validate a study and return what it would do, as `hnscc check --json` prints it. This writes and trains nothing.

    study: the study file, or its settings as a dictionary. out: the run folder; runs/<name of the study> unless given.
    half_width: also say how many repeats give a 95 % interval of the median test Dice that extends so far to either
    side (0 to 1). accept_versions: do not refuse trained trials of other versions, but name them (other_versions).
    address: the running Ray cluster whose machines are asked what they have; RAY_ADDRESS unless given, and without
    either this machine.

    The result has the keys study, run_folder, store, variants, splits, leakage_checks, proven, odd, warnings, trials,
    trial_states, to_predict, left_out, other_versions, disk_mib, memory_mib, time, repeats_for_width and search (see
    hnscc.commands.checked.Checked for what each means). InputError for a setting that is wrong, a store that does not
    fit, a run folder of other settings, and a trial that asks for more CPUs or GPUs than any machine has.
    """
    from hnscc.base.argument_checks import check_flags
    from hnscc.commands.check import check_study

    check_flags(accept_versions=accept_versions)
    return check_study(_study(study), out, half_width, accept_versions=accept_versions, address=address)


def run(
    study: str | Path | dict[str, Any],
    out: str | Path | None = None,
    address: str | None = None,
    limit: int | None = None,
    *,
    accept_versions: bool = False,
) -> RunEnd:
    """Train what is missing of a study, then write its tables, figures and report; called again, it goes on.

    study, out: as for `check`. address: a running Ray cluster; RAY_ADDRESS unless given. Without either, Ray is started
    on this machine and ended with the call. limit: train at most so many of the missing trials. accept_versions: go on
    beside trained trials of other versions. Progress is printed. Ctrl-C ends it; from another thread it is refused.

    The result has folder (which `status`, `tables` and the others take as their `run`), completed (trial ids), missing
    (how many), failed (kind of error by trial id), lost, interrupted and unused; a trial that fails raises nothing.
    InputError for what cannot run; then no new run folder is left behind.
    """
    from hnscc.base.argument_checks import check_flags, check_whole

    _refuse_before_ray()
    from rayjobs.study import run_study

    check_flags(accept_versions=accept_versions)
    if limit is not None:
        check_whole("limit", limit, 0)
    return run_study(_study(study), out, address, limit, accept_versions=accept_versions)


def search(
    study: str | Path | dict[str, Any],
    out: str | Path | None = None,
    address: str | None = None,
    *,
    accept_versions: bool = False,
) -> SearchEnd:
    """Search the study's hyperparameters over repeats; write winners.yaml, tables, figures and a report.

    Called again, it goes on. Its arguments are those of `run`. The result has folder (`folder.winners` is the study to
    run next), configurations, standings (the winner first), lost and interrupted. InputError for ranges or a budget
    that cannot be searched.
    """
    from hnscc.base.argument_checks import check_flags

    _refuse_before_ray()
    from rayjobs.search import run_search

    check_flags(accept_versions=accept_versions)
    return run_search(_study(study), out, address, accept_versions=accept_versions)


def status(run: str | os.PathLike[str]) -> Status:
    """Return how far a study has come, also while it runs elsewhere, as `hnscc status --json` prints it.

    run: a run folder, such as runs/demo. This reads records, predictions, checkpoints and what each fold was made of,
    but no image. The result has the keys study, variants (number of trials by state), started, failed, remarks,
    left_out and tables (see hnscc.commands.status.Status). InputError where it is no run folder, or a fold is missing
    or damaged.
    """
    from hnscc.commands.status import run_status
    from hnscc.study.loading import open_run

    return run_status(open_run(run))


def _refuse_before_ray() -> None:
    """Raise InputError outside of the main thread, for a file that would be imported in place of Ray, such as a ray.py
    beside the caller's script, and only then, since that imports Ray, where this process uses Ray already."""
    from hnscc.base.errors import InputError
    from rayjobs.shadowed import refuse_shadowed

    if threading.current_thread() is not threading.main_thread():
        raise InputError(
            "A study is trained from the main thread alone, where Ctrl-C can end it.",
            where="the script that calls this",
            expected="a call in the main thread",
            found="a call in another thread",
            do="start a process of its own for it, such as `hnscc run STUDY`",
        )

    refuse_shadowed()
    from rayjobs.cluster import refuse_other_ray

    refuse_other_ray()


def _study(study: str | Path | dict[str, Any]) -> Study:
    from hnscc.study.loading import load_study, parse_study

    return parse_study(study) if isinstance(study, dict) else load_study(study)
