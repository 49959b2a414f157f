"""A fold's split.json in typed form. It is read and written only here."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field, ValidationError

from hnscc.base.errors import InputError
from hnscc.base.facts import Facts, unlike
from hnscc.base.files import read_sealed, write_sealed
from hnscc.base.in_words import CountedNoun, Sentence
from hnscc.base.split_names import SPLITS
from hnscc.study.run_folder import FoldFolder, inside


def _of_every_split(patients: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    if set(patients) != set(SPLITS):
        found = ", ".join(sorted(patients)) or "none"
        raise ValueError(f"patients are those of {', '.join(SPLITS)}, not of {found}; write the fold again")
    return patients


# JSON has lists where these types have tuples.
Names = Annotated[tuple[str, ...], Field(strict=False)]
Pair = Annotated[tuple[float, float], Field(strict=False)]
SentenceParts = Annotated[tuple[str | Annotated[CountedNoun, Field(strict=False)], ...], Field(strict=False)]
Triple = Annotated[tuple[float, float, float], Field(strict=False)]


class SplitFile(Facts):
    """What a fold was made of. The file is written last and vouches for the others.

    digest, others_digest (once named `scored`), spacing_mm and bounds: as in `fold.FoldData`. slices: whether every
    slice of whole scans is scored, or only the sampled ones. store_digest, placing, odd: of the store that it was made
    from; usual: what that store's scans are like (hnscc.cohort.kept_of_store). patients: by split. warnings: those of
    `splits.Division`; warning_parts: the parts of these sentences. files: name -> SHA-256 of each other file. drawn:
    scan -> how its mask as drawn lies (`kept_of_store.PackedMask.lies`), empty where the store kept none. Fields with a
    default are absent from the files of earlier versions, which scored only sampled slices; `unsaid` names those that
    scores depend on.
    """

    fold: int
    digest: str
    others_digest: str = Field(default="", validation_alias=AliasChoices("others_digest", "scored"))
    slices: Literal["all", "sampled"] = "sampled"
    spacing_mm: dict[str, Triple] = Field(default_factory=dict)
    store_digest: str
    bounds: dict[str, Pair]
    placing: dict[str, Any] = Field(default_factory=dict)
    usual: dict[str, Any] | None = None
    patients: Annotated[dict[str, Names], AfterValidator(_of_every_split)]
    warnings: Names
    warning_parts: Annotated[tuple[SentenceParts, ...], Field(strict=False)] = ()
    odd: Names = ()
    files: dict[str, str]
    drawn: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @property
    def told(self) -> tuple[Sentence, ...]:
        """The warnings, as sentences in parts; those of earlier versions, which kept no parts, as plain text."""
        return tuple(map(Sentence, self.warning_parts or ((each,) for each in self.warnings)))

    @property
    def unsaid(self) -> str:
        """The names of the fields on scored slices that the file of an earlier version lacks."""
        asked = ("others_digest", "slices", "spacing_mm")
        return ", ".join(f"`{name}`" for name in asked if name not in self.model_fields_set)


def read_split(folder: FoldFolder) -> SplitFile:
    """Return the content of the fold's split.json. InputError where it is absent, damaged or of another form."""
    found = _found(folder)
    if isinstance(found, str):
        raise damaged_fold(folder, found)
    return found


def intact_split(folder: FoldFolder) -> SplitFile | None:
    """Return the content of the fold's split.json, or None where it is absent or damaged, for callers that may write
    it again.

    InputError where it is whole but of another form, which a later version may have written.
    """
    found = _found(folder)
    return None if isinstance(found, str) else found


def write_split(folder: FoldFolder, split: SplitFile) -> None:
    """Write split.json under a seal, by which readers can tell whether it is whole."""
    write_sealed(folder.split, split.model_dump(exclude=None if split.drawn else {"drawn"}))


def damaged_fold(folder: FoldFolder, found: str) -> InputError:
    """Return the error of a fold whose files are absent or damaged."""
    return InputError(
        "A fold of the run folder is missing or damaged.",
        where=inside(folder.root),
        expected="split.json and the files that it names, unchanged",
        found=found,
        do="`hnscc run STUDY` writes what is missing; restore what was changed",
    )


def _found(folder: FoldFolder) -> SplitFile | str:
    """Return the content of split.json, or how it is damaged. InputError where it may not be read, or is of
    another form."""
    try:
        return SplitFile.model_validate(read_sealed(folder.split))
    except FileNotFoundError:
        return f"no {folder.split.name}"
    except OSError as error:
        raise damaged_fold(folder, f"{folder.split.name} cannot be read ({type(error).__name__})") from None
    except ValidationError as error:
        raise InputError(
            "A fold of the run folder is not of the form that this version writes.",
            where=inside(folder.root),
            expected=f"a {folder.split.name} of the parts that this version knows",
            found=f"one that {unlike(error)}",
            do="use the version that wrote it, or another run folder (--out, or another name)",
        ) from None
    except ValueError:
        return f"a {folder.split.name} whose content is not what was written"
