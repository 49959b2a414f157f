"""Reads many damaged masks in this process, within a limit of memory: `mask_damages.py FOLDER COUNT SEED`.

FOLDER holds undamaged masks, and mri.nii.gz, the image that they are drawn on. Prints how many were refused, how many
were read, and the most memory in MiB; any other exception ends the process with its traceback.
"""

import random
import resource
import sys
from collections import Counter
from pathlib import Path

from dicom_damages import MEMORY, damaged, most_memory

from data_prep.files.read import read_grid
from data_prep.masks.mask_of_cell import MaskCell, read_mask
from hnscc.base.errors import InputError


def main(folder: Path, count: int, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    rng, outcomes = random.Random(seed), Counter[str]()
    image = folder / "mri.nii.gz"
    grids = {"mri": read_grid(image, "scan S")}
    sound = sorted(each for each in folder.iterdir() if each != image)
    for number in range(count):
        file = rng.choice(sound)
        kind, content = damaged(file.read_bytes(), rng)
        scratch = folder.parent / f"Doe_Jane{file.suffix}"
        scratch.write_bytes(content)
        region = "1" if file.suffix == ".dcm" else None
        try:
            read_mask(MaskCell(scratch, region, ("mri",), "scan S"), grids, "mri")
            outcomes["read"] += 1
            assert kind != "cut", f"number {number}: {file.name}, cut short, was read"
        except InputError as error:
            assert "Doe" not in str(error), number
            outcomes["refused"] += 1
    print(outcomes["refused"], outcomes["read"], most_memory())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
