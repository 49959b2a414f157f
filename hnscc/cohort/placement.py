"""What a store keeps of its scans beside their pixels: how they were placed, and what preparing found in them.

All of it is JSON: numbers, words, lists, and mappings from names. Lengths are in mm and shares 0 to 1, unless said
otherwise. A store of an earlier version lacks what was not kept yet; hence no key is sure to be there (total=False).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

# Why a modality does not show a slice, which is then unseen (`Placement.outside`), in the words of all messages on it.
WHY_UNSEEN = "its volume ends there or holds one value, padding, copies or cuts"


class WayBack(TypedDict, total=False):
    """Where the stored slices lie on the grid of a file: what brings a mask of them back (data_prep.placing.way_back).

    reference: the modality whose file that is. input_shape: its voxels along x, y and z, in the order of the file.
    input_affine: 4 x 4, from an index of these to mm (x to right, y to anterior, z to superior). input_axes: where its
    axes run to, such as LPS. size: side of the stored slices, in pixels. scale: how many voxels of the grid, turned to
    LPS, a stored pixel spans along y, then x. offset: of the first stored pixel's border from that of the first voxel.
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
    """How one file lies and is written (data_prep.placing.found.input_of).

    shape, spacing: its voxels and their distance along x, y and z, its axes turned to LPS. axes: where its own axes run
    to. tilt: by how many degrees the worst of them is off an axis of the body; skew: by how many degrees two of them
    are off a right angle. lowest: the share of its voxels that hold its lowest value. written: kind of file, number
    type, scaling, codes, unit of lengths (data_prep.files.stated).
    """

    shape: list[int]
    spacing: list[float]
    axes: str
    tilt: float
    skew: float
    lowest: float
    written: dict[str, str]


class SignalFacts(TypedDict, total=False):
    """How the values of one modality's file were processed, by the brighter half of them (data_prep.placing.numbers).

    step: the median difference between voxels side by side in a plane, beside that of voxels 3 apart: 0 to 1 and a
    little more, 1 for noise, less the smoother; None where there is none. values: how many different ones there are
    among 20,000 voxels of the darker half of these, spread evenly. cut: the share of all voxels that hold the highest
    value, the first of them not counted.
    """

    step: float | None
    values: int
    cut: float


class BodyFacts(TypedDict, total=False):
    """Where one modality shows the body in the stored slices, and how wide (data_prep.placing.bodies).

    back, left: how far its centre lies from the middle of the slices, in mm. radii: how far the skin is from the
    centre, in mm, in 90 directions from left by back, the mean of the slices. lean_back, lean_left, shear: how far the
    centre moves along the slices, and rows along themselves, in mm per mm, where no field of view cuts the body off.
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
    next lower one, 0 where no slice holds the highest twice. wrapped: how many voxels of the upper end of the range lie
    beside one of the lower end, where neither end is air. slices_alike: the share of slices (from foot to head) whose
    highest value is that of most slices, of those that show something. lowest: the share of voxels that hold exactly
    the lowest value. gap: how far above it the others begin, as a share of the way to the 99th percentile, 0 where
    there is no way. peaks: how many voxels stand far above all others, where they are few, else 0. peak_times: how many
    times as far above the lowest value the highest stands as the next one below these, 1 where there are none.
    highest_at: a voxel of the highest value, along the axes of the file, from 0 on.
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
    """What the planes of one modality's volume hold that no scanner gives (data_prep.placing.planes).

    copied: the share of lines that another line of their plane repeats, not one beside them. streaks: the share of
    voxels of one value from a border on, beside others of another value. mirrored: the share of lines that go back as
    they came. dead: how many voxels without a signal lie amid tissue; dead_share: how many these are beside the voxels
    of tissue. noise: the share of tissue whose voxels have nothing to do with those beside them. flat: the share of all
    voxels that hold the commonest value of tissue, where it is far commoner than the values next to it. cut: how long
    the line is, in voxels, along which the lowest value borders on tissue, beside the square root of the tissue's area,
    in the median slice, where most slices are looked at. hot: how many voxels are far brighter than all around them.
    folded: whether a border goes on on the opposite one. burnt: at how many places most slices hold one bright value.
    step: how much brighter or darker a slice is than the one before (a logarithm), beyond 1.5 times what the slices
    around it change. comb: of lines along y, and of those along x, how much more they differ where they lie apart than
    side by side, 2 where nothing does. The others are 0 where the volume shows nothing, or noise alone; what is said of
    lines and values, where its tissue has too few of these.
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
    where the volume ends sideways, or None. nan: voxels without a number; within: those of them that lie between some
    with one. padding: the value that stands for nothing, in how many voxels, and whether it was filled
    (data_prep.volumes.padding), or None. orientation: what states how the file lies, or as what it is taken to lie.
    unit: of values, as DICOM states it. signal: see SignalFacts. tissue: the body's values outside of the lesion, or
    None; elsewhere: those where the others show the body, or None. body: see BodyFacts; None where no slice shows the
    body in all modalities.
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

    ml: its size on the grid of the slices, to four decimals; drawn_ml, stored_ml: as its file and as the stored mask
    hold it. share_of_grid, share_of_body: of the grid, and of the body in the stored slices; share_of_whole: of the
    body in the whole field of view, where that is another. share_in_air: the share of it that lies outside of the body.
    spanned: slices in which it reaches from border to border; left_out: slices between others that hold none of it;
    box: whether it is a box; hollow: the share of what it encloses that is no lesion; pieces: data_prep.masks.pieces.
    drawn_on: the modality on whose grid the mask was drawn, None without a mask; fits: modalities whose grids a mask
    without orientation fits, where they lie apart. orientation: of the mask, as of a modality. nan: voxels of the mask
    without a number. medians: each modality's median value in it, or None. edges: how far the values fall across its
    border (data_prep.placing.edges), or None.
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
    """Where the mask lies as it was drawn (`store_format.DrawnMask`): on which modality's grid, its voxels z, y and x,
    its affine, and the digest of its voxels (`store_format.drawn_digest`)."""

    on: str | None
    shape: list[int]
    affine: list[list[float]]
    digest: str


