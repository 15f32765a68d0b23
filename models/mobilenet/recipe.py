"""Build both variants of the `mobilenet` model: MobileNetV1 at width 0.25, for latency alone.

Run as `python recipe.py OUT_DIR`. Progress goes to stderr; the last line on stdout is one JSON object that
names each file. `model.yaml`, beside this file, records what a build gave.

The weights are random but seeded, so there is no accuracy to lose and nothing to download. One thread,
deterministic ops and plain Eigen kernels make a rebuild with the same package versions give the same bytes on
one kind of CPU; elsewhere the weights may differ in their last bits, and the latency not at all.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # oneDNN picks kernels by CPU, and so rounds differently on each

import keras
import numpy as np
import tensorflow as tf

SEED = 20
INPUT_SHAPE = (1, 128, 128, 3)
WIDTH = 0.25
CLASSES = 1000
LOW, HIGH = -1.0, 1.0
CALIBRATION_IMAGES = 32
VARIANTS = ("fp32", "int8")


def make_deterministic() -> None:
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def random_images() -> np.ndarray:
    """Return uniform noise over the range that MobileNet's own preprocessing gives."""
    noise = np.random.default_rng(SEED).uniform(LOW, HIGH, (CALIBRATION_IMAGES, *INPUT_SHAPE[1:]))
    return noise.astype(np.float32)


def create_model(images: np.ndarray) -> keras.Model:
    """Create the network with seeded weights, and normalisation statistics that fit them.

    Fresh statistics (mean 0, variance 1) let activations fade to 1e-16 by the last layer, which no deployed
    network does. One pass in training mode, without memory of those, keeps every layer in its usual range.
    """
    model = keras.applications.MobileNet(input_shape=INPUT_SHAPE[1:], alpha=WIDTH, weights=None, classes=CLASSES)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    return model


def convert(model: keras.Model, variant: str, calibration: np.ndarray) -> bytes:
    """Convert the model to one variant, with the batch size pinned to 1."""
    image = keras.Input(batch_shape=INPUT_SHAPE, name="image")
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, model(image)))
    if variant == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: batches_of_one(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    return converter.convert()


def batches_of_one(images: np.ndarray) -> Iterator[list[np.ndarray]]:
    for image in images:
        yield [image[np.newaxis]]


def build(out: Path) -> dict:
    """Write the artifacts into `out`, and describe them."""
    make_deterministic()
    images = random_images()
    model = create_model(images)
    variants = {}
    for variant in VARIANTS:
        file = f"mobilenet-{variant}.tflite"
        (out / file).write_bytes(convert(model, variant, images))
        variants[variant] = {"file": file}
    return {"variants": variants, "datasets": {}}


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python recipe.py OUT_DIR")
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(sys.stderr):
        built = build(out)
    print(json.dumps(built))


if __name__ == "__main__":
    main()
