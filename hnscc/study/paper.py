"""The results that Liedes et al. 2023 published, as data, and when they may be shown beside a study's own values.

Source: J Med Biol Eng 2023, doi 10.1007/s40846-023-00818-8 (CC BY 4.0), Tables 1 to 4 and section 3.1.
"""

from dataclasses import dataclass

from hnscc.study.identity import changed_values
from hnscc.study.presets import merge, preset_of
from hnscc.study.schema import Study
from hnscc.study.variant_schema import Variant

CITATION = (
    "Liedes J, Hellström H, Rainio O, et al. Automatic segmentation of head and neck cancer from PET-MRI "
    "data using deep learning. J Med Biol Eng 2023, doi:10.1007/s40846-023-00818-8 (CC BY 4.0)."
)


@dataclass(frozen=True)
class Published:
    """One variant's row in the paper's tables; None where the paper gives no value.

    slice_dice, slice_jaccard: mean and sample SD over true positive slices (Table 2).
    """

    pooled_dice: float
    pooled_jaccard: float
    slice_dice: tuple[float, float]
    slice_jaccard: tuple[float, float]
    tp: int
    tn: int
    fp: int
    fn: int
    sensitivity: float
    specificity: float
    accuracy: float
    r2: float | None


VARIANTS = {"pet": "PET", "mri": "MRI", "pet_mri": "PET-MRI", "pet_mri_augmented": "Augmented PET-MRI"}
MODALITIES = {
    "pet": {"pet"},
    "mri": {"mri"},
    "pet_mri": {"pet", "mri"},
    "pet_mri_augmented": {"pet", "mri"},
}
# The one variant that the paper augments, and how many copies it makes of each slice (section 2.2).
COPIES = {"pet_mri_augmented": 5}
# The MRI variant "did not yield segmentation results", so it has no row.
PUBLISHED = {
    "pet": Published(
        pooled_dice=0.68,
        pooled_jaccard=0.52,
        slice_dice=(0.79, 0.16),
        slice_jaccard=(0.68, 0.20),
        tp=18,
        tn=23,
        fp=19,
        fn=6,
        sensitivity=0.75,
        specificity=0.55,
        accuracy=0.62,
        r2=None,
    ),
    "pet_mri": Published(
        pooled_dice=0.81,
        pooled_jaccard=0.68,
        slice_dice=(0.84, 0.14),
        slice_jaccard=(0.75, 0.18),
        tp=20,
        tn=27,
        fp=13,
        fn=6,
        sensitivity=0.77,
        specificity=0.68,
        accuracy=0.71,
        r2=0.90,
    ),
    "pet_mri_augmented": Published(
        pooled_dice=0.71,
        pooled_jaccard=0.56,
        slice_dice=(0.87, 0.09),
        slice_jaccard=(0.78, 0.13),
        tp=17,
        tn=26,
        fp=8,
        fn=15,
        sensitivity=0.53,
        specificity=0.77,
        accuracy=0.65,
        r2=None,
    ),
}
# Wilcoxon tests over true positive slices (Table 2): p of Dice, p of Jaccard.
PUBLISHED_P = {
    frozenset({"pet", "pet_mri"}): (0.008, 0.008),
    frozenset({"pet_mri", "pet_mri_augmented"}): (0.247, 0.273),
    frozenset({"pet", "pet_mri_augmented"}): (0.156, 0.145),
}


@dataclass(frozen=True)
class Elsewhere:
    """A row of Table 4: the numbers of patients trained on, validated on and tested on, and the Dice score."""

    study: str
    modality: str
    train: int
    validation: int
    test: int
    dice: float


LITERATURE = (
    Elsewhere(study="Ren et al. 2021", modality="PET-MRI", train=92, validation=31, test=30, dice=0.72),
    Elsewhere(study="Huang et al. 2018", modality="PET-CT", train=21, validation=1, test=0, dice=0.74),
    Elsewhere(study="Guo et al. 2019", modality="PET-CT", train=140, validation=35, test=75, dice=0.73),
    Elsewhere(study="Moe et al. 2021", modality="PET-CT", train=142, validation=15, test=40, dice=0.71),
)
# The paper's own row counts its 62 scans.
THE_PAPER = Elsewhere(
    study="Liedes et al. 2023", modality="PET-MRI", train=42, validation=7, test=13, dice=0.84
)

