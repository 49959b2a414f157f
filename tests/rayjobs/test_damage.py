"""100 random flipped bits, truncations and deletions; tests/cluster/test_more_damage.py does 1,000."""

import pytest
from damages import damage_and_judge, make_sound


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return make_sound(tmp_path_factory.mktemp("sound"))


@pytest.mark.slow
def test_random_damage_is_detected_before_use_or_harmless(sound, tmp_path):
    judged = damage_and_judge(sound, number=100, seed=0, scratch=tmp_path)
    assert judged.total() == 100
    detected = {(what, kind) for what, kind, verdict in judged if verdict == "detected"}
    assert len(detected) == 12, "every kind of damage to every place is detected now and then"
