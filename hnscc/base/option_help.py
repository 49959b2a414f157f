"""What the help says of options that several commands have."""

STUDY = "Study file (YAML)."
RUN = "Run folder, for example runs/demo or s3://bucket/runs/demo."
OUT = "Run folder or s3:// URL; runs/<name of the study> unless given."
ADDRESS = "A running Ray cluster; RAY_ADDRESS, else a local one, unless given."
LIMIT = "Train at most so many of the missing trials."
THEN_RUN = "Then run the winners' study too, in RUN/winners."
ACCEPT_VERSIONS = (
    "Go on beside trained trials of other versions; `check`, the table `trials` and the report tell them "
    "apart."
)
