"""Read the inputs of a TorchScript file without PyTorch: an archive of code as text, weights, and a pickle of both.

The code names the inputs of `forward`. Only a traced module has sizes, those of the example it was traced with, and
only in files of recent releases. Outputs are unknown here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from math import prod

from orchestrator.domain.interface import Interface, Tensor
from orchestrator.domain.quoting import quoted
from orchestrator.models.pickled import PICKLE_BYTES_MAX, Made, Named, Stored, read_pickle
from orchestrator.models.torch_archive import TorchArchive, opened
from orchestrator.models.window import Malformed, Window

_CODE_BYTES_MAX = 16 << 20
_DEPTH_MAX = 200
_PICKLE, _TRACED = "data.pkl", "traced_inputs.pkl"
_OF_STORAGE = {
    "Float": "float32", "Half": "float16", "Double": "float64", "BFloat16": "bfloat16", "Byte": "uint8",
    "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64", "Bool": "bool", "QInt8": "qint8",
    "QUInt8": "quint8",
}  # fmt: skip
_PRECISIONS = {"float32": "fp32", "float16": "fp16", "qint8": "int8", "quint8": "int8"}
_STATE_ALONE = "it holds weights or a pickled object alone, and no code: save it by torch.jit.save or torch.export.save"


def read_torchscript(window: Window) -> Interface:
    """Return what `forward` takes. Raise Malformed for anything but a file of torch.jit.save."""
    with opened(window) as archive:
        if not any(name.startswith("code/") for name in archive.names):
            raise Malformed(_STATE_ALONE)
        module = read_pickle(archive.read(_PICKLE, PICKLE_BYTES_MAX))
        if not isinstance(module, Made) or not isinstance(module.what, Named):
            raise Malformed("its pickle holds no module")
        names = list(_inputs_of_forward(archive, module.what.name))
        examples = _traced(archive) if _TRACED in archive.names else []
        # Of another number of examples than inputs, nothing says which is whose.
        given = examples if len(examples) == len(names) else [None] * len(names)
        inputs = tuple(
            Tensor(name, None, "float32") if example is None else Tensor(name, *example)
            for name, example in zip(names, given, strict=True)
        )
        return Interface(inputs, (), precision_of(_weights(module)))


def precision_of(weights: Counter[str]) -> str:
    """Return the precision that most numbers of the weights have, by their types."""
    if not weights:
        return "unknown"
    ((main, _),) = weights.most_common(1)
    return _PRECISIONS.get(main, main)


def _inputs_of_forward(archive: TorchArchive, name: str) -> Iterator[str]:
    """Yield the names of the tensors that `forward` of a class takes, up to the first one with a value of its own."""
    module, _, kind = name.partition(" ")
    code = archive.read(f"code/{module.replace('.', '/')}.py", _CODE_BYTES_MAX).decode("utf-8", "replace")
    _, found, body = code.partition(f"class {kind}(Module):")
    body = body.partition("\nclass ")[0]
    forward = re.search(r"^  def forward\(\w+: [^,)]+,?(?P<inputs>.*?)\) -> ", body, re.MULTILINE | re.DOTALL)
    if not found or forward is None:
        raise Malformed("its code has no forward")
    for given in re.split(r",\s*(?![^\[]*\])", forward["inputs"].strip()):
        title, _, typed = given.partition(":")
        if not given or "=" in typed:
            return
        if typed.strip() != "Tensor":
            raise Malformed(f"its forward takes {quoted(title.strip())}, a {quoted(typed.strip())}, and no tensor")
        yield title.strip()


def _traced(archive: TorchArchive) -> list[tuple[tuple[int, ...], str] | None]:
    """Return shape and type of each example that `forward` was traced with, None for what is no tensor."""
    found = _unwrapped(read_pickle(archive.read(_TRACED, PICKLE_BYTES_MAX)))
    examples = _unwrapped(found.get("forward")) if isinstance(found, dict) else None
    return [_tensor(one) for one in examples] if isinstance(examples, list) else []


def _unwrapped(value: object) -> object:
    """Return the value of a typed container, which PyTorch pickles as a call."""
    if isinstance(value, Made) and isinstance(value.arguments, tuple) and value.arguments:
        return value.arguments[0]
    return value


def _tensor(value: object) -> tuple[tuple[int, ...], str] | None:
    """Return shape and type of a pickled tensor, or None."""
    if not isinstance(value, Made) or value.what != Named("torch._utils _rebuild_tensor_v2"):
        return None
    arguments = value.arguments
    if not isinstance(arguments, tuple) or len(arguments) < 3 or not isinstance(arguments[0], Stored):
        return None
    shape, dtype = arguments[2], _dtype(arguments[0])
    if dtype is None or not isinstance(shape, tuple) or not all(type(one) is int and one >= 0 for one in shape):
        return None
    return shape, dtype


def _dtype(stored: Stored) -> str | None:
    """Return the type of a tensor's bytes: `words` are "storage", the kind, the member, the place and the count."""
    words = stored.words
    if not isinstance(words, tuple) or len(words) < 2 or not isinstance(words[1], Named):
        return None
    return _OF_STORAGE.get(words[1].name.removeprefix("torch ").removesuffix("Storage"))


def _weights(module: Made) -> Counter[str]:
    """Count the numbers of all tensors by type."""
    counts: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[tuple[object, int]] = [(module, 0)]
    while waiting:
        value, depth = waiting.pop()
        if id(value) in seen or depth > _DEPTH_MAX:
            continue
        seen.add(id(value))
        tensor = _tensor(value)
        if tensor is not None:
            counts[tensor[1]] += prod(tensor[0])
        elif isinstance(value, Made):
            waiting += [(value.state, depth + 1), (value.arguments, depth + 1)]
        elif isinstance(value, dict):
            waiting += [(one, depth + 1) for one in value.values()]
        elif isinstance(value, (list, tuple)):
            waiting += [(one, depth + 1) for one in value]
    return counts
