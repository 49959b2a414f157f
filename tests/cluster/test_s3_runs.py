"""Run folders on a real S3 server: every command, damage, pruning."""

import json
import random

import pytest
from on_s3 import BUCKET, harmed, objects, run, same_tables, write_study
from stores import study_of

from hnscc.aggregation.query import query
from hnscc.aggregation.schemas import STUDY_TABLES
from hnscc.base.files import write_bytes
from hnscc.base.locations import S3Path
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of
from hnscc.training.states import trial_state

pytestmark = pytest.mark.usefixtures("server")


def test_a_run_on_s3_gives_the_tables_of_a_run_in_a_folder(trained):
    same_tables(trained["folder"], trained["s3"])
    names = {name for name in objects(trained["s3"].root) if not name.startswith("trials/")}
    here = trained["folder"].root
    assert names == {
        path.relative_to(here).as_posix()
        for path in here.rglob("*")
        if path.is_file() and "trials" not in path.parts and not path.name.endswith(".lock")
    }  # S3 has no locks: a process that finds one held is a matter of folders
    for folder in trained["s3"].recorded:
        assert {path.name for path in folder.root.below()} == {
            "record.json",
            "history.parquet",
            "predictions.npz",
            "scores.json",
            "weights.safetensors",
        }


def test_every_command_works_on_a_run_on_s3(trained, tmp_path):
    url = trained["s3"].root
    sql = "SELECT variant, count(*) AS n FROM trials GROUP BY variant ORDER BY variant"
    out, _ = run("hnscc", "query", url, sql, "--format", "json")
    assert json.loads(out) == [{"variant": "pet", "n": 2}, {"variant": "pet_mri", "n": 2}]
    assert query(trained["s3"], "SHOW TABLES").num_rows == len(STUDY_TABLES)
    out, _ = run("hnscc", "report", url)
    assert f"{url}/report.html" in out
    assert trained["s3"].html.read_bytes().count(b"<img") >= 4  # examples from the store among them
    study = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr")
    out, _ = run("hnscc", "check", study, "--out", url, "--json")
    assert json.loads(out)["trials"] == {"in_all": 4, "completed": 4}
    out, _ = run("hnscc", "status", url, "--json")
    assert "completed" in out
    changed = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr", training={"learning_rate": 0.02})
    _, error = run("train", changed, "pet-f0-r00", "--out", url, code=2)
    assert "learning_rate: 0.01 -> 0.02" in error
    _, error = run("hnscc", "query", url.parent / "nothing", sql, code=2)
    assert "not a run folder" in error


def test_every_damage_of_a_trial_on_s3_is_found(trained, bucket):
    """Named by `hnscc aggregate`, never used, and as before once the object is restored."""
    run_there = trained["s3"]
    trial = trials_of(study_of("none"))[0]
    folder = run_there.trial(trial.trial_id)
    rng = random.Random(5)
    for name in ("record.json", "history.parquet", "predictions.npz", "weights.safetensors"):
        file = folder.root / name
        content = file.read_bytes()
        for harm in ("flip", "flip", "flip", "cut", "delete"):
            if harm == "delete":
                bucket.delete(file.key)
            else:
                bucket.put(file.key, harmed(content, harm, rng))
            expected = "completed" if name == "weights.safetensors" else "missing"
            assert trial_state(run_there.trial(trial.trial_id)).status == expected, (name, harm)
            file.write_bytes(content)
    scores = folder.scores.read_bytes()
    for harm, expected in (("flip", "missing"), ("cut", "missing"), ("delete", "completed")):
        if harm == "delete":  # they are computed again from the predictions
            bucket.delete(folder.scores.key)
        else:
            bucket.put(folder.scores.key, harmed(scores, harm, rng))
        state = trial_state(run_there.trial(trial.trial_id))
        assert state.status == expected, harm
        assert state.completed or "predicts again by its weights" in state.reason
        folder.scores.write_bytes(scores)
    assert trial_state(run_there.trial(trial.trial_id)).status == "completed"


def test_prune_deletes_on_s3(server, trained):
    copy = RunFolder(S3Path(BUCKET, "pruned"))
    for name, content in objects(trained["s3"].root).items():
        write_bytes(copy.root / name, content)
    before = {name for name in objects(copy.root) if name.endswith("weights.safetensors")}
    out, _ = run("hnscc", "prune", copy.root)
    after = {name for name in objects(copy.root) if name.endswith("weights.safetensors")}
    assert after < before and f"deleted {len(before - after)} weights files" in out
    run("hnscc", "aggregate", copy.root)
    same_tables(copy, trained["s3"])
