"""Build every artifact of the `audio` model: one network as Keras, SavedModel and TensorFlow Lite.

Run as `python recipe.py OUT_DIR`. Progress goes to stderr. The last line on stdout is one JSON object that names each
file. `model.yaml`, beside this file, records what a build gave.

The weights are random, from a seed: the family asks how a network is called, and what the network says is nobody's
question. All three files have the same weights, and `compare` sets their outputs side by side. Keras writes the date
of the build into its file, so each build has other hashes.
"""

import contextlib
import json
import os
import sys
import tarfile
import tempfile
from pathlib import Path

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # oneDNN picks kernels by CPU, and so rounds differently on each

import keras
import tensorflow as tf

SEED = 20
INPUT_SHAPE = (43, 40, 1)
"""Frames, bands of a mel filter bank, channels: one second of speech."""
CLASSES = 4
KERAS_FILE, SAVED_MODEL_FILE, TFLITE_FILE = "audio.keras", "audio-saved-model.tar", "audio-fp32.tflite"


def make() -> keras.Model:
    """Return the network: two convolutions, each normalised and pooled, and a dense layer. 5,124 parameters."""
    keras.utils.set_random_seed(SEED)
    return keras.Sequential(
        [
            keras.Input(shape=INPUT_SHAPE, name="spectrogram"),
            keras.layers.Conv2D(16, 3, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(CLASSES, activation="softmax", name="word"),
        ]
    )


def pack(folder: Path, archive: Path) -> None:
    """Write a SavedModel's folder as an archive without dates and owners."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "", ""
        return member

    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as packed:
        for path in sorted(folder.rglob("*")):
            packed.add(path, path.relative_to(folder), recursive=False, filter=plain)


def build(out: Path) -> dict:
    """Write the artifacts into `out`, and describe them."""
    model = make()
    model.save(out / KERAS_FILE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "model")
        model.export(folder, verbose=False)
        pack(folder, out / SAVED_MODEL_FILE)
        (out / TFLITE_FILE).write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert())
    files = {"keras": KERAS_FILE, "saved-model": SAVED_MODEL_FILE, "tflite": TFLITE_FILE}
    return {"variants": {"fp32": {"artifacts": {form: {"file": file} for form, file in files.items()}}}}


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
