"""What the end of a run deletes, and what it leaves to the process that is writing it."""

import threading

from hnscc.base.locks import locked
from hnscc.study.run_folder import RunFolder
from hnscc.training import in_use
from hnscc.training.in_use import writing_tables
from hnscc.training.tidying import tidy_run


def test_the_end_of_a_run_leaves_what_an_aggregation_beside_it_is_writing(tmp_path, monkeypatch):
    """It deleted the half-written table of a living process, which then ended in FileNotFoundError."""
    run, asked = RunFolder(tmp_path / "run"), threading.Event()
    half = run.table("pooled").with_name(".pooled.parquet.0123456789abcdef.tmp")

    def noted(path, **how):
        asked.set()
        return locked(path, **how)

    with writing_tables(run):
        half.parent.mkdir()
        half.write_bytes(b"being written")
        monkeypatch.setattr(in_use, "locked", noted)
        tidying = threading.Thread(target=tidy_run, args=(run, set()))
        tidying.start()
        while tidying.is_alive() and not asked.wait(timeout=0.01):
            pass
        assert half.exists()
    tidying.join()
    assert not half.exists(), "nobody writes it any more"
