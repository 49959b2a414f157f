"""Arguments and options that several commands share, each with one name and one help text."""

from pathlib import Path
from typing import Annotated

import typer

from hnscc.base import given
from hnscc.base.given import HALF_WIDTH

StudyFile = Annotated[Path, typer.Argument(help=given.STUDY)]
# Not Path, which would make s3:/ of s3://.
Run = Annotated[str, typer.Argument(help=given.RUN)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Out = Annotated[str | None, typer.Option(help=given.OUT)]
AcceptVersions = Annotated[bool, typer.Option("--accept-versions", help=given.ACCEPT_VERSIONS)]
Address = Annotated[str | None, typer.Option(help=given.ADDRESS)]
HalfWidth = Annotated[
    float | None,
    typer.Option(
        "--half-width",
        min=HALF_WIDTH[0],
        max=HALF_WIDTH[1],
        help="Tell how many repeats give the median test Dice within this to either side (95 %).",
    ),
]
Prefer = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Of several files for one cell of the manifest, take that of this name, such as '*T1_mask*'.",
    ),
]
# Of the commands with HalfWidth: the name that it had before still works, and no help tells it.
FORMER_OPTIONS = {"token_normalize_func": lambda given: "half-width" if given == "precision" else given}
