"""Delete the weights that no reading needs."""

from hnscc.plan import RunFolder
from hnscc.tables import read_table


def prune_weights(run: RunFolder) -> tuple[int, int]:
    """Delete weights.safetensors of every completed trial that is no reading's median model.

    Records, histories and predictions stay, so that the tables can be written again as they are. Returns the
    number of files and bytes freed. InputError where the tables have not been written yet.
    """
    needed = {
        trial_id
        for ids in read_table(run, "protocol").column("trial_ids").to_pylist()
        for trial_id in (ids or "").replace(",", " ").split()
    }
    files = size = 0
    for trial in read_table(run, "trials").to_pylist():
        weights = run.trial(trial["trial_id"]).weights
        if trial["status"] == "completed" and trial["trial_id"] not in needed and weights.is_file():
            files, size = files + 1, size + weights.stat().st_size
            weights.unlink()
    return files, size
