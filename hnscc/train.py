"""The door to `hnscc.commands.train`: `python -m hnscc.train STUDY TRIAL [TRIAL ...]`."""

import sys

from hnscc.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
