"""Train one trial, without Ray: python -m hnscc.train STUDY TRIAL [--out RUN]"""

import sys

from hnscc.training.process import main

if __name__ == "__main__":
    sys.exit(main())
