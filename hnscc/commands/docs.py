"""The pages of docs/reference/ that say what the program itself says: `make docs` writes all of them.

tests/test_docs.py fails where one of them is not current.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hnscc.aggregation.tables_page import tables_page
from hnscc.base.files import write_text
from hnscc.commands.commands_page import commands_page
from hnscc.commands.python_page import python_page
from hnscc.study.settings_page import to_markdown as settings_page

# Each page, from the root of the repository, and what writes its text.
PAGES: Final[dict[str, Callable[[], str]]] = {
    "docs/reference/settings.md": settings_page,
    "docs/reference/tables.md": tables_page,
    "docs/reference/commands.md": commands_page,
    "docs/reference/python.md": python_page,
}


def main() -> None:
    """Write every page, below the current folder, which is the root of the repository."""
    for page, text in PAGES.items():
        write_text(Path(page), text())
        sys.stdout.write(f"wrote {page}\n")


if __name__ == "__main__":
    main()
