"""Call a named signature of a .tflite file, through the runner that the package has for signatures."""

from __future__ import annotations

from device_worker.trial.declared import batched_shape
from device_worker.trial.delegation import NodePlaces
from device_worker.trial.runtimes.base import InputSlot, LoadedModel, LoadFailure
from device_worker.trial.runtimes.tflite_tensors import dequantise, dtype_name, quantise, range_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.declarations import DeclaredInputs


class TfliteSignatureModel(LoadedModel):
    """A signature of an interpreter. `invoke` is the whole call: inputs are copied in, outputs are copied out.

    Inputs and outputs have the names that the signature gives them, in alphabetical order.
    """

    def __init__(
        self, interpreter: Any, name: str, identity: dict[str, Any], declared: DeclaredInputs, batch: int | None
    ) -> None:
        self._runner = find_runner(interpreter, name)
        self._asked = identity.get("delegates")
        self._given = sorted(self._runner.get_input_details().items())
        self._made = sorted(self._runner.get_output_details().items())
        self._identity = dict(identity, signature=name)
        self.inputs = [
            InputSlot(
                given,
                batched_shape(given, _sizes(detail), declared, batch, can_resize=True),
                dtype_name(detail),
                is_quantised=range_of(detail) is not None,
                batch=batch or 1,
            )
            for given, detail in self._given
        ]
        self.allocate_reason = "the runner of a signature allocates at its first call"
        self.input_ranges = [range_of(detail) for _, detail in self._given]
        self.output_names = [made for made, _ in self._made]
        self._fed: dict[str, Any] = {}
        self._found: dict[str, Any] = {}
        self.invoke = self._call

    def _call(self) -> None:
        self._found = self._runner(**self._fed)

    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return inputs in the signature's dtypes. A quantised input clips what is beyond its range."""
        return [quantise(value, detail) for value, (_, detail) in zip(values, self._given)]

    def set_inputs(self, encoded: list[Any]) -> None:
        """Keep inputs for the next call, which copies them."""
        self._fed = {name: value for value, (name, _) in zip(encoded, self._given)}

    def get_outputs(self) -> list[Any]:
        """Return the outputs of the last call."""
        return [self._found[name] for name in self.output_names]

    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32. Whatever is no real number stays as it is."""
        return [dequantise(value, detail) for value, (_, detail) in zip(outputs, self._made)]

    def count_nodes(self) -> NodePlaces:
        """Return that the nodes are not counted: the interpreter lists those of its first graph alone."""
        asked = None if not self._asked else str(self._asked[0])
        return NodePlaces(asked, None, reason="the interpreter does not list the nodes of a signature")

    def identity(self) -> dict[str, Any]:
        """Return the runtime's identity, with the name of the signature."""
        import numpy

        return dict(
            self._identity,
            numpy=numpy.__version__,
            input_dtypes=[slot.dtype for slot in self.inputs],
            output_dtypes=[dtype_name(detail) for _, detail in self._made],
        )


def find_runner(interpreter: Any, name: str) -> Any:
    """Return the runner of a signature. Raise LoadFailure, with the names that there are, for an unknown one."""
    if not hasattr(interpreter, "get_signature_list"):
        raise LoadFailure("this package does not know of signatures; leave the setting signature: out")
    known = sorted(interpreter.get_signature_list())
    if name not in known:
        has = ", ".join(map(repr, known)) if known else "none"
        raise LoadFailure(f"the model has no signature {name!r}; it has {has}")
    return interpreter.get_signature_runner(name)


def _sizes(detail: dict[str, Any]) -> list[int | None]:
    return [None if size < 0 else int(size) for size in detail.get("shape_signature", detail["shape"])]
