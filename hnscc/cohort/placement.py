"""What a store keeps of its scans beside their pixels: how they were placed, and what preparing found in them.

All of it is JSON: numbers, words, lists, and mappings from names. Lengths are in mm and shares 0 to 1, unless said
otherwise. A store of an earlier version lacks what was not kept then, so any key may be absent (total=False).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

# Why a modality does not show a slice, which is then called unseen (`Placement.outside`): the words of all messages.
WHY_UNSEEN = "its volume ends there or holds one value, padding, copies or cuts"


class WayBack(TypedDict, total=False):
    """Where the stored slices lie on the grid of a file, to map a mask of them back to it (data_prep.placing.way_back).

    reference: the modality whose file that is. input_shape: its voxels along x, y and z, in the order of the file.
    input_affine: 4 x 4, maps an index (x, y, z) to mm (x to right, y to anterior, z to superior). input_axes: their
    directions, such as LPS. size: side of the stored slices, in pixels. scale: how many voxels of the grid, turned to
    LPS, a stored pixel spans along y, then x. offset: from the first voxel's border to that of the first stored pixel.
    """

    reference: str
    input_shape: list[int]
    input_affine: list[list[float]]
    input_axes: str
    size: int
    scale: list[float]
    offset: list[float]


WAY_BACK = tuple(WayBack.__annotations__)


class FileFacts(TypedDict, total=False):
    """How one file lies in space and how it is written (data_prep.placing.found.input_of).

    shape, spacing: its voxels and their distance along x, y and z, with its axes turned to LPS. axes: the directions of
    its own axes. tilt: the largest angle in degrees between an axis of the file and the body's. skew: by how many
    degrees two of its axes are off a right angle. lowest: the share of its voxels that hold its lowest value. written:
    kind of file, number type, scaling, codes, unit of lengths (data_prep.files.stated).
    """

    shape: list[int]
    spacing: list[float]
    axes: str
    tilt: float
    skew: float
    lowest: float
    written: dict[str, str]


class SignalFacts(TypedDict, total=False):
    """How the values of one modality's file were processed, seen in the brighter half of
    them (data_prep.placing.numbers).

    step: the median difference between neighbouring voxels in a plane, divided by that of voxels 3 apart: 1 for noise,
    less the smoother the image is, at times a little more than 1; None where there is no difference. values: how many
    different values 20,000 evenly spread voxels of the darker half of these have. cut: the share of all voxels that
    hold the highest value, without the first of them.
    """

    step: float | None
    values: int
    cut: float


class BodyFacts(TypedDict, total=False):
    """Where one modality shows the body in the stored slices, and how wide (data_prep.placing.bodies).

    back, left: how far its centre lies from the middle of the slices, in mm. radii: the distance of the skin from the
    centre, in mm, in 90 directions from left by back, averaged over slices. lean_back, lean_left: how far the centre
    moves along the slices; shear: how far rows move along themselves; in mm per mm, in slices that show the body whole.
    """

    back: float
    left: float
    radii: list[float]
    lean_back: float
    lean_left: float
    shear: float


class NumberFacts(TypedDict, total=False):
    """What the values of one modality's file tell of how they were written (data_prep.placing.numbers).

    highest: the share of voxels that hold exactly the highest value, beyond one in each slice. below: the share at the
    next lower value, 0 where no slice holds the highest twice. wrapped: how many voxels of the upper end of the range
    lie beside one of the lower end, where neither end is air. slices_alike: of the slices (from foot to head) that show
    something, the share with the commonest highest value. lowest: the share of voxels that hold exactly the lowest
    value. gap: how far above it the next values begin, as a share of its distance to the 99th percentile, 0 where that
    is 0. peaks: the number of voxels far above all others, if they are few, else 0. peak_times: how many times as far
    above the lowest value the highest is as the next one below the peaks, 1 without peaks. highest_at: a voxel with the
    highest value, counted from 0 along the axes of the file.
    """

    highest: float
    below: float
    wrapped: int
    slices_alike: float
    lowest: float
    gap: float
    peaks: int
    peak_times: float
    highest_at: list[int]


class PlaneFacts(TypedDict, total=False):
    """What the planes of one modality's volume hold that no scanner produces (data_prep.placing.planes).

    copied: the share of lines that another line of their plane, not a neighbour, repeats. streaks: the share of voxels
    in runs of one value from a border on, beside others of another value. mirrored: the share of lines whose values
    come back in reverse order. dead: the number of voxels without a signal amid tissue; dead_share: this number
    relative to the voxels of tissue. noise: the share of tissue whose voxels are unrelated to their neighbours. flat:
    the share of all voxels that hold the commonest value of tissue, if it is far commoner than the values next to it.
    cut: the length in voxels of the line along which the lowest value borders on tissue, relative to the square root of
    the tissue's area, in the median slice, where most slices are looked at. hot: the number of voxels far brighter than
    all around them. folded: whether a border continues at the opposite one. burnt: at how many places most slices hold
    one bright value. step: how much brighter or darker a slice is than the one before (a logarithm), beyond 1.5 times
    the change in the slices around it. comb: for lines along y, and for those along x, how much more they differ if
    they are apart than if side by side, 2 where nothing differs. The others are 0 where the volume shows nothing or
    only noise; those on lines and values also where tissue has too few of these.
    """

    copied: float
    streaks: float
    mirrored: float
    dead_share: float
    noise: float
    flat: float
    cut: float
    dead: int
    hot: int
    folded: bool
    burnt: int
    step: float
    comb: list[float]


class ValueFacts(TypedDict, total=False):
    """The values of one modality's file, raw (data_prep.placing.found.describe_values).

    low, median, high: of the voxels that hold a value; first, last: their 1st and 99th percentile. rim: the median
    where the volume ends sideways, or None. nan: the number of voxels without a number; within: how many of these lie
    between voxels with a number. padding: the value that stands for nothing, in how many voxels, and whether it was
    filled (data_prep.volumes.padding), or None. orientation: where the file's orientation is stated, or which one is
    assumed. unit: of values, as DICOM states it. signal: see SignalFacts. tissue: the body's values outside of the
    lesion, or None; elsewhere: those where the other modalities show the body, or None. body: see BodyFacts; None where
    no slice shows the body in all modalities.
    """

    low: float
    first: float
    median: float
    last: float
    high: float
    rim: float | None
    nan: int
    within: int
    padding: dict[str, Any] | None
    orientation: str
    unit: str
    signal: SignalFacts
    tissue: dict[str, float] | None
    elsewhere: dict[str, float] | None
    body: BodyFacts | None


class LesionFacts(TypedDict, total=False):
    """The lesion of a scan (data_prep.placing.found.lesion_of, data_prep.placing.drawn_shape).

    ml: its size on the grid of the slices, to four decimals; drawn_ml, stored_ml: its size in its file and in the
    stored mask. share_of_grid, share_of_body: its share of the grid, and of the body in the stored slices;
    share_of_whole: of the body in the whole field of view, if that is another. share_in_air: the share of it that lies
    outside of the body. spanned: the number of slices in which it reaches from border to border; left_out: that of
    slices without lesion between others with some; box: whether it is a box; hollow: the share of what it encloses that
    is no lesion; pieces: see data_prep.masks.pieces. drawn_on: the modality on whose grid the mask was drawn, None
    without a mask; fits: modalities whose grids a mask without orientation fits, if these lie apart. orientation: of
    the mask, as of a modality. nan: voxels of the mask without a number. medians: each modality's median value in it,
    or None. edges: how far the values fall across its border (data_prep.placing.edges), or None.
    """

    ml: float
    drawn_ml: float
    stored_ml: float
    share_of_grid: float
    share_of_body: float
    share_of_whole: float
    share_in_air: float
    spanned: int
    left_out: int
    box: bool
    hollow: float
    pieces: dict[str, Any]
    drawn_on: str | None
    fits: list[str]
    orientation: str | None
    nan: int
    medians: dict[str, float | None]
    edges: dict[str, dict[str, Any] | None]


class DrawnFacts(TypedDict):
    """How the mask lies as it was drawn (`store_format.DrawnMask`): the modality on whose grid it was drawn, its voxels
    along z, y and x, its affine, and the digest of its voxels (`store_format.drawn_digest`)."""

    on: str | None
    shape: list[int]
    affine: list[list[float]]
    digest: str


class Placement(WayBack, total=False):
    """The facts of one scan. Facts of its files are keyed by the names of its modalities, those of its mask by `mask`.

    coverage: the share of the grid that each modality covers. fill: the value that is filled in outside of its volume.
    outside: the slices (z) that it does not show, elsewhere called unseen: little of its volume lies there, it has one
    value there, or more is cut out than in others. absent: the share of most slices where its file holds what is no
    image (data_prep.placing.absent). assumed: the files that state no orientation. lesion_px_cropped: lesion pixels
    outside of the stored slices. planes, numbers, inputs, values, lesion: see PlaneFacts, NumberFacts, FileFacts,
    ValueFacts, LesionFacts. registered: how modalities were registered to the reference, if they were
    (data_prep.registering.registered). drawn: the mask as it was drawn, if the store keeps it. has_mask: whether the
    manifest names one; mask_told: what was assumed or left out when it was read, in sentences; lesion_free: why the
    scan counts as free of lesion, None if it has one.
    """

    coverage: dict[str, float]
    fill: dict[str, float]
    outside: dict[str, list[int]]
    absent: dict[str, float]
    planes: dict[str, PlaneFacts]
    numbers: dict[str, NumberFacts]
    assumed: list[str]
    lesion_px_cropped: int
    inputs: dict[str, FileFacts]
    values: dict[str, ValueFacts]
    lesion: LesionFacts
    registered: dict[str, dict[str, Any]]
    drawn: DrawnFacts
    has_mask: bool
    mask_told: list[str]
    lesion_free: str | None


class OddFact(TypedDict):
    """A sentence on what is odd about a scan, or about the cohort where scan_id is None. files: those of the scan that
    it is about, as in `Placement.inputs`. among: the scans that one on the cohort is about. Older stores lack both."""

    scan_id: str | None
    text: str
    files: NotRequired[list[str]]
    among: NotRequired[list[str]]


class LyingFacts(TypedDict):
    """How most scans of a cohort lie in one modality (data_prep.oddities.orientation): their mean image, 16 x 16 x 16
    float16 in base64, and the numbers of those turns of it that can be told from it."""

    mean: str
    turns: list[int]


class CohortPlacement(TypedDict, total=False):
    """How all scans of a store were placed, and what is odd about them (data_prep.build, data_prep.oddities.judged).

    reference: the modality whose grid is used. pixel_mm: the size of stored pixels, None for the whole field of view.
    suv: how PET of DICOM became SUV, bw or lbm. register: how modalities were registered, if that was asked for. units:
    the unit of values of each modality whose files all state the same. min_coverage: the least share of the grid that a
    modality must cover. field_of_view, orientation, resampling, images, mask: the rules, in words. outside: what is
    filled in beyond a volume (not what `Placement.outside` is). lying: by modality, if its scans look alike. odd: what
    preparing found odd. accepted: the reason for accepting it, if one was needed.
    """

    reference: str
    pixel_mm: float | None
    suv: str
    register: str
    units: dict[str, str]
    min_coverage: float
    field_of_view: str
    orientation: str
    resampling: str
    images: str
    mask: str
    outside: str
    lying: dict[str, LyingFacts]
    odd: list[OddFact]
    accepted: str | None


def unseen_by_modality(placement: Placement) -> Mapping[str, Sequence[int]]:
    """Return the slices (z) that each modality does not show. All other code calls them unseen, not `outside`. Stores
    that were made before preparing looked for them have none."""
    return placement.get("outside", {})


def unseen_slices(placement: Placement, modalities: Iterable[str]) -> frozenset[int]:
    """Return the stored slices (z) that at least one of these modalities does not show."""
    unseen = unseen_by_modality(placement)
    return frozenset(z for name in modalities for z in unseen.get(name, ()))
