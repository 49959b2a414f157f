"""What a search writes into its run folder, without one."""

from searches import RANGES, searched

from hnscc.searching.curves import Curve
from hnscc.searching.race import Race
from hnscc.searching.results import winners

EPOCHS = 9


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
