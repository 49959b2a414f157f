"""Arguments and options that several commands share, each with one name and one help text."""

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[Path, typer.Argument(help="Study file (YAML).")]
# Not Path, which would make s3:/ of s3://.
Run = Annotated[str, typer.Argument(help="Run folder, for example runs/demo or s3://bucket/runs/demo.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Out = Annotated[
    str | None, typer.Option(help="Run folder or s3:// URL; runs/<name of the study> unless given.")
]
AcceptVersions = Annotated[
    bool,
    typer.Option(
        "--accept-versions",
        help="Go on beside finished trials of other versions; `check`, the table `trials` and the report tell them "
        "apart.",
    ),
]
Prefer = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Of several files for one cell of the manifest, take that of this name, such as '*T1_mask*'.",
    ),
]
Address = Annotated[
    str | None, typer.Option(help="A running Ray cluster; RAY_ADDRESS, else a local one, unless given.")
]
