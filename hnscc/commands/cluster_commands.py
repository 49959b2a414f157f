"""The command for whoever keeps the cluster: doctor."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hnscc.base.errors import InputError
from hnscc.commands.options import AsJson


def doctor(
    cluster: Annotated[Path | None, typer.Option(help="A `ray up` file, for example cluster.yaml.")] = None,
    working_dir: Annotated[
        Path | None, typer.Option(help="The folder that `ray job submit --working-dir` is to upload.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a cluster file, or a folder to be submitted, offline. Nothing is started.

    Every missing safeguard, every invalid field and every FILL-IN of a `ray up` file is named with its line. Of a
    folder: how much Ray would upload, and whether patient files are among it. Exit code 2 if something is wrong, or
    still to be filled in.

    Example: hnscc doctor --cluster cluster.yaml --working-dir .
    """
    if cluster is None and working_dir is None:
        raise InputError(
            "There is nothing to check.",
            where="hnscc doctor",
            expected="--cluster FILE, --working-dir DIR, or both",
            found="neither",
            do="hnscc doctor --cluster cluster.yaml --working-dir .",
        )
    from rayjobs.doctor import examine

    found = examine(cluster, working_dir)
    print(json.dumps(found.as_json(), indent=1) if as_json else "\n".join(found.lines()))
    raise typer.Exit(0 if found.fine else 2)
