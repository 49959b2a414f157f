"""run folder -> tables -> report.    python -m rayjobs.aggregate RUN"""

import argparse
import sys

from hnscc.errors import InputError
from hnscc.plan import RunFolder, open_run
from hnscc.report import write_report
from hnscc.tables import write_tables


def aggregate(folder: RunFolder) -> list[str]:
    """Write every table, figure and the report from the finished trials. Returns what was found wrong with trials."""
    problems = write_tables(folder)
    write_report(folder)
    return problems


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m rayjobs.aggregate", description="Tables and report again."
    )
    parser.add_argument("run", help="run folder, e.g. runs/demo")
    options = parser.parse_args(arguments)
    try:
        problems = aggregate(open_run(options.run))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"wrote {options.run}/tables and {options.run}/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
