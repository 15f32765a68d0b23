"""Load and save networks of Keras, the old one (tf-keras) and the new one."""

from __future__ import annotations

import json
import runpy
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.domain.errors import ConfigError

FILE = "network.h5"
"""The name of a trained network in the folder of its step. A .keras file loses the state of wrapped layers."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Hold what a training begins with: a network, and the teacher of a student."""

    network: Any
    teacher: Any | None


def begin(given: Path | None, parent: Path | None) -> Beginning:
    """Return a given network, taught by the parent if there is one; without a given one, the parent itself."""
    if given is None:
        assert parent is not None
        return Beginning(load(parent), None)
    return Beginning(load(given), None if parent is None else load(parent))


def load(path: Path) -> Any:
    """Return the network of a file, for training and conversion. Raise ConfigError for a file that does not load."""
    if path.suffix == ".py":
        return _of_code(path)
    try:
        if _is_of_keras_3(path):
            return _load_new(path)
        return _load_old(path)
    except (OSError, TypeError, ValueError) as error:
        words = " ".join(str(error).split())[:300]
        raise ConfigError(f"{path}: Keras does not load this: {words}") from None


def save(network: Any, path: Path) -> None:
    """Write a network of the old Keras."""
    network.save(path, save_format="h5", include_optimizer=False)


def is_trainable(network: Any) -> bool:
    """Say whether tensorflow-model-optimization can train a network."""
    import tf_keras

    return isinstance(network, tf_keras.Model)


def _of_code(path: Path) -> Any:
    # The user's own file, run as the user: a step that no key of a recipe can say.
    make = runpy.run_path(str(path)).get("network")
    if not callable(make):
        raise ConfigError(f"{path}: has no function network()", hint="def network(): return tf_keras.Sequential([…])")
    return make()


def _is_of_keras_3(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        told = json.loads(archive.read("metadata.json"))
    return not str(told.get("keras_version", "3")).startswith("2")


def _load_new(path: Path) -> Any:
    import keras

    return keras.models.load_model(path, compile=False, safe_mode=True)


def _load_old(path: Path) -> Any:
    import tensorflow_model_optimization as tfmot
    import tf_keras

    with tfmot.quantization.keras.quantize_scope():
        return tf_keras.models.load_model(path, compile=False, safe_mode=True)
