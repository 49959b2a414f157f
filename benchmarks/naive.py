"""One training as a researcher's own script does it, written with care: what our studies are compared with.

    python benchmarks/naive.py STORE RUN --network unet|paper --epochs N --workers W --precision fp32|bf16
        --device cpu|cuda --out FILE

It uses eager PyTorch with its default threads and memory format, slices read from the store at the start,
albumentations in a DataLoader, and validation after every epoch; FILE (.npz) gets the best weights' predictions of all
slices. RUN is a run folder, whose fold 0 says which slices are used. Only the formats of that file and of the store,
and their places, are this project's.
"""

import argparse
import copy
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# albumentations reads this at import; without it, the library asks the network for a newer version.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import cv2
import numpy as np
import pyarrow.parquet as pq
import segmentation_models_pytorch as smp
import torch
import zarr
from torch import nn
from torch.utils.data import DataLoader, Dataset, get_worker_info

from hnscc.cohort.store_format import scan_path
from hnscc.study.run_folder import RunFolder

BATCH_SIZE = {"unet": 16, "paper": 32}
EVALUATION_BATCH = 32
Loader = DataLoader[tuple[torch.Tensor, torch.Tensor]]


def read_slices(store: Path, run: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images float32 (N, H, W, C) in 0..1 by the training slices' bounds, masks uint8 (N, H, W), splits (N,)."""
    used = pq.read_table(RunFolder(run).fold(0).slices).to_pydict()
    positions = list(zip(used["scan_id"], used["z"], strict=True))
    root: Any = zarr.open_group(store, mode="r")
    scans = {
        name: (root[scan_path(name, "images")][:], root[scan_path(name, "mask")][:])
        for name in set(used["scan_id"])
    }
    images = np.stack([scans[name][0][z] for name, z in positions]).transpose(0, 2, 3, 1)
    masks = np.stack([scans[name][1][z] for name, z in positions])
    split = np.array(used["split"])
    low, high = (of(images[split == "train"], axis=(0, 1, 2)) for of in (np.min, np.max))
    return np.ascontiguousarray(np.clip((images - low) / (high - low), 0, 1)), masks, split


def augmentation() -> A.Compose:
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.VerticalFlip(p=0.5),
            A.Affine(
                translate_percent={"x": (-0.1, 0.1), "y": (-0.1, 0.1)},
                rotate=(-15, 15),
                scale=1.0,
                interpolation=cv2.INTER_LINEAR,
                mask_interpolation=cv2.INTER_NEAREST,
                border_mode=cv2.BORDER_CONSTANT,
                p=1.0,
            ),
        ]
    )


