"""Scores on 10,000 pairs of small masks with all degenerate cases, against MONAI, SciPy, SimpleITK and scikit-learn.

How the surface scores compare with MONAI's (of `use_subvoxels=True`, which are those of the library surface-distance):
sizes of elements are the same, and an element stands at the centroid of its surface instead of the cell's middle. So
no distance differs by more than twice the farthest centroid, nor does any mean or percentile of distances, and a
surface Dice lies between MONAI's at the tolerance less and more that much. MONAI's HD95 and average distance without
subvoxels are those between the centres of border voxels, each counted once: there both agree on whole voxels alone.
"""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.spatial.distance import cdist

from hnscc.scores.calibration import brier, calibration, reliability
from hnscc.scores.counts import count
from hnscc.scores.lesions import find_lesions
from hnscc.scores.metrics import DICE, JACCARD
from hnscc.scores.millilitres import millilitres_of, precision, volume_sensitivity
from hnscc.scores.stored import glycolysis
from hnscc.scores.surface import average_distance, hd95, surface_dice, surface_distances
from hnscc.scores.surface_elements import cell_contours, cell_surfaces, elements

KINDS = (
    "both empty",
    "no prediction",
    "no truth",
    "both full",
    "same",
    "apart",
    "one voxel",
    "any",
    "any",
    "any",
)
SPACINGS = ((1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (3.27, 0.977, 0.977), (0.5, 2.0, 1.3))
# MONAI 1.6 warns of an argument that it gives itself.
NEXT_MONAI = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")


def pairs(n, seed):
    """n pairs of masks, of every kind in turn, with their spacing: small scans, of a single slice and voxel too."""
    rng = np.random.default_rng(seed)
    for case, kind in zip(range(n), itertools.cycle(KINDS), strict=False):
        shape = rng.integers(1, [4, 7, 7])
        pred, truth = rng.random((2, *shape)) < rng.choice([0.05, 0.2, 0.5, 0.9], (2, 1, 1, 1))
        if kind in ("both empty", "no prediction"):
            pred[:] = False
        if kind in ("both empty", "no truth"):
            truth[:] = False
        if kind == "both full":
            pred[:] = truth[:] = True
        if kind == "same":
            pred = truth.copy()
        if kind == "apart":
            pred &= ~truth
        if kind == "one voxel":
            pred[:] = truth[:] = False
            for each in (pred, truth):
                each[tuple(rng.integers(0, shape))] = True
        yield pred, truth, SPACINGS[case // len(KINDS) % len(SPACINGS)]


@pytest.mark.slow
def test_surfaces_are_those_of_all_pairs_of_elements():
    """Distances by SciPy between all elements, and the three scores of them from their definitions."""
    for pred, truth, spacing in pairs(10_000, seed=1):
        found = surface_distances(pred, truth, spacing)
        scores = hd95(found), average_distance(found), surface_dice(found, 2.5)
        axes = slice(len(truth) == 1, 3)
        of_pred, of_truth = (
            elements(each.reshape(each.shape[axes]), spacing[axes]) for each in (pred, truth)
        )
        if not pred.any() or not truth.any():
            diagonal = np.linalg.norm(np.array(truth.shape[axes]) * spacing[axes])
            expected = (0, 0, 1) if pred.any() == truth.any() else (diagonal, diagonal, 0)
            assert scores == pytest.approx(expected, abs=1e-8)
            continue
        between = cdist(of_pred.position, of_truth.position)
        both = [(between.min(axis=1), of_pred.size), (between.min(axis=0), of_truth.size)]
        percentiles = []
        for distances, sizes in both:
            within = (
                distances[:, None] <= distances + 1e-8
            ).T @ sizes  # the size within each of the distances
            percentiles.append(distances[within >= 0.95 * sizes.sum() - 1e-9].min())
        distances, sizes = (np.concatenate(each) for each in zip(*both, strict=True))
        near = sizes[distances <= 2.5 + 1e-8].sum() / sizes.sum()
        assert scores == pytest.approx(
            (max(percentiles), np.average(distances, weights=sizes), near), abs=1e-7
        )


@pytest.fixture(scope="module")
def of_spacing():
    """The 10,000 pairs by their spacing."""
    cases = {spacing: [] for spacing in SPACINGS}
    for each in pairs(10_000, seed=2):
        cases[each[2]].append(each)
    return cases


@pytest.mark.slow
@pytest.mark.parametrize("spacing", SPACINGS)
def test_volumes_lesions_and_overlap_are_simpleitk_s(of_spacing, spacing):
    """SimpleITK sees all cases of a spacing as one image, each with a label of its own and a gap to the next."""
    cases = of_spacing[spacing]
    assert len(cases) == 10_000 / len(SPACINGS)
    uptake = np.random.default_rng(0).random((len(cases), 4, 7, 7))
    pred, truth = np.zeros((2, *uptake.shape), np.uint16)
    for i, (predicted, true, _) in enumerate(cases):
        box = (i, *(slice(n) for n in true.shape))
        pred[box], truth[box] = predicted * (i + 1), true * (i + 1)
    images = [image(each, spacing) for each in (pred, truth)]
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    statistics = [sitk.LabelStatisticsImageFilter() for _ in images]
    for filled, each in zip(statistics, images, strict=True):
        filled.Execute(image(uptake, spacing), each)
    components = [sitk.ConnectedComponent(each > 0, True) for each in images]
    numbers = [sitk.GetArrayFromImage(each).reshape(pred.shape) for each in components]
    sizes = sitk.LabelShapeStatisticsImageFilter()
    sizes.Execute(components[1])
    for i, (predicted, true, _) in enumerate(cases):
        box = tuple(slice(n) for n in true.shape)
        found = millilitres_of(predicted, true, spacing)
        tlg = glycolysis(predicted * np.uint16(65535), true, uptake[i][box], spacing)
        held = (predicted, found.pred_ml, tlg[-1]), (true, found.truth_ml, tlg[0])
        for theirs, (mask, ml, tlg) in zip(statistics, held, strict=True):
            count_and_mean = (theirs.GetCount(i + 1), theirs.GetMean(i + 1)) if mask.any() else (0, 0)
            assert ml == pytest.approx(count_and_mean[0] * np.prod(spacing) / 1000)
            assert tlg == pytest.approx(count_and_mean[1] * ml)
        if predicted.any() and true.any():
            counts = count(predicted[None], true[None])
            assert DICE.of(counts)[0] == pytest.approx(overlap.GetDiceCoefficient(i + 1))
            assert JACCARD.of(counts)[0] == pytest.approx(overlap.GetJaccardCoefficient(i + 1))
            false, missed = overlap.GetFalseDiscoveryRate(i + 1), overlap.GetFalseNegativeError(i + 1)
            assert found.fp_ml == pytest.approx(false * held[0][0].sum() * np.prod(spacing) / 1000)
            assert found.fn_ml == pytest.approx(missed * held[1][0].sum() * np.prod(spacing) / 1000)
            assert precision(found) == pytest.approx(1 - false)
            assert volume_sensitivity(found) == pytest.approx(1 - missed)
        check_lesions(find_lesions(predicted, true, spacing), *(each[i][box] for each in numbers), sizes)


@pytest.mark.slow
def test_brier_and_reliability_are_scikit_learn_s(of_spacing, sklearn):
    """The Brier score of all pairs and the curve of every eleventh; half the levels lie on edges of bins."""
    rng = np.random.default_rng(5)
    by_size = {}
    for i, (pred, truth, _) in enumerate(itertools.chain(*of_spacing.values())):
        anywhere, edge, which = rng.integers(0, [[65536], [6], [2]], (3, pred.size)).reshape(3, *pred.shape)
        levels = (np.where(which, anywhere, edge * 13107) * pred).astype(np.uint16)
        found = calibration(levels, truth)
        of_size = by_size.setdefault(truth.size, [])
        of_size.append((truth.ravel(), levels.ravel() / 65535, brier(found)))
        if i % 11 == 0:
            filled = [each for each in reliability(found) if each.n]
            observed, predicted = sklearn.calibration.calibration_curve(
                *of_size[-1][:2], pos_label=True, n_bins=10
            )
            np.testing.assert_allclose([each.observed for each in filled], observed, atol=1e-12)
            np.testing.assert_allclose([each.predicted for each in filled], predicted, atol=1e-12)
    for of_size in by_size.values():
        truths, probabilities, ours = (np.array(each) for each in zip(*of_size, strict=True))
        theirs = sklearn.metrics.mean_squared_error(
            truths.T.astype(float), probabilities.T, multioutput="raw_values"
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def image(array, spacing):
    """Cases (N, Z, H, W) one after the other along z, as SimpleITK's image."""
    found = sitk.GetImageFromArray(array.reshape(-1, *array.shape[2:]))
    found.SetSpacing(spacing[::-1])
    return found


def check_lesions(lesions, of_pred, of_truth, sizes):
    """Against the components of both masks that SimpleITK numbered, 0 outside of them."""
    pred, truth = of_pred > 0, of_truth > 0
    assert lesions.predicted == len(np.unique(of_pred[pred]))
    assert lesions.false == lesions.predicted - len(np.unique(of_pred[truth & pred]))
    theirs = []
    for each in np.unique(of_truth[truth]).tolist():
        inside = of_truth == each
        whole = np.isin(of_pred, of_pred[inside & pred]) & pred
        theirs.append((sizes.GetPhysicalSize(each), inside.sum(), (inside & pred).sum(), whole.sum()))
    for ours, (mm3, px, shared, predicted) in zip(
        sorted(
            lesions.lesions,
            key=lambda each: (round(each.truth_ml, 9), round(each.overlap_ml, 9), each.pred_ml),
        ),
        sorted(theirs, key=lambda each: each[1:]),
        strict=True,
    ):
        assert ours.truth_ml == pytest.approx(mm3 / 1000)
        assert ours.overlap_ml == pytest.approx(shared / px * ours.truth_ml)
        assert ours.pred_ml == pytest.approx(predicted / px * ours.truth_ml)
        assert ours.found == (shared > 0) and ours.dice == pytest.approx(2 * shared / (px + predicted))


@pytest.fixture
def plain_tensors():
    """MONAI notes each operation on each tensor, unless told not to: half of its time, for what nobody asks here."""
    from monai.data import get_track_meta, set_track_meta

    before = get_track_meta()
    set_track_meta(False)
    yield
    set_track_meta(before)


@pytest.mark.slow
@NEXT_MONAI
@pytest.mark.usefixtures("plain_tensors")
def test_surfaces_are_monai_s_but_for_the_place_of_their_elements():
    """On 1,000 pairs; where one mask is empty MONAI has infinity or NaN, and here the rule stands."""
    from monai.metrics import compute_surface_dice  # of seconds: not in every process of pytest
    from monai.metrics.utils import get_edge_surface_distance

    compared = 0
    for pred, truth, spacing in pairs(1000, seed=3):
        if not pred.any() or not truth.any():
            continue
        compared += 1
        axes = slice(len(truth) == 1, 3)
        tensors = [torch.from_numpy(each.reshape(each.shape[axes])) for each in (pred, truth)]
        edges, theirs, areas = get_edge_surface_distance(
            *tensors, spacing=spacing[axes], use_subvoxels=True, symmetric=True
        )
        sizes = [each[edge].numpy() for each, edge in zip(areas, edges, strict=True)]
        found = surface_distances(pred, truth, spacing)
        ours = ((found.pred_mm, found.pred_size), (found.truth_mm, found.truth_size))
        centroids = (cell_surfaces if len(truth) > 1 else cell_contours)(spacing[axes])[1]
        apart = 2 * np.linalg.norm(centroids * spacing[axes], axis=1).max() + 1e-5
        for (_, our_sizes), their_sizes in zip(ours, sizes, strict=True):
            np.testing.assert_allclose(our_sizes, their_sizes, rtol=1e-5)
        for (distances, _), other in zip(ours, theirs, strict=True):
            assert np.abs(distances - other.numpy()).max() <= apart
        weighed = [(other.numpy(), size) for other, size in zip(theirs, sizes, strict=True)]
        assert abs(hd95(found) - max(percentile(*each) for each in weighed)) <= apart
        distances, weights = (np.concatenate(each) for each in zip(*weighed, strict=True))
        assert abs(average_distance(found) - np.average(distances, weights=weights)) <= apart
        both = [torch.stack([~each, each])[None] for each in tensors]
        low, high = (
            compute_surface_dice(
                *both, [max(2.5 + each, 0)], spacing=spacing[axes], use_subvoxels=True
            ).item()
            for each in (-apart, apart)
        )
        assert low - 1e-5 <= surface_dice(found, 2.5) <= high + 1e-5
    assert compared >= 500


def percentile(distances, sizes):
    """The least distance within which 95 % of the size lie."""
    order = np.argsort(distances)
    upto = np.cumsum(sizes[order])
    return distances[order][np.argmax(upto >= 0.95 * upto[-1] * (1 - 1e-6))]


@NEXT_MONAI
@pytest.mark.parametrize("shift", [1, 3, 5])
def test_monai_s_unweighted_distances_agree_on_whole_voxels(shift):
    """A slab moved along an axis: its faces outweigh its rim, by size and by number."""
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

    truth, pred = np.zeros((2, 6, 30, 40), bool)
    truth[:, 4:26, 5:25], pred[:, 4:26, 5 + shift : 25 + shift] = True, True
    spacing = (4.0, 1.0, 1.5)
    tensors = [torch.from_numpy(np.stack([~each, each])[None].astype(np.float32)) for each in (pred, truth)]
    found = surface_distances(pred, truth, spacing)
    theirs = compute_hausdorff_distance(*tensors, percentile=95, spacing=spacing).item()
    assert hd95(found) == pytest.approx(theirs)
    mean = compute_average_surface_distance(*tensors, symmetric=True, spacing=spacing).item()
    assert average_distance(found) == pytest.approx(mean, abs=0.5 * shift)


@NEXT_MONAI
@pytest.mark.filterwarnings("ignore:the prediction of class:UserWarning")
def test_monai_s_values_of_an_empty_mask_are_not_the_rule_s():
    """MONAI gives infinity or NaN, by which a mean over scans is lost or leaves the scan out."""
    from monai.metrics import compute_hausdorff_distance

    some = torch.zeros(1, 1, 4, 4)
    some[..., 1, 1] = 1
    nothing = torch.zeros_like(some)
    theirs = compute_hausdorff_distance(nothing, some, include_background=True, percentile=95)
    assert not torch.isfinite(theirs).all()
    mask = some[0].numpy().astype(bool)
    assert hd95(surface_distances(np.zeros_like(mask), mask, (1, 3, 3))) == pytest.approx(np.hypot(12, 12))
