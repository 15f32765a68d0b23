"""Read the inputs and outputs of a torch.export file without PyTorch: an archive with the graph as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from orchestrator.domain.interface import Interface, Tensor
from orchestrator.domain.quoting import quoted
from orchestrator.models.torch_archive import TorchArchive, opened
from orchestrator.models.torchscript import precision_of
from orchestrator.models.window import Malformed, Window

_GRAPH_BYTES_MAX = 32 << 20
_OLD_GRAPH = "serialized_exported_program.json"
"""The only member of the graph before PyTorch 2.7. Later releases have one in `models/`."""
_DTYPES: Mapping[int, str] = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16",
}  # fmt: skip


def read_torch_export(window: Window) -> Interface:
    """Return what the graph takes and gives. Raise Malformed for anything but a file of torch.export.save."""
    with opened(window) as archive:
        content = archive.read(_graph_in(archive), _GRAPH_BYTES_MAX)
    try:
        module = json.loads(content)["graph_module"]
        values, signature = module["graph"]["tensor_values"], module["signature"]
        inputs = tuple(_tensors(signature["input_specs"], "user_input", values))
        outputs = tuple(_tensors(signature["output_specs"], "user_output", values))
        weights = _weights(signature["input_specs"], values)
    except Malformed:
        raise
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise Malformed("its graph is not written as torch.export writes graphs") from None
    if not inputs:
        raise Malformed("its graph takes no input")
    return Interface(inputs, outputs, precision_of(weights))


def _graph_in(archive: TorchArchive) -> str:
    found = [name for name in archive.names if name.startswith("models/") and name.endswith(".json")]
    found = found or [name for name in archive.names if name == _OLD_GRAPH]
    if any(name.startswith("data/aotinductor/") for name in archive.names):
        raise Malformed("it is compiled for one kind of machine by AOTInductor: save the graph by torch.export.save")
    if len(found) != 1:
        raise Malformed(f"it holds {len(found)} graphs, and a file of torch.export.save has one")
    return found[0]


def _tensors(specs: list[Any], kind: str, values: Mapping[str, Any]) -> Iterator[Tensor]:
    """Yield the tensors that a person gives or gets, in order. Weights are among the inputs, and of another kind."""
    for spec in specs:
        if kind not in spec:
            continue
        # A constant, such as None or a number, is part of the signature and no tensor.
        argument = spec[kind]["arg"]
        if "as_tensor" in argument:
            name = argument["as_tensor"]["name"]
            yield _tensor(name, values[name])
        elif kind == "user_input" and "as_none" not in argument:
            raise Malformed(f"its graph takes {quoted(json.dumps(argument))[:80]}, and no tensor")


def _tensor(name: str, value: Mapping[str, Any]) -> Tensor:
    sizes = tuple(one.get("as_int") for one in value["sizes"])
    if not isinstance(name, str) or not all(one is None or (type(one) is int and one >= 0) for one in sizes):
        raise Malformed("its graph has a tensor without a name or sizes")
    return Tensor(name, sizes, _DTYPES.get(value["dtype"], f"type-{value['dtype']}"))


def _weights(specs: list[Any], values: Mapping[str, Any]) -> Counter[str]:
    """Count the numbers of parameters by type."""
    counts: Counter[str] = Counter()
    for spec in specs:
        if "parameter" in spec:
            name = spec["parameter"]["arg"]["name"]
            tensor = _tensor(name, values[name])
            counts[tensor.dtype] += prod(size or 0 for size in tensor.shape or ())
    return counts
