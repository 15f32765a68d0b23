"""Convert networks and SavedModels to TensorFlow Lite."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from orchestrator.domain.errors import ConfigError
from orchestrator.models.conversion import networks
from orchestrator.models.conversion.data import Samples
from orchestrator.specs.recipe import CALIBRATED, SAVED_MODEL_ENDINGS, RecipeVariantSection

_INT16X8 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8


def convert(network: Path, made: Path, one: RecipeVariantSection, samples: Samples | None) -> None:
    """Write a .tflite file. Raise ConfigError for a network that the converter refuses."""
    with tempfile.TemporaryDirectory() as place:
        converter = _converter(network, Path(place))
        _configure(converter, one, samples)
        try:
            made.write_bytes(converter.convert())
        except (ValueError, RuntimeError, tf.errors.OpError) as error:
            words = " ".join(str(error).split())[:300]
            raise ConfigError(f"{network.name}: the converter refuses {one.quantise}: {words}") from None


def _converter(network: Path, place: Path) -> Any:
    if network.suffix in SAVED_MODEL_ENDINGS:
        return tf.lite.TFLiteConverter.from_saved_model(str(_unpacked(network, place)))
    model = networks.load(network)
    # The batch is 1: an open one would leave shapes to be computed at each inference, by operators of their own.
    spec = tf.TensorSpec((1, *model.inputs[0].shape[1:]), model.inputs[0].dtype, name=_plain(model.inputs[0].name))
    called = tf.function(lambda given: model(given, training=False)).get_concrete_function(spec)
    return tf.lite.TFLiteConverter.from_concrete_functions([called], model)


def _plain(name: str) -> str:
    return name.partition(":")[0].replace("/", "_")


def _configure(converter: Any, one: RecipeVariantSection, samples: Samples | None) -> None:
    if one.quantise == "none":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if not one.per_channel_dense:
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if one.quantise == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if one.quantise in CALIBRATED:
        assert samples is not None
        converter.representative_dataset = lambda: ([row] for row in samples.first(one.samples))
        is_int8 = one.quantise == "int8"
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8 if is_int8 else _INT16X8]
        converter.inference_input_type = converter.inference_output_type = tf.int8 if is_int8 else tf.int16


def _unpacked(archive: Path, place: Path) -> Path:
    """Return the folder of a SavedModel's archive, unpacked below `place`."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(place)  # noqa: S202 a zip is unpacked inside of the folder whatever names it has
    else:
        with tarfile.open(archive) as packed:
            packed.extractall(place, filter="data")
    found = next(place.rglob("saved_model.pb"), None)
    if found is None:
        raise ConfigError(f"{archive}: holds no saved_model.pb")
    return found.parent
