"""The paper's network by the paper's recipe in Keras: seconds per epoch, without the first epoch and its start-up.

    .venv-keras/bin/python benchmarks/keras_recipe.py DATA [--epochs 8] [--policy mixed_bfloat16]

Runs in an environment of its own that holds TensorFlow. benchmarks/against_keras.py makes that environment and DATA, an
.npz file with train_images, validation_images float32 (N, H, W, C) and train_masks, validation_masks (N, H, W). Prints
one JSON object with versions and seconds per epoch.
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

BATCH_SIZE = 32
PARAMETERS = 1_940_961  # with two input channels


def build_unet(size: int, channels: int) -> keras.Model:
    """Return the network, from images (N, H, W, C) to probabilities (N, H, W, 1)."""
    inputs = layers.Input((size, size, channels))
    x, skips = inputs, []
    for filters, dropout in ((16, 0.1), (32, 0.1), (64, 0.2), (128, 0.2)):
        x = two_convolutions(x, filters, dropout)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = two_convolutions(x, 256, 0.3)
    for filters, dropout in ((128, 0.2), (64, 0.2), (32, 0.1), (16, 0.1)):
        x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(x)
        x = two_convolutions(layers.concatenate([x, skips.pop()]), filters, dropout)
    # float32, as Keras advises for the output under mixed precision.
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid", dtype="float32")(x))


def two_convolutions(x: keras.KerasTensor, filters: int, dropout: float) -> keras.KerasTensor:
    settings = {"activation": "relu", "kernel_initializer": "he_normal", "padding": "same"}
    x = layers.Conv2D(filters, 3, **settings)(x)
    x = layers.Dropout(dropout)(x)
    return layers.Conv2D(filters, 3, **settings)(x)


def soft_jaccard(truth: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
    """Return the score that the paper monitors; Keras averages it over batches."""
    truth, predicted = tf.cast(truth, tf.float32), tf.cast(predicted, tf.float32)
    overlap = tf.reduce_sum(truth * predicted)
    return overlap / (tf.reduce_sum(truth) + tf.reduce_sum(predicted) - overlap + 1e-7)


class Clock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is in an environment of its own
    """Notes when each epoch ended, its validation included."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.ends.append(time.perf_counter())


def seconds_per_epoch(data: dict[str, np.ndarray], policy: str, epochs: int) -> float:
    keras.mixed_precision.set_global_policy(policy)
    images = data["train_images"]
    model = build_unet(*images.shape[2:])
    assert images.shape[-1] != 2 or model.count_params() == PARAMETERS, model.count_params()
    # Keras turns XLA off where there are only CPUs. With XLA, epochs took several times as long here.
    model.compile(keras.optimizers.Adam(0.001), "binary_crossentropy", metrics=[soft_jaccard])
    stop = keras.callbacks.EarlyStopping(
        "val_soft_jaccard", patience=50, mode="max", restore_best_weights=True
    )
    clock = Clock()
    model.fit(
        images,
        data["train_masks"],
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_data=(data["validation_images"], data["validation_masks"]),
        callbacks=[stop, clock],
        verbose=0,
    )
    return (clock.ends[-1] - clock.ends[0]) / (len(clock.ends) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=8, help="two or more, the first one included")
    parser.add_argument("--policy", choices=["float32", "mixed_bfloat16"], default="float32")
    options = parser.parse_args()
    with np.load(options.data) as saved:
        data = dict(saved)
    for name in ("train_masks", "validation_masks"):
        data[name] = data[name][..., None].astype(np.float32)
    took = seconds_per_epoch(data, options.policy, options.epochs)
    print(json.dumps({"tensorflow": tf.__version__, "keras": keras.__version__, "seconds_per_epoch": took}))


if __name__ == "__main__":
    main()
