"""What a search writes into its run folder, without one."""

import math

import numpy as np
import pyarrow as pa
import pytest
import yaml
from run_folders import Slice, write_run
from searches import RANGES, error_of, searched

from hnscc.aggregation.build import table_of_rows
from hnscc.aggregation.schemas import schema
from hnscc.base.errors import InputError
from hnscc.base.files import write_sealed, write_text
from hnscc.searching.ledger import Curve
from hnscc.searching.race import Race
from hnscc.searching.recorded import SearchRecord, read_search, write_search
from hnscc.searching.results import winners, write_search_results
from hnscc.study.identity import trial_seeds
from hnscc.study.loading import dump_study, parse_study
from hnscc.study.ranges import winners_file, with_configurations
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial
from hnscc.training.earlier import check_identities

EPOCHS = 9
SHORT = {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}


def test_the_winners_file_is_the_same_in_whatever_order_settings_are_kept():
    study = searched()
    values = (0.001, 8, {"architecture": "paper", "width": 2}, "fresh")
    settings = dict(zip(RANGES, values, strict=True))

    def written(kept: dict) -> str:
        race = Race(study.search, EPOCHS, lambda told, n: [kept] * n)
        wanted = race.advance({})
        while wanted:
            wanted = race.advance({(c, r): Curve((0.5 + 0.01 * c,) * EPOCHS, True) for c, r in wanted})
        return winners(study, race, race.standings())

    assert written(settings) == written(dict(sorted(settings.items())))
    assert "learning_rate: 0.001" in written(settings)


def test_what_was_proposed_is_told_as_damaged_by_what_was_found(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert read_search(folder) is None
    record = SearchRecord(configurations=[{"training.learning_rate": 0.01}], side_by_side=2.0)
    write_search(folder, record)
    assert read_search(folder) == record
    folder.search.write_bytes(folder.search.read_bytes().replace(b"0.01", b"0.02"))
    with pytest.raises(InputError) as caught:
        read_search(folder)
    assert caught.value.found == "a file that was cut short or changed after it was written"
    for facts, found in (
        ({"configurations": []}, "lacks `side_by_side`"),
        ({"configurations": ["c00"], "side_by_side": 2.0}, "lacks `configurations.0`"),
        (record.model_dump() | {"later": 1}, "holds `later`, unknown to this version"),
    ):
        write_sealed(folder.search, facts)
        with pytest.raises(InputError) as caught:
            read_search(folder)
        assert caught.value.found == f"a file that {found}"


def winners_of(study):
    race = Race(study.search, EPOCHS, lambda told, n: [_settings(c) for c in range(n)])
    wanted = race.advance({})
    while wanted:
        wanted = race.advance({(c, r): Curve((0.5 + 0.01 * c,) * EPOCHS, True) for c, r in wanted})
    return parse_study(yaml.safe_load(winners(study, race, race.standings())))


def _settings(c: int) -> dict:
    values = (0.001 + 0.0001 * c, 8, {"architecture": "paper", "width": 2}, 2)
    return dict(zip(RANGES, values, strict=True))


@pytest.mark.parametrize("name", ["s", "x" * 60, "x" * 52 + "_winners", "x" * 59])
def test_a_winners_study_is_never_named_like_its_search(name):
    study = searched(name=name)
    found = winners_of(study).name
    assert found != name and found.endswith("_winners") and len(found) <= 60


def test_winners_are_augmented_by_choices_of_their_own_where_repeats_share_them():
    study = searched(augmentation={"copies": 2, "shared_by_repeats": True}, search={"ranges": SHORT})
    tried = with_configurations(study, [{"training.learning_rate": 0.001}])
    winner = parse_study(
        yaml.safe_load(winners_file(study, {"c00": {"training.learning_rate": 0.001}}, {"c00": ""}))
    )
    of_search = [trial_seeds(tried, Trial("c00", 0, r))["augmentation"] for r in (0, 1)]
    of_winner = [trial_seeds(winner, Trial("c00", 0, r))["augmentation"] for r in (0, 1)]
    assert of_search[0] == of_search[1] and of_winner[0] == of_winner[1], "shared by repeats"
    assert of_search[0] != of_winner[0]


def test_a_search_and_its_winners_do_not_share_a_folder(tmp_path):
    study = searched()
    run = RunFolder(tmp_path)
    write_text(run.study, dump_study(study))
    assert "holds a search, and this study is none" in error_of(
        lambda: check_identities(winners_of(study), run, {}, None)
    )
    check_identities(study, run, {}, None)
    write_text(run.study, dump_study(winners_of(study)))
    assert "this study is a search" in error_of(lambda: check_identities(study, run, {}, None))


def test_a_number_that_is_none_reaches_no_table(tmp_path):
    """A search's tables passed none of the checks of a study's: a NaN was written, and a column that lacked unseen."""
    study = searched(search={"ranges": SHORT, "configurations": 2})
    race = Race(
        study.search, EPOCHS, lambda told, n: [{"training.learning_rate": 0.001 + c} for c in range(n)]
    )
    wanted = race.advance({})
    while wanted:
        wanted = race.advance(
            {(c, r): Curve((0.5 + 0.01 * c,) * EPOCHS, True, False, (math.nan,) * EPOCHS) for c, r in wanted}
        )
    mask = np.ones((4, 4), np.uint8)
    run = write_run(tmp_path, study, [[Slice(split, split, mask) for split in ("train", "validation")]])
    with pytest.raises(ValueError, match="column seconds of table configurations holds NaN"):
        write_search_results(run, with_configurations(study, race.configurations), race)
    assert not run.table("cohort").is_file(), "nothing is written where a table cannot be"


def test_a_row_that_lacks_a_column_is_no_row():
    wanted = schema("configurations").append(pa.field("learning_rate", pa.float64()))
    row = dict.fromkeys(schema("configurations").names)
    with pytest.raises(ValueError, match="absent are learning_rate"):
        table_of_rows("configurations", [row], wanted)
    assert table_of_rows("configurations", [row | {"learning_rate": 0.1}], wanted).num_rows == 1