class Placement(WayBack, total=False):
    """The facts of one scan; those of several files stand by the names of its modalities, and of its mask as `mask`.

    coverage: the share of the grid that each modality covers. fill: the value that stands outside of its volume.
    outside: the slices (z) that it does not show, called unseen wherever they are spoken of: little of it lies there,
    it is of one value there, or more is cut out than in others. absent: the share of most slices where its file holds
    what is no image (data_prep.placing.absent). assumed: the files that state no orientation. lesion_px_cropped: lesion
    pixels that lie outside of the stored slices. planes, numbers, inputs, values, lesion: see PlaneFacts, NumberFacts,
    FileFacts, ValueFacts, LesionFacts. registered: how modalities were laid on the reference, where they were
    (data_prep.registering.registered). drawn: the mask as it was drawn, where the store keeps it. has_mask: whether the
    manifest names one; mask_told: what was assumed or left out as it was read, in sentences; lesion_free: by what the
    scan is taken as free of lesion, None where it has one.
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
    """A sentence on what is odd about a scan, or about the cohort where scan_id is None. files: those of the scan, by
    the names of `Placement.inputs`. among: the scans that one on the cohort is on. Older stores lack both."""

    scan_id: str | None
    text: str
    files: NotRequired[list[str]]
    among: NotRequired[list[str]]


class LyingFacts(TypedDict):
    """How most scans of a cohort lie in one modality (data_prep.oddities.orientation): their mean image, 16 x 16 x 16
    float16 in base64, and by which turns of it, numbered, they can be told from it."""

    mean: str
    turns: list[int]


class CohortPlacement(TypedDict, total=False):
    """How all scans of a store were placed, and what is odd about them (data_prep.build, data_prep.oddities.judged).

    reference: the modality whose grid is used. pixel_mm: the stored pixels' size, None for the whole field of view.
    suv: how PET of DICOM became SUV, bw or lbm. register: how modalities were registered, where that was asked for.
    units: the unit of values of each modality whose files all state the same. min_coverage: the least share of the
    grid that a modality must cover. field_of_view, orientation, resampling, images, mask: the rules, in words. outside:
    what is filled in beyond a volume (of one scan, another fact bears that name: `unseen_by_modality`). lying: by
    modality, where its scans look alike. odd: what preparing found odd. accepted: the reason for which that was taken
    as it is, where one was needed.
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
    """Return the slices (z) that each modality does not show: all code but this calls them unseen, not `outside`.
    Stores that were made before preparing looked for them tell of none."""
    return placement.get("outside", {})


def unseen_slices(placement: Placement, modalities: Iterable[str]) -> frozenset[int]:
    """Return the stored slices (z) that some of these modalities do not show."""
    unseen = unseen_by_modality(placement)
    return frozenset(z for name in modalities for z in unseen.get(name, ()))
