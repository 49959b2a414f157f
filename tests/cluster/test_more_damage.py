"""What tests/rayjobs/test_damage.py does, ten times as much: a minute or two."""

from damages import damage_and_judge, make_sound, told

SEED = 1


def test_a_thousand_random_damages(tmp_path, capsys):
    sound = make_sound(tmp_path)
    judged = damage_and_judge(sound, number=1000, seed=SEED, scratch=tmp_path / "scratch")
    with capsys.disabled():
        print(f"\n{told(judged)}")
    assert judged.total() == 1000
