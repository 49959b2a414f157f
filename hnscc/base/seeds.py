"""Random choices are keyed by the study's seed and by what they are for, never by when or where they happen."""

import hashlib

import numpy as np


def derive_seed(seed: int, *key: str | int) -> int:
    """Return a seed in 0 .. 2**63 - 1 for one purpose, e.g. derive_seed(2023, "pet-f0-r01", "order").

    It is taken from the SHA-256 of the seed and the key, so that keys that differ in any part give unrelated seeds.
    """
    text = "\x1f".join([str(int(seed)), *(f"{type(part).__name__}:{part}" for part in key)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def short_seed(seed: int, *key: str | int) -> int:
    """Return the last 32 bits of `derive_seed`, 0 .. 2**32 - 1."""
    return shortened(derive_seed(seed, *key))


def shortened(seed: int) -> int:
    """Return the last 32 bits of a seed, 0 .. 2**32 - 1, for libraries that take no longer seeds."""
    return seed % 2**32


def generator(seed: int, *key: str | int) -> np.random.Generator:
    """Return a NumPy generator for one purpose, seeded by `derive_seed`."""
    return np.random.default_rng(derive_seed(seed, *key))
