"""Arguments and options that several commands share, each with one name and one help text."""

from pathlib import Path
from typing import Annotated

import typer

from hnscc.base import option_help
from hnscc.base.argument_checks import HALF_WIDTH

StudyFile = Annotated[Path, typer.Argument(help=option_help.STUDY)]
# A str, since Path would turn s3:// into s3:/.
Run = Annotated[str, typer.Argument(help=option_help.RUN)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Out = Annotated[str | None, typer.Option(help=option_help.OUT)]
AcceptVersions = Annotated[bool, typer.Option("--accept-versions", help=option_help.ACCEPT_VERSIONS)]
Address = Annotated[str | None, typer.Option(help=option_help.ADDRESS)]
HalfWidth = Annotated[
    float | None,
    typer.Option(
        "--half-width",
        help="Tell how many repeats give the median test Dice within this to either side (95 %), "
        "{:g} to {:g}.".format(*HALF_WIDTH),
    ),
]
Prefer = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Of several files for one cell of the manifest, take that of this name, such as '*T1_mask*'; of several "
        "masks of DICOM, that with a region of this name.",
    ),
]
# For commands with HalfWidth: the former name of that option still works, but no help mentions it.
FORMER_OPTIONS = {"token_normalize_func": lambda given: "half-width" if given == "precision" else given}
