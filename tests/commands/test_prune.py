"""`hnscc prune`: which weights it deletes, and when it refuses to."""

import shutil

import pyarrow.parquet as pq
from commands import refused

from hnscc.aggregation.build import write_tables
from hnscc.base.files import read_sealed, sha256, write_sealed
from hnscc.study.run_folder import RunFolder


def test_weights_are_not_pruned_while_medians_may_move(hnscc, finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    record = next((root / "trials").glob("*/record.json"))
    record.unlink()
    assert "medians still move" in refused(hnscc("prune", root))


def test_prune_keeps_the_median_models_and_the_tables(hnscc, finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    for trial in (root / "trials").iterdir():
        (trial / "weights.safetensors").write_bytes(b"weights")
        record = read_sealed(trial / "record.json")
        record["files"]["weights.safetensors"] = sha256(b"weights")
        write_sealed(trial / "record.json", record)
    write_tables(RunFolder(root))
    code, out, _ = hnscc("prune", root)
    assert code == 0
    left = {path.parent.name for path in (root / "trials").glob("*/weights.safetensors")}
    ids = pq.read_table(root / "tables/protocol.parquet").column("trial_ids").to_pylist()
    assert left == {each for group in ids for each in group.split()}
    assert f"deleted {len(list((root / 'trials').iterdir())) - len(left)} weights" in out
    assert "`hnscc predict --ensemble`, which needs all, is refused from now on" in " ".join(out.split())
    before = {path.name: path.read_bytes() for path in (root / "tables").iterdir()}
    write_tables(RunFolder(root))
    assert {path.name: path.read_bytes() for path in (root / "tables").iterdir()} == before
