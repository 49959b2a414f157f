"""The door to `hnscc.commands.train`: `python -m hnscc.train STUDY TRIAL [TRIAL ...]`."""

import sys
from pathlib import Path

# `python -m` looks into the working folder first, where a file may bear a library's name. Not so in a checkout of this
# repository: its packages may stand there alone.
if __name__ == "__main__" and Path(sys.path[0]) == Path.cwd() != Path(__file__).parents[1]:
    del sys.path[0]

from hnscc.base.command import leave
from hnscc.commands.train import main

if __name__ == "__main__":
    leave(main())
