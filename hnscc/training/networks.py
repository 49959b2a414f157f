"""Networks that completed trials left: asked for what they say of scans that no study has seen."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from safetensors.torch import load

from hnscc.base.arrays import Images, StoredProbabilities
from hnscc.base.steps import at_once
from hnscc.cohort.slices import Slices
from hnscc.study.run_folder import RunFolder
from hnscc.study.variant_schema import Network
from hnscc.training.inference import model_on, predicting
from hnscc.training.members import Member, read_weights
from hnscc.training.model import build_model
from hnscc.training.process import set_up_torch


def device_here() -> str:
    """Return where predictions are made: cuda where PyTorch can use a GPU, else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class Networks:
    """The networks of some trials of one variant, one in memory at a time; their weights are read from the run folder.

    InputError where the weights of one are gone, damaged, or not those that the member names.
    """

    def __init__(self, run: RunFolder, network: Network, members: Sequence[Member], *, threads: int) -> None:
        """network: the variant's. threads: of the processor; more are faster, and round differently at most."""
        self.run, self.members, self.device = run, tuple(members), device_here()
        set_up_torch(self.device, threads, 1.0, members[0].precision)
        # Encoder weights from a file are in the trained weights already.
        bare = network.model_copy(update={"encoder_weights": None})
        self.model = model_on(build_model(bare, len(members[0].bounds), seed=0), self.device)
        self.loaded: Member | None = None

    def probabilities(self, images: Images) -> Iterator[StoredProbabilities]:
        """Yield what each member says of a scan's slices, as uint16 (Z, H, W): round(p x 65535), as trials store it.

        images: float32 (Z, C, H, W) in the store's units, C in the order of the variant's modalities.
        """
        masks = np.zeros((len(images), *images.shape[2:]), np.uint8)
        rows, channels = np.arange(len(images)), range(images.shape[1])
        for member in self.members:
            self._load(member)
            slices = Slices(images, masks, rows, channels, member.bounds)
            yield at_once(predicting(self.model, slices, device=self.device, precision=member.precision))

    def _load(self, member: Member) -> None:
        if self.loaded != member:
            self.model.load_state_dict(load(read_weights(self.run, member)))
            self.loaded = member
