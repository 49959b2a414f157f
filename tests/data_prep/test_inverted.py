"""Images whose dark and bright are exchanged are told against the other scans."""

import numpy as np
from facts import facts, told
from scans import prepare, save, write


def heads(folder, count: int, turned: set[int]):
    """Noisy discs in air, as on MRI, some of them as 1100 less the value."""
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    x, y = np.indices((32, 32)) - 15.5
    disc = (x**2 + y**2 < 10**2)[:, :, None]
    for number in range(count):
        rng = np.random.default_rng(number)
        mri = np.hypot(*rng.normal(0, 20, (2, 32, 32, 4))) + disc * rng.normal(500, 80, (32, 32, 4))
        write(folder / f"{number}.nii", (1100 - mri if number in turned else mri).astype(np.float32))
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", ""])
    return save(folder, rows)


def test_one_inverted_scan_is_told(tmp_path):
    store = prepare(heads(tmp_path, 6, {2}), tmp_path / "s.zarr", size=32, workers=1)
    assert store.odd == (
        "scan S2: mri is bright at its rim and in most voxels, dark in 5 others: is it inverted?",
    )


def test_where_half_of_the_scans_are_inverted_both_halves_are_named(tmp_path):
    store = prepare(heads(tmp_path, 6, {0, 3, 4}), tmp_path / "s.zarr", size=32, workers=1)
    assert (
        "mri is dark at its rim and in most voxels in 3 scans (S1, S2, S5), bright there in 3 scans (S0, S3, S4): are "
        "some inverted?"
    ) in store.odd
    assert not any(text.startswith("scan ") for text in store.odd)


def test_a_body_that_fills_the_field_of_view_is_not_inverted():
    """CT of which one scan shows no air at its sides: rim and median lie half way."""
    scans = facts(
        6, **{f"s{each}": {"first": -1000.0, "last": 1000.0, "median": -900.0} for each in range(5)}
    )
    tight = facts(6, s5={"first": -1000.0, "last": 1000.0, "median": 40.0, "rim": 0.0})
    assert not any("inverted" in text for _, text, _ in told([*scans[:5], tight[5]]))


def test_air_is_dark_up_to_four_tenths_of_the_range_and_bright_from_six_on():
    """The mean of where the rim and the median lie, each at most at its ends, in five scans."""

    def inverted(one: tuple[float, float], others: tuple[float, float], count: int = 4) -> list[str | None]:
        values = [
            {"first": 0.0, "last": 10.0, "rim": rim, "median": median}
            for rim, median in [one, *[others] * count]
        ]
        scans = facts(1 + count, **{f"s{at}": each for at, each in enumerate(values)})
        return [scan_id for scan_id, text, _ in told(scans) if "inverted" in text]

    assert inverted((6, 6), (4, 4)) == inverted((4, 4), (6, 6)) == ["p0_a"]
    assert inverted((6, 6), (4.1, 4.1)) == inverted((5.9, 5.9), (4, 4)) == inverted((6, 6), (4, 4), 3) == []
    assert inverted((99, 2), (-99, 8)) == ["p0_a"]


def test_an_inverted_scan_is_said_to_be_that_alone():
    """It reaches four times as far as the others, too."""
    usual = {"first": 0.0, "last": 10.0, "rim": 4.0, "median": 4.0}
    scans = {f"s{at}": usual for at in range(1, 6)}
    scans["s0"] = {"first": 0.0, "last": 40.0, "rim": 24.0, "median": 24.0, "high": 50.0}
    ((scan_id, text, _),) = told(facts(6, **scans))
    assert scan_id == "p0_a" and "is it inverted?" in text
