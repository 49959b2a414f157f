"""Mutates sound DICOM and NIfTI files and reads them, in processes bounded in memory and time.

    python tests/data_prep/fuzz.py --count 20000 --seed 1        # --first 711 --count 1: a single one again

Each must be read or refused by one InputError that names no file and repeats nothing of it; a file that lost a part of
its values must be refused. Prints how many were refused and for what, how many were read as if nothing had happened,
how many with other values (bits turned in plain pixels, a scale that is a number still: no format can tell), and every
failure: another exception, a warning or a word of a library, a death, a hang. The exit code is 1 where there is one.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/helpers")]

import nibabel as nib  # noqa: E402
import numpy as np  # noqa: E402
from dicom_files import classic_series, enhanced, pet_attributes, with_meta  # noqa: E402
from dicom_files import write as write_series  # noqa: E402
from dicom_masks import box, contour, segmentation, series_for_masks, structures  # noqa: E402
from mutations import ANY, OF_DICOM, OF_NIFTI, cut, lose_values  # noqa: E402
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless  # noqa: E402

from data_prep.files.read import read_grid, read_volume  # noqa: E402
from data_prep.masks.mask_of_cell import MaskCell, read_mask  # noqa: E402
from hnscc.base.errors import InputError  # noqa: E402

SHAPE = (8, 8, 4)
MEMORY = 2 * 2**30  # bytes, beyond what the libraries map when they are loaded
SECONDS = 20  # for one file
BATCH = 1000  # files of one process
SECRETS = ("SECRET", "Doe")  # what stands in the files, and in their names
DELIMITER = 8  # bytes that close compressed pixels, which are whole without them
LIES = np.diag([-1.0, -1.0, 3.0, 1.0])
# How often a file of this kind, mutated so, came to this.
Found = Counter[tuple[str, str, str]]


def write_sound(root: Path) -> None:
    """A folder for each kind: the files to be mutated in `files`; of masks, the image that they are drawn on beside."""
    values = np.random.default_rng(3).integers(0, 4096, SHAPE).astype(np.int16)
    large = np.tile(values, (4, 4, 1))  # what JPEG 2000 takes
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:6, 2:5, 1:3] = 1
    stated: dict[str, Any] = pet_attributes()
    for kind, syntax in {
        "plain": None,
        "rle": RLELossless,
        "j2k": JPEG2000Lossless,
        "jls": JPEGLSLossless,
    }.items():
        series = [
            with_meta(each)
            for each in classic_series(large if kind == "j2k" else values, modality="PT", **stated)
        ]
        if syntax:
            for each in series:
                each.compress(syntax, generate_instance_uid=False)
        write_series(root / f"PET, {kind}" / "files", series)
    implicit = [with_meta(each) for each in classic_series(values)]
    for each in implicit:
        each.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    write_series(root / "MR, implicit VR" / "files", implicit)
    write_series(root / "MR, enhanced" / "files", [enhanced(classic_series(values))])
    for number, name in enumerate(("a.nii", "a.nii.gz", "a.hdr", "b.nii", "c.nii.gz")):
        made: Any = (
            nib.Nifti2Image if name == "b.nii" else nib.Nifti1Pair if name == "a.hdr" else nib.Nifti1Image
        )
        image = made(values if number % 2 else values.astype(np.float32), LIES)
        image.set_sform(LIES, code=1)
        image.set_qform(LIES, code=1 if number < 4 else 0)
        image.header["descrip"], image.header["aux_file"] = b"SECRET^descrip", b"SECRET^aux"
        folder = root / f"NIfTI, {('plain', 'gzip', 'pair', 'NIfTI-2', 'no qform')[number]}" / "files"
        folder.mkdir(parents=True)
        image.to_filename(folder / f"Doe_{name}")
    for kind in ("structure set", "segmentation", "shares", "label map"):
        folder = root / f"mask, {kind}"
        images = series_for_masks(folder / "image", SHAPE, pixel=(1, 1))
        file = folder / "files" / ("Doe.nii.gz" if kind == "label map" else "Doe.dcm")
        if kind == "structure set":
            structures(file, {"GTV": [contour(box(2, 2, 4, 3, z)) for z in (1, 2)], "SECRET": []})
        elif kind == "label map":
            file.parent.mkdir()
            nib.Nifti1Image(mask, LIES).to_filename(file)
        else:
            shares = kind == "shares"
            segmentation(
                file, images, mask * 0.7 if shares else mask > 0, kind="FRACTIONAL" if shares else "BINARY"
            )


@dataclass(frozen=True)
class Sound:
    """One kind of files: where they lie, how they are read, and the values that they hold."""

    kind: str
    files: tuple[Path, ...]
    image: Path | None
    values: np.ndarray = field(repr=False)


def read_whole(files: tuple[Path, ...], image: Path | None) -> np.ndarray:
    """The values of an image, or of a mask on it."""
    named = files[0].parent if files[0].name.startswith("IM") else files[0]
    if image is None:
        return read_volume(named, "scan S").data
    region = "1" if named.suffix == ".dcm" else None
    return read_mask(
        MaskCell(named, region, {"mri": image}, "scan S"), {"mri": read_grid(image, "scan S")}, "mri"
    ).volume.data


def sound_ones(root: Path) -> list[Sound]:
    made = []
    for folder in sorted(root.iterdir()):
        files = tuple(sorted(each for each in (folder / "files").iterdir()))
        image = folder / "image" if (folder / "image").exists() else None
        made.append(Sound(folder.name, files, image, read_whole(files, image)))
    return made


def mutate_and_read(sound: Sound, rng: random.Random) -> tuple[str, str]:
    """Mutate one of the files and read them all: what was done, and what came of it."""
    file = rng.choice(sound.files)
    before = file.read_bytes()
    of_kind = (
        OF_NIFTI if "nii" in file.name or file.suffix == ".hdr" else OF_DICOM if file.suffix != ".img" else ()
    )
    mutation = rng.choice([*ANY, *of_kind])
    try:
        damaged = mutation(before, rng)
        file.write_bytes(damaged)
        loses = mutation in (cut, lose_values) and file.suffix != ".hdr"
        return mutation.__name__, outcome(sound, len(before) - len(damaged) if loses else 0)
    finally:
        file.write_bytes(before)


def outcome(sound: Sound, lost: int) -> str:
    """What comes of reading. lost: bytes of the values, or of what closes them, that are gone."""
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            values = read_whole(sound.files, sound.image)
    except InputError as error:
        text = str(error)
        told = [secret for secret in (*SECRETS, str(sound.files[0].parent)) if secret in text]
        return f"FAILED: the message tells {told}" if told else f"refused: {error.problem}"
    except Exception:  # noqa: BLE001 (it is what is looked for)
        return "FAILED: " + traceback.format_exc()[-1500:]
    if warned:
        return f"FAILED: a warning, {warned[0].message}"
    same = values.shape == sound.values.shape and np.array_equal(values, sound.values)
    if lost > (DELIMITER if same else 0):
        return "FAILED: a file that lost values was read"
    return "read, the same" if same else "read, other values"


def work(root: Path, seed: int, first: int, count: int) -> None:
    """Count the outcomes of these numbers, and print them; `root / at` holds the number that it is at."""
    sound = sound_ones(root / "sound")
    found: Found = Counter()
    mapped = int((Path("/proc/self/statm").read_text()).split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
    at = os.open(root / "at", os.O_WRONLY | os.O_CREAT)
    for number in range(first, first + count):
        os.pwrite(at, f"{number:12d}".encode(), 0)
        signal.alarm(SECONDS)
        rng = random.Random(f"{seed} {number}")
        one = rng.choice(sound)
        done, came = mutate_and_read(one, rng)
        signal.alarm(0)
        found[one.kind, done, f"{came} ({number})" if came.startswith("FAILED") else came] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"peak": peak, "found": [[*key, times] for key, times in found.items()]}))


def run(root: Path, seed: int, first: int, count: int) -> tuple[Found, int]:
    """The outcomes of these numbers by kind, mutation and outcome, and the most memory of a process, in MiB."""
    found: Found = Counter()
    peak, number = 0, first
    while number < first + count:
        shutil.rmtree(root / "sound", ignore_errors=True)
        write_sound(root / "sound")
        batch = min(BATCH, first + count - number)
        arguments = ["--work", root, "--seed", seed, "--first", number, "--count", batch]
        done = subprocess.run(
            [sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        if done.stderr:
            found["", "", f"FAILED: said ({number} on): {done.stderr[-1500:]}"] += 1
        if done.returncode:
            at = int((root / "at").read_text())
            found["", "", f"FAILED: the process ended with {done.returncode} ({at})"] += 1
            # What stood before in this batch is done again, without the one that ended it.
            if at > number:
                more, higher = run(root, seed, number, at - number)
                found, peak = found + more, max(peak, higher)
            number = at + 1
            continue
        told = json.loads(done.stdout.splitlines()[-1])
        now: Found = Counter({(kind, what, came): times for kind, what, came, times in told["found"]})
        found += now
        for key in now:
            if key[2].startswith("FAILED"):
                print(*key, file=sys.stderr, flush=True)
        peak, number = max(peak, told["peak"]), number + batch
    return found, peak


def table(found: Found) -> str:
    by_kind: dict[str, Counter[str]] = {}
    for (kind, _, came), times in found.items():
        by_kind.setdefault(kind, Counter())[came.partition(":")[0].partition(" (")[0]] += times
    outcomes = ("refused", "read, the same", "read, other values", "FAILED")
    lines = [f"{'kind':<22}" + "".join(f"{each:>20}" for each in outcomes)]
    for kind, counts in sorted(by_kind.items()):
        lines.append(f"{kind:<22}" + "".join(f"{counts[each]:>20}" for each in outcomes))
    total: Counter[str] = sum(by_kind.values(), Counter())
    lines.append(f"{'all':<22}" + "".join(f"{total[each]:>20}" for each in outcomes))
    reasons: Counter[str] = Counter()
    for (_, _, came), times in found.items():
        reasons[came] += times
    return "\n".join([*lines, "", *(f"{times:>6}  {came}" for came, times in reasons.most_common())])


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=20000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.work:
        work(asked.work, asked.seed, asked.first, asked.count)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found, peak = run(Path(folder), asked.seed, asked.first, asked.count)
    print(table(found))
    print(f"\n{found.total()} files, seed {asked.seed}; at most {peak} MiB")
    return int(any(came.startswith("FAILED") for _, _, came in found))


if __name__ == "__main__":
    sys.exit(main())