class Slices(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Slices of which each item is an image float32 (C, H, W) and a mask float32 (1, H, W). With a transform, it is
    applied anew each time."""

    def __init__(self, images: np.ndarray, masks: np.ndarray, transform: A.Compose | None = None) -> None:
        self.images, self.masks, self.transform = images, masks, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        item = {"image": self.images[i], "mask": self.masks[i]}
        if self.transform:
            item = self.transform(**item)
        image = np.ascontiguousarray(item["image"].transpose(2, 0, 1))
        return torch.from_numpy(image), torch.from_numpy(item["mask"][None].astype(np.float32))


def seed_worker(number: int) -> None:
    """Seed a worker's transform by the seed that PyTorch gives the worker, since forked workers would otherwise all
    make the same random choices."""
    worker: Any = get_worker_info()
    seed = torch.initial_seed() % 2**32
    # With `set_random_seed` both flips would always occur together.
    worker.dataset.transform.set_random_state(np.random.default_rng(seed), random.Random(seed))


class PaperUNet(nn.Module):
    """The paper's network, 1,940,961 parameters with two channels: images (N, C, H, W) to logits (N, 1, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down1 = block(channels, 16, 0.1)
        self.down2 = block(16, 32, 0.1)
        self.down3 = block(32, 64, 0.2)
        self.down4 = block(64, 128, 0.2)
        self.bottom = block(128, 256, 0.3)
        self.up4, self.merge4 = nn.ConvTranspose2d(256, 128, 2, stride=2), block(256, 128, 0.2)
        self.up3, self.merge3 = nn.ConvTranspose2d(128, 64, 2, stride=2), block(128, 64, 0.2)
        self.up2, self.merge2 = nn.ConvTranspose2d(64, 32, 2, stride=2), block(64, 32, 0.1)
        self.up1, self.merge1 = nn.ConvTranspose2d(32, 16, 2, stride=2), block(32, 16, 0.1)
        self.output = nn.Conv2d(16, 1, 1)
        self.pool = nn.MaxPool2d(2)
        self.apply(initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip1 = self.down1(x)
        skip2 = self.down2(self.pool(skip1))
        skip3 = self.down3(self.pool(skip2))
        skip4 = self.down4(self.pool(skip3))
        x = self.bottom(self.pool(skip4))
        x = self.merge4(torch.cat([self.up4(x), skip4], dim=1))
        x = self.merge3(torch.cat([self.up3(x), skip3], dim=1))
        x = self.merge2(torch.cat([self.up2(x), skip2], dim=1))
        x = self.merge1(torch.cat([self.up1(x), skip1], dim=1))
        logits: torch.Tensor = self.output(x)
        return logits


def block(before: int, after: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Conv2d(after, after, 3, padding=1),
        nn.ReLU(inplace=True),
    )


def initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        he = module.kernel_size == (3, 3)
        (nn.init.kaiming_normal_ if he else nn.init.xavier_uniform_)(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def build(network: str, channels: int) -> nn.Module:
    if network == "paper":
        return PaperUNet(channels)
    unet: nn.Module = smp.Unet("resnet18", encoder_weights=None, in_channels=channels, classes=1)
    return unet


def logits_of(model: nn.Module, images: torch.Tensor, precision: str) -> torch.Tensor:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits: torch.Tensor = model(images).float()
        return logits


def on(device: str, loader: Loader) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the loader's batches on the device. It copies from pinned memory beside the computation there."""
    for images, masks in loader:
        yield images.to(device, non_blocking=True), masks.to(device, non_blocking=True)


def train_epoch(
    model: nn.Module, optimiser: torch.optim.Optimizer, loader: Loader, precision: str, device: str
) -> float:
    model.train()
    total, count = 0.0, 0
    for images, masks in on(device, loader):
        loss = nn.functional.binary_cross_entropy_with_logits(logits_of(model, images, precision), masks)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += loss.item() * len(images)
        count += len(images)
    return total / count


@torch.inference_mode()
def validate(model: nn.Module, loader: Loader, precision: str, device: str) -> float:
    """Return the soft Jaccard over all validation slices."""
    model.eval()
    overlap = union = 0.0
    for images, masks in on(device, loader):
        probabilities = torch.sigmoid(logits_of(model, images, precision))
        product = (probabilities * masks).sum().item()
        overlap += product
        union += probabilities.sum().item() + masks.sum().item() - product
    return overlap / union


@torch.inference_mode()
def predict(model: nn.Module, loader: Loader, precision: str, device: str) -> np.ndarray:
    """Return probabilities float32 (N, H, W)."""
    model.eval()
    parts = [torch.sigmoid(logits_of(model, images, precision))[:, 0] for images, _ in on(device, loader)]
    return torch.cat(parts).cpu().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("run", type=Path, help="a run folder, for the slices that are used")
    parser.add_argument("--network", choices=["unet", "paper"], required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True, help="processes of the DataLoader; 0: none")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    cv2.setNumThreads(0)  # usual with DataLoaders; OpenCV's threads gain nothing on slices this small
    images, masks, split = read_slices(options.store, options.run)
    training = DataLoader(
        Slices(images[split == "train"], masks[split == "train"], augmentation()),
        BATCH_SIZE[options.network],
        shuffle=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        worker_init_fn=seed_worker,
        pin_memory=options.device == "cuda",
    )
    # Slices that are neither augmented nor decoded need no processes of their own.
    validation = DataLoader(
        Slices(images[split == "validation"], masks[split == "validation"]), EVALUATION_BATCH
    )
    model = build(options.network, images.shape[-1]).to(options.device)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
    where = options.precision, options.device
    best: dict[str, Any] = {}
    history: list[float] = []
    seconds: list[float] = []
    for epoch in range(1, options.epochs + 1):
        began = time.perf_counter()
        loss = train_epoch(model, optimiser, training, *where)
        jaccard = validate(model, validation, *where)
        if not history or jaccard > max(history):
            best = copy.deepcopy(model.state_dict())
        history.append(jaccard)
        seconds.append(time.perf_counter() - began)
        print(f"epoch {epoch}: loss {loss:.4f}, validation Jaccard {jaccard:.4f}, {seconds[-1]:.2f} s")
    model.load_state_dict(best)
    probabilities = predict(model, DataLoader(Slices(images, masks), EVALUATION_BATCH), *where)
    np.savez_compressed(options.out, probabilities=probabilities, jaccard=history, seconds=seconds)


if __name__ == "__main__":
    main()
