"""What `hnscc search` says at its end."""

import pyarrow as pa
import pytest
from searches import searched

from hnscc.aggregation.build import table_bytes, table_of_rows, write_files
from hnscc.searching.configurations import configurations_table
from hnscc.searching.ledger import Curve
from hnscc.searching.race import Race
from hnscc.study.run_folder import RunFolder
from rayjobs.search_end import SearchEnd, tell_search_end


@pytest.mark.parametrize("dice", [0.0, 0.2])
def test_that_no_configuration_found_anything_is_told(tmp_path, capsys, dice):
    """A winner was named of trainings that had all collapsed, without a word."""
    ranges = {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
    study = searched(search={"ranges": ranges, "configurations": 2})
    race = Race(study.search, 3, lambda told, n: [{"training.learning_rate": 0.001 + c} for c in range(n)])
    wanted = race.advance({})
    while wanted:
        wanted = race.advance({key: Curve((dice,) * 3, True) for key in wanted})
    trials = pa.table({"variant": ["c00", "c01"], "val_dice": [dice, 0.0]})
    folder, standings = RunFolder(tmp_path), race.standings()
    tables = {
        "configurations": configurations_table(study, race, standings, trials),
        "trials": table_of_rows("trials", []),
    }
    write_files(folder, {name: table_bytes(name, each) for name, each in tables.items()})
    assert tell_search_end(SearchEnd(folder, race.configurations, standings, [], False)) == 0
    told = "No configuration found anything: the validation Dice of each is 0." in capsys.readouterr().out
    assert told == (dice == 0)
