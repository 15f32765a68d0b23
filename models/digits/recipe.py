"""Build every variant of the `digits` model, and the held-out set that they are scored on.

Run as `python recipe.py OUT_DIR`. Progress goes to stderr; the last line on stdout is one JSON object that
names each file with its measured accuracy. `model.yaml`, beside this file, records what a build gave.

The float32 network is written as ONNX operators (`to_onnx.py`) and as TorchScript (`to_torch.py`) too, with the same
weights.

The family is small enough to train in seconds, and real: a CNN on scikit-learn's 8x8 digits, then the same
trained weights converted five ways, one of them broken on purpose. One thread, deterministic ops and plain Eigen
kernels make a rebuild with the same package versions give the same bytes on one kind of CPU; elsewhere expect the
same accuracy, not the same hash.
"""

import contextlib
import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # oneDNN picks kernels by CPU, and so rounds differently on each

import keras
import numpy as np
import tensorflow as tf
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from to_onnx import INPUT, read_weights, to_onnx
from to_torch import to_torch, write_archive

SEED = 20
INPUT_SHAPE = (1, 8, 8, 1)
CLASSES = 10
EPOCHS = 30
TEST_SAMPLES = 360
TEST_FILE = "digits-test.npz"
ONNX_FILE = "digits-fp32.onnx"
TORCH_FILE = "digits-fp32.pt"
VARIANTS = ("fp32", "fp16", "dynamic", "int8", "int8-badcal")
BAD_BRIGHTNESS = 0.25
"""How bright the images of the broken calibration are: what a wrong scaling of calibration data makes of them."""


class Samples(NamedTuple):
    """Images `x`, float32 [n, 8, 8, 1] from 0 to 1, and their labels `y`, int64 [n]."""

    x: np.ndarray
    y: np.ndarray


def make_deterministic() -> None:
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def load_samples() -> tuple[Samples, Samples]:
    """Return the training and the held-out samples: a stratified split that the seed fixes."""
    digits = load_digits()
    x = (digits.images[..., np.newaxis] / 16.0).astype(np.float32)
    y = digits.target.astype(np.int64)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=TEST_SAMPLES, stratify=y, random_state=SEED)
    return Samples(x_train, y_train), Samples(x_test, y_test)


def train(samples: Samples) -> keras.Model:
    """Train the CNN. Its first dense layer is large enough for the converter to quantise it everywhere."""
    model = keras.Sequential(
        [
            keras.Input(shape=INPUT_SHAPE[1:]),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy")
    model.fit(samples.x, samples.y, epochs=EPOCHS, batch_size=32, verbose=0)
    return model


def convert(model: keras.Model, variant: str, calibration: np.ndarray) -> bytes:
    """Convert the trained model to one variant, with the batch size pinned to 1; `open_batch` opens it again."""
    pinned = keras.Sequential([keras.Input(batch_shape=INPUT_SHAPE, name="image"), *model.layers])
    converter = tf.lite.TFLiteConverter.from_keras_model(pinned)
    if variant != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "dynamic":
        # Per-channel weights would make the dense layer FULLY_CONNECTED version 12,
        # which tflite-runtime up to 2.14 refuses to load.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if variant in ("int8", "int8-badcal"):
        # Ranges learnt from images too dark cut off what the true images make of them.
        brightness = BAD_BRIGHTNESS if variant == "int8-badcal" else 1.0
        converter.representative_dataset = lambda: batches_of_one(calibration * np.float32(brightness))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    return converter.convert()


def open_batch(artifact: bytes) -> bytes:
    """Let the flattening keep any number of images: its constant shape [1, 128] becomes [-1, 128].

    A runtime may then resize the input to a batch. The converter itself leaves the shape open only by computing it when
    the model runs, with operators that no delegate takes.
    """
    size = np.prod([size // 4 for size in INPUT_SHAPE[1:3]]) * 32
    # A constant is its length in bytes, then its numbers.
    pinned, opened = (struct.pack("<Iii", 8, batch, size) for batch in (1, -1))
    if artifact.count(pinned) != 1:
        raise ValueError("the converter wrote another constant for the flattening: look again at the batch")
    return artifact.replace(pinned, opened)


def top1_of_onnx(artifact: bytes, samples: Samples) -> float:
    """Return the share of samples whose highest output is their label, by ONNX's own reference implementation."""
    evaluator = ReferenceEvaluator(artifact)
    outputs = (evaluator.run(None, {INPUT: image[np.newaxis]})[0] for image in samples.x)
    return sum(int(np.argmax(output) == label) for output, label in zip(outputs, samples.y, strict=True)) / len(
        samples.y
    )


def score_of_torch(file: Path, samples: Samples) -> dict:
    """Return the accuracy of the file in PyTorch, or why there is none: PyTorch is no tool of this recipe."""
    try:
        import torch
    except ImportError:
        return {"unscored": "PyTorch is not installed here"}
    module = torch.jit.load(str(file)).eval()
    with torch.inference_mode():
        outputs = [module(torch.from_numpy(image[np.newaxis])).numpy() for image in samples.x]
    right = sum(int(np.argmax(output) == label) for output, label in zip(outputs, samples.y, strict=True))
    return {"accuracy": {"top1": round(right / len(samples.y), 4)}}


def batches_of_one(images: np.ndarray) -> Iterator[list[np.ndarray]]:
    for image in images:
        yield [image[np.newaxis]]


def top1(artifact: bytes, samples: Samples) -> float:
    """Return the share of samples whose highest output is their label, running the artifact itself."""
    interpreter = tf.lite.Interpreter(model_content=artifact, num_threads=1)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    correct = 0
    for image, label in zip(samples.x, samples.y, strict=True):
        interpreter.set_tensor(source["index"], to_input(image[np.newaxis], source))
        interpreter.invoke()
        correct += int(np.argmax(interpreter.get_tensor(sink["index"])) == label)
    return correct / len(samples.y)


def to_input(image: np.ndarray, details: dict) -> np.ndarray:
    """Quantise a float image where the artifact wants integers."""
    if details["dtype"] == np.float32:
        return image
    scale, zero_point = details["quantization"]
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(image / scale) + zero_point, limits.min, limits.max).astype(details["dtype"])


def build(out: Path) -> dict:
    """Write the artifacts and the held-out set into `out`, and describe them."""
    make_deterministic()
    training, held_out = load_samples()
    np.savez_compressed(out / TEST_FILE, x=held_out.x, y=held_out.y)
    model = train(training)
    variants = {}
    for variant in VARIANTS:
        pinned = convert(model, variant, training.x)
        artifact = open_batch(pinned)
        file = f"digits-{variant}.tflite"
        (out / file).write_bytes(artifact)
        artifacts = {"tflite": {"file": file, "accuracy": {"top1": round(top1(artifact, held_out), 4)}}}
        if variant == "fp32":
            translated = to_onnx(pinned)
            (out / ONNX_FILE).write_bytes(translated)
            accuracy = {"top1": round(top1_of_onnx(translated, held_out), 4)}
            artifacts["onnx"] = {"file": ONNX_FILE, "accuracy": accuracy}
            write_archive(out / TORCH_FILE, to_torch(read_weights(pinned)))
            artifacts["torch"] = {"file": TORCH_FILE, **score_of_torch(out / TORCH_FILE, held_out)}
        variants[variant] = {"artifacts": artifacts}
    return {"variants": variants, "datasets": {TEST_FILE: {"samples": len(held_out.y)}}}


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
