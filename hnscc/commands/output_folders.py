"""The names of the files in the folders that `hnscc predict` and `hnscc export` write; no other file spells them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hnscc.base.errors import InputError
from hnscc.study.run_folder import WEIGHTS_FILE

# The file that is written last and says which command wrote the folder (base.folders), and this command.
FACTS_FILE, PREDICT = "predictions.json", "hnscc predict"
SETTINGS_FILE, EXPORT = "settings.json", "hnscc export"
MODEL_FILE = "model.onnx"


@dataclass(frozen=True)
class PredictionFolder:
    """The folder that `hnscc predict` writes: FACTS_FILE, tables of all scans, and for each scan files that begin with
    its id."""

    root: Path

    @property
    def lesions(self) -> Path:
        return self.root / "lesions.csv"

    @property
    def lesions_as_json(self) -> Path:
        return self.root / "lesions.json"

    @property
    def scores(self) -> Path:
        return self.root / "scores.csv"

    def mask(self, scan_id: str) -> Path:
        return self.root / f"{scan_id}.nii.gz"

    def picture(self, scan_id: str) -> Path:
        return self.root / f"{scan_id}.png"

    @property
    def pictures(self) -> Path:
        """The pictures of all scans, as a pattern for a shell."""
        return self.picture("*")

    def values(self, scan_id: str, kind: str) -> Path:
        """Return the map of this kind: probability or disagreement."""
        return self.root / f"{scan_id}_{kind}.nii.gz"

    def files_of(self, scan_id: str) -> tuple[Path, ...]:
        """Return every file that the scan may have here, whatever was asked for."""
        values = (self.values(scan_id, "probability"), self.values(scan_id, "disagreement"))
        in_dicom = (self.segmentation(scan_id), self.structure_set(scan_id))
        return self.mask(scan_id), self.picture(scan_id), *values, *in_dicom

    def segmentation(self, scan_id: str) -> Path:
        return self.root / f"{scan_id}.seg.dcm"

    def structure_set(self, scan_id: str) -> Path:
        return self.root / f"{scan_id}.rtstruct.dcm"


def check_names(scan_ids: Sequence[str]) -> None:
    """Raise InputError where a file of one scan would have the same name as another's, as the mask of
    a_probability would."""
    whose: dict[Path, str] = {}
    for scan_id in scan_ids:
        for file in PredictionFolder(Path()).files_of(scan_id):
            other = whose.setdefault(file, scan_id)
            if other != scan_id:
                raise InputError(
                    "Two scans would have a file of one name.",
                    where=f"scans {other} and {scan_id}",
                    expected="no scan_id that is another one with _probability or _disagreement behind it",
                    found=f"{file.name} of both",
                    do="give one of them another scan_id in the manifest",
                )


@dataclass(frozen=True)
class ExportFolder:
    """The folder that `hnscc export` writes: SETTINGS_FILE, MODEL_FILE, the weights of each trial and the
    model card."""

    root: Path

    @property
    def model(self) -> Path:
        return self.root / MODEL_FILE

    @property
    def card(self) -> Path:
        return self.root / "model_card.md"

    def weights(self, trial_id: str, *, alone: bool) -> Path:
        """Return the file of a trial's weights. alone: whether it is the only trial."""
        return self.root / (WEIGHTS_FILE if alone else f"weights-{trial_id}.safetensors")


def outside(out: str | Path, pseudonyms: str | Path | None) -> str | Path | None:
    """Return the path of the pseudonyms, if any is given. InputError where this file would be in the folder `out` of
    predictions: it identifies patients, while the folder is handed on, and is written whole or not at all."""
    if pseudonyms is not None and Path(out).absolute() in Path(pseudonyms).absolute().parents:
        raise InputError(
            "The file of pseudonyms would stand among the predictions.",
            where="--pseudonyms",
            expected="a file outside of --out: it identifies patients, and predictions do not",
            found="one in it",
            do="give --pseudonyms another path, where only those look who may know the patients",
        )
    return pseudonyms