# What the authors' code does before or during training, and this project does not, or not with every preset. The
# reading as_coded does not reproduce these: it is computed from trainings with the study's own preset.
NOT_REPRODUCED_IN_TRAINING = (
    "the test split by scan (20 % of the 62 scans), by which follow-ups of one patient could stand on "
    "both sides",
    "the last 15 % of the shuffled training slices as validation set",
    "MRI normalised by bounds taken over both channels together",
    "where the preset is corrected, what as_written has of the code: its network, batches of 32, bounds of validation "
    "slices too, copies in place of their originals, and the best epoch by soft Jaccard averaged over batches",
    "augmentation before the validation set was split off, so that altered copies of training images "
    "stood in validation, without the up-down flip in the last version of the code",
    "one set of augmented copies for all repeats of the augmented variant (the preset as_written has it), which once "
    "ran with patience 30",
    "numbers of 32 bits throughout; here trainings are in bf16 where the study asks for it, or leaves it open and the "
    "hardware has it",
    "Adam as Keras has it, whose epsilon weighs more in the first steps: they are smaller where gradients are tiny",
    "trainings of which only Python's own random numbers were seeded, so that none can be repeated exactly",
)
NOT_REPRODUCED_IN_PREPARATION = (
    "files that had been resliced to common dimensions before the code read them",
    "images and masks both resized by cubic interpolation, and any non-zero value of the resized mask "
    "taken as lesion, which widens every mask; here images are anti-aliased and a pixel is lesion from "
    "half its area on",
)

NOT_REPRODUCED_IN_EVALUATION = (
    "the threshold of the last version of the code, chosen on the training slices; here it is that of the versions "
    "before, chosen on the test slices",
    "the tests between variants and the line of Figure 4, for which there is no code",
)


def is_papers_variant(name: str, variant: Variant) -> bool:
    """Return whether a variant is one of the paper's four: it has the paper's name and its modalities."""
    return MODALITIES.get(name) == set(variant.modalities)


def is_papers_study(study: Study) -> bool:
    """Return whether published values may be shown beside the study's own: the one rule for the whole report.

    The study must train with the preset `as_written`, and all of its variants must be the paper's. Other differences
    from the paper (`departures`, `departures_of_variants`) are listed beside the values. Whether the patients are the
    paper's cannot be known.
    """
    return study.protocol == "as_written" and all(
        is_papers_variant(name, variant) for name, variant in study.variants.items()
    )


def departures(study: Study) -> list[str]:
    """Return the settings in which a study differs from its preset, as `path: preset -> study`."""
    preset = preset_of(study.protocol)
    own = study.model_dump(mode="json")
    compared = ("repeats", "sampling", "split", "normalisation", "augmentation", "training", "evaluation")
    return list(changed_values({key: preset[key] for key in compared}, {key: own[key] for key in compared}))


def departures_of_variants(study: Study) -> list[str]:
    """Return the settings in which a variant of the paper's study differs from the paper's, as `variant: path: paper ->
    study`. What `departures` tells of the whole study is left out."""
    preset, told, found = preset_of(study.protocol), departures(study), []
    for name, variant in study.variants.items():
        base = {key: preset[key] for key in ("augmentation", "training")}
        theirs = merge(base, {"augmentation": {"copies": COPIES.get(name, 0)}})
        own = variant.model_dump(mode="json", include=set(theirs))
        found += [
            f"{label(name, variant)}: {each}" for each in changed_values(theirs, own) if each not in told
        ]
    return found


def label(name: str, variant: Variant) -> str:
    """Return the paper's name of a variant if it is one of the paper's, else the name in the study file."""
    return VARIANTS[name] if is_papers_variant(name, variant) else name
