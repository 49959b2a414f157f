"""Table `drawn_scans` by hand: what is marked on stored slices is scored on the grid that the mask was drawn on."""

import numpy as np
import pytest
from run_folders import Slice, add_trial, small_study, write_run
from small_tables import check_tables, levels, mask, row, rows

from hnscc.aggregation.build import write_tables
from hnscc.base.errors import InputError
from hnscc.cohort.kept_of_store import PackedMask, masks_from_bytes, masks_to_bytes, packed
from hnscc.cohort.store_format import DrawnMask
from hnscc.study.trials import trials_of

AFFINE = ((-1.0, 0.0, 0.0, 0.0), (0.0, -1.0, 0.0, 0.0), (0.0, 0.0, 3.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def drawn(slices: int, *voxels: tuple[int, int, int], on: str | None = "mri") -> PackedMask:
    """A mask with these voxels (z, y, x) of 8 x 8 in each slice, four to a stored pixel; 1 x 1 x 3 mm each."""
    found = np.zeros((slices, 8, 8), bool)
    for each in voxels:
        found[each] = True
    placement = {
        "reference": "mri",
        "input_shape": [8, 8, slices],
        "input_affine": AFFINE,
        "input_axes": "LPS",
    }
    placement |= {"size": 4, "scale": [2.0, 2.0], "offset": [0.0, 0.0], "outside": {"mri": []}}
    return packed(DrawnMask(found, AFFINE, on), placement)


# Of its two pixels one is covered, and half of the other.
BLOCK = [(0, y, x) for y in (0, 1) for x in (0, 1, 2)]
MASKS = {
    "a-a": drawn(2, *BLOCK, (1, 7, 7)),  # a single voxel, a quarter of a pixel: lost on the stored slices
    "b-a": drawn(1, on=None),
    "v-a": drawn(1, *((0, y, x) for y in (0, 1) for x in (0, 1))),
}
SLICES = [
    Slice("train", "t", mask(0)),
    Slice("validation", "v", mask(0)),
    Slice("test", "a", mask(0, 1)),
    Slice("test", "a", mask()),
    Slice("test", "b", mask()),
]
FOUND = levels({0: 900}, {0: 900}, {0: 900, 1: 470}, {}, {})  # 0.45 is chosen


def run_of(folder, predicted, masks=MASKS, **settings):
    study = small_study(("pet",), repeats=len(predicted), **settings)
    run = write_run(folder, study, [SLICES], masks)
    for trial, each in zip(trials_of(study), predicted, strict=True):
        add_trial(run, study, trial, each)
    write_tables(run)
    check_tables(run)
    return run


def test_scans_on_the_grid_of_the_mask_by_hand(tmp_path):
    """On the stored slices all is right. As drawn there are 7 voxels in two lesions; the two pixels that are marked
    are 8 voxels, of which 6 are lesion."""
    run = run_of(tmp_path, [FOUND])
    ill = row(run, "drawn_scans", scan_id="a-a")
    assert row(run, "scans", scan_id="a-a", threshold=ill["threshold"])["dice"] == ill["dice_stored"] == 1
    assert (ill["drawn_on"], ill["slices"], ill["split"]) == ("mri", 2, "test")
    ml = [ill[name] for name in ("truth_ml", "pred_ml", "overlap_ml", "fp_ml", "fn_ml")]
    assert ml == pytest.approx([0.021, 0.024, 0.018, 0.006, 0.003])
    assert (ill["dice"], ill["jaccard"]) == (pytest.approx(12 / 15), pytest.approx(6 / 9))
    assert (ill["lesions"], ill["lesions_found"], ill["false_lesions"]) == (2, 1, 0)
    assert ill["volume_precision"] == pytest.approx(6 / 8)
    assert ill["dice_of_mask_sent_back"] == ill["dice"], "a perfect model would mark the same"


def test_a_scan_without_lesion_follows_the_rule_for_empty_masks(tmp_path):
    """It has no mask, and the grid of the slices' modality; an alarm there is worst, whatever its size."""
    run = run_of(tmp_path / "right", [FOUND])
    well = row(run, "drawn_scans", scan_id="b-a")
    assert (well["drawn_on"], well["reason"], well["lesions"]) == (None, None, 0)
    assert [well[name] for name in ("dice", "nsd", "hd95_mm", "dice_of_mask_sent_back")] == [1, 1, 0, 1]
    run = run_of(tmp_path / "alarm", [levels({0: 900}, {0: 900}, {0: 900}, {}, {5: 900})])
    alarm = row(run, "drawn_scans", scan_id="b-a")
    assert [alarm[name] for name in ("dice", "nsd", "false_lesions")] == [0, 0, 1]
    assert alarm["hd95_mm"] == pytest.approx(np.hypot(8, 8)), "one slice is scored in its plane"
    assert alarm["fp_ml"] == pytest.approx(4 * 0.003)


def test_there_is_a_row_per_scan_and_median_model_alone(tmp_path):
    """At the chosen threshold; of a model for which none can be chosen at 0.5."""
    run = run_of(tmp_path / "three", [FOUND, levels({}, {}, {}, {}, {}), FOUND])
    found = rows(run, "drawn_scans")
    assert [each["scan_id"] for each in found] == ["v-a", "a-a", "b-a"]
    (median,) = {each["trial_id"] for each in rows(run, "trials", is_median=True)}
    assert {each["trial_id"] for each in found} == {median}
    (chosen,) = {each["threshold"] for each in rows(run, "thresholds", chosen=True)}
    assert {each["threshold"] for each in found} == {chosen} != {0.5}
    run = run_of(tmp_path / "collapsed", [levels({}, {}, {}, {}, {})])
    ill = row(run, "drawn_scans", scan_id="a-a")
    assert (ill["threshold"], ill["dice"], ill["dice_stored"], ill["pred_ml"]) == (0.5, 0, 0, 0)
    assert ill["dice_of_mask_sent_back"] == pytest.approx(0.8)


@pytest.mark.parametrize(("tolerance_mm", "agree"), [(5.0, True), (0.5, False)])
def test_surfaces_agree_up_to_the_study_s_tolerance(tmp_path, tolerance_mm, agree):
    """Beside the lesion a pixel more is marked, of 1 mm on the stored slices."""
    evaluation = {"cutoff_px": 2, "tolerance_mm": tolerance_mm}
    run = run_of(
        tmp_path, [levels({0: 900}, {0: 900}, {0: 900, 1: 470, 2: 470}, {}, {})], evaluation=evaluation
    )
    drawn = row(run, "drawn_scans", scan_id="a-a")
    stored = row(run, "scans", scan_id="a-a", threshold=drawn["threshold"])
    assert (stored["nsd"] == 1) == agree and drawn["threshold"] != 0.5
    assert (drawn["nsd"] > 0.7) == agree, "one of two lesions is missed"


def test_without_masks_as_drawn_all_is_null_and_says_what_to_do(tmp_path):
    run = run_of(tmp_path, [FOUND], masks=None)
    found = rows(run, "drawn_scans")
    assert len(found) == 3
    for each in found:
        assert "prepare it again" in each["reason"]
        assert [each[name] for name in ("dice", "truth_ml", "lesions", "dice_of_mask_sent_back")] == [
            None
        ] * 4
        assert each["dice_stored"] == 1


def test_of_sampled_slices_there_is_no_scan(tmp_path):
    assert (
        rows(run_of(tmp_path, [FOUND], evaluation={"slices": "sampled", "cutoff_px": 2}), "drawn_scans") == []
    )


def test_harm_to_the_masks_as_drawn_is_refused(tmp_path):
    run = run_of(tmp_path, [FOUND])
    path = run.fold(0).drawn
    path.write_bytes(masks_to_bytes({**MASKS, "b-a": drawn(1, (0, 3, 3))}))
    with pytest.raises(InputError, match=r"drawn.npz is not what was written"):
        write_tables(run)
    path.unlink()
    with pytest.raises(InputError, match=r"drawn.npz cannot be read"):
        write_tables(run)


def test_masks_of_any_size_are_read_back_as_they_were():
    random = np.random.default_rng(0)
    masks, placement = {}, dict(MASKS["a-a"].placement)
    for name, shape in (("c", (3, 5, 7)), ("a", (1, 1, 1)), ("b", (2, 4, 8))):
        masks[name] = packed(DrawnMask(random.random(shape) > 0.5, AFFINE, name), placement)
    found = masks_from_bytes(masks_to_bytes(masks), {name: mask.lies for name, mask in masks.items()})
    for name, mask_ in masks.items():
        np.testing.assert_array_equal(found[name].drawn.voxels, mask_.drawn.voxels)
        assert (found[name].drawn.on, found[name].drawn.affine) == (name, AFFINE)
        assert found[name].placement == placement and "outside" not in placement
    with pytest.raises(ValueError, match=r"take uint8 \(22,\), not uint8 \(9,\)"):
        masks_from_bytes(
            masks_to_bytes({name: masks[name] for name in "ab"}), {name: masks[name].lies for name in "bc"}
        )
