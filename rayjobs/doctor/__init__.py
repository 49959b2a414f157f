"""Checks before a cluster is started or a job submitted, all of them offline: `hnscc doctor`."""

from rayjobs.doctor.checkup import Checkup, Findings, check_cluster, examine
from rayjobs.doctor.uploads import Upload, check_working_dir, uploaded

__all__ = ["Checkup", "Findings", "Upload", "check_cluster", "check_working_dir", "examine", "uploaded"]
