"""Read the inputs of a Keras file without Keras: a .keras file is a zip with the layers as JSON, .h5 has them, too.

Weights and computed shapes lie elsewhere, so that outputs and precision are unknown here.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.domain.interface import Interface, Tensor
from orchestrator.models.window import Malformed, Window

_CONFIG = "config.json"
_CONFIG_BYTES_MAX = 16 << 20
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_SEARCHED_MAX = 256 << 20
_CHUNK = 1 << 20
_BEGINNINGS = (b'{"class_name": "', b'{"module": "')
"""How the JSON of a model begins, where Keras has written it."""
_MODELS = ("Sequential", "Functional", "Model")
_LAYERS_MAX = 100_000
_BROKEN = (zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RuntimeError, ValueError, EOFError)


def read_keras(window: Window) -> Interface:
    """Return what a network takes. Raise Malformed for anything but a .keras or .h5 file of a whole model."""
    is_hdf5 = window.size >= len(_HDF5) and window.bytes_at(0, len(_HDF5)) == _HDF5
    model = _of_hdf5(window) if is_hdf5 else _of_zip(window)
    inputs = tuple(_inputs(model))
    if not inputs:
        raise Malformed("its layers name no input: build the network before it is saved")
    return Interface(inputs, (), "unknown")


def _of_zip(window: Window) -> Mapping[str, Any]:
    try:
        with window.stream() as file, zipfile.ZipFile(file) as archive:
            if archive.getinfo(_CONFIG).file_size > _CONFIG_BYTES_MAX:
                raise Malformed(f"its {_CONFIG} has more than {_CONFIG_BYTES_MAX} bytes")
            with archive.open(_CONFIG) as member:
                found = json.loads(member.read(_CONFIG_BYTES_MAX))
    except Malformed:
        raise
    except _BROKEN as error:
        raise Malformed(f"it is no zip with a {_CONFIG}, as Keras writes: {error}") from None
    return _required(found)


def _of_hdf5(window: Window) -> Mapping[str, Any]:
    """Return the JSON of the layers: an attribute of the file, which Keras writes as one piece of text."""
    for place in _places(window):
        text = window.bytes_at(place, min(_CONFIG_BYTES_MAX, window.size - place)).decode("utf-8", "replace")
        try:
            found, _ = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and found.get("class_name") in _MODELS:
            return _required(found)
    raise Malformed("it holds no description of layers: are these the weights alone?")


def _places(window: Window) -> Iterator[int]:
    longest = max(map(len, _BEGINNINGS)) - 1
    for begin in range(0, min(window.size, _HDF5_SEARCHED_MAX), _CHUNK):
        chunk = window.bytes_at(begin, min(_CHUNK + longest, window.size - begin))
        for beginning in _BEGINNINGS:
            at = chunk.find(beginning)
            while 0 <= at < _CHUNK:
                yield begin + at
                at = chunk.find(beginning, at + 1)


def _required(found: object) -> Mapping[str, Any]:
    config = found.get("config") if isinstance(found, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list) or len(layers) > _LAYERS_MAX:
        raise Malformed("it lists no layers: a subclassed model says nothing of its inputs")
    assert isinstance(config, dict)
    return config


def _inputs(config: Mapping[str, Any]) -> Iterator[Tensor]:
    """Yield an entry for each input layer, in the order in which the network takes them."""
    layers = [one for one in config["layers"] if isinstance(one, dict) and isinstance(one.get("config"), dict)]
    found = {tensor.name: tensor for tensor in map(_input, layers) if tensor is not None}
    order = [name for name in _names(config.get("input_layers")) if name in found]
    yield from (found[name] for name in order or found)


def _input(layer: Mapping[str, Any]) -> Tensor | None:
    config = layer["config"]
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    # The first layer of an older Sequential says itself what it takes.
    if not isinstance(shape, list) or not all(size is None or isinstance(size, int) for size in shape):
        return None
    return Tensor(str(config.get("name", "input")), tuple(shape), _dtype(config.get("dtype")))


def _dtype(found: object) -> str:
    """Return a type of numbers. A policy of Keras 3 is a mapping, and names the type that it computes in."""
    if isinstance(found, dict):
        named = found.get("config")
        found = named.get("name") if isinstance(named, dict) else None
    return found if isinstance(found, str) else "float32"


def _names(found: object) -> Iterator[str]:
    """Yield the names in a list of [name, node, tensor], or in a single such entry."""
    if isinstance(found, list) and found and isinstance(found[0], str):
        yield found[0]
    elif isinstance(found, list):
        for one in found:
            yield from _names(one)
