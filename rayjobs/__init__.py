"""The cluster: studies and searches run by Ray, which is imported here alone.

Commands use `study`, `search`, `aggregate`, `cluster`, `doctor`, `requests`, `shadowed`, `surroundings`,
`patient_files`, `run_end` and `search_end` of it.

It may import base, study, scores, cohort, training, aggregation, reporting and searching. Inside, imports
point one way: search -> study -> scheduling -> watch, worker -> gpu_shares, inside_tune, progress, search_end,
shared -> aggregate, cluster, doctor, run_end, standby_here -> surroundings -> inside_ray, patient_files,
proposals, requests, shadowed, standby.
"""

import os
import sys
import tempfile
from pathlib import Path

# `python -m rayjobs.study` puts the working folder before all installed packages. It is taken
# out where it does not hold these, lest a file ray.py there be taken for Ray.
_FOUND_IN = Path(__file__).resolve().parents[1]
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and Path(sys.path[0]).resolve() != _FOUND_IN:
    del sys.path[0]

# Ray asks for the home folder when it is imported. Where there is none, as in a container whose user has a number
# alone, the folder of temporary files stands for it.
try:
    Path.home()
except RuntimeError:
    os.environ["HOME"] = tempfile.gettempdir()

# Read by Ray when it is imported: no usage statistics are sent, and no experiment loggers write beside the trials'
# own folders.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # Tune's own table of trials; ours is in progress.py
os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "inf"  # none: a study goes on from the trials' own records
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is handled in study.py, at once and for sure
os.environ["TUNE_PRINT_ALL_TRIAL_ERRORS"] = "0"  # a line of ours, in watch.py
