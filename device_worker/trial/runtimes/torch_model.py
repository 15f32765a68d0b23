"""Run inferences of a module of PyTorch."""

from __future__ import annotations

from device_worker.trial.delegation import NodePlaces
from device_worker.trial.encoding import encode_plain
from device_worker.trial.runtimes.base import InputSlot, LoadedModel, LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

EXPORT_KINDS = "call_function"
_NOT_IN_NUMPY = "bfloat16"
_NESTED_MAX = 20


class Called:
    """What is called, with the names of its inputs.

    `spec` says how inputs are nested, None for one after the other. `changed` are the buffers that an inference
    changes, None where nobody can tell.
    """

    def __init__(self, module: Any, inputs: list[str]) -> None:
        self.module = module
        self.call: Callable[..., Any] = module
        self.inputs = inputs
        self.outputs: Sequence[str] = ()
        self.spec: Any = None
        self.changed: Sequence[str] | None = None
        self.operators: int | None = None


class TorchModel(LoadedModel):
    """A module with tensors as inputs, made before the call."""

    def __init__(self, torch: Any, called: Called, slots: list[InputSlot], identity: dict[str, Any]) -> None:
        self._torch = torch
        self._called = called
        self._identity = identity
        self._provider = str(identity["provider"])
        self.places = NodePlaces(None, None)
        self._arguments: tuple[Any, ...] = ()
        self._named: dict[str, Any] = {}
        self._made: Any = None
        self.inputs = slots
        self.output_names = list(called.outputs)
        self.invoke = self._invoke if self._provider == "cpu" else self._invoke_and_wait
        if self._provider != "cpu":
            self.memory_reason = "the model lies in the GPU's memory, and the process has what is left"
        # For this process and thread, as people do around a loop of inferences. The mode ends with its object.
        self._mode = torch.inference_mode()
        self._mode.__enter__()
        buffers = dict(called.module.named_buffers())
        self._first = {name: buffers[name].clone() for name in called.changed or () if name in buffers}

    def keep(self, key: str, value: Any) -> None:
        """Add an entry to the identity."""
        self._identity[key] = value

    def try_once(self) -> None:
        """Run an inference of zeros."""
        import numpy

        self.set_inputs([numpy.zeros(slot.shape, _encodable(slot)) for slot in self.inputs])
        self.invoke()
        self.reset_variables()

    def _invoke(self) -> None:
        self._made = self._called.call(*self._arguments, **self._named)

    def _invoke_and_wait(self) -> None:
        self._made = self._called.call(*self._arguments, **self._named)
        # A call returns once its kernels are queued: without the wait, only the queueing would be timed.
        self._torch.cuda.synchronize()

    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return inputs in the model's dtypes. Values for a dtype of whole numbers are rounded."""
        return [encode_plain(value, _plain(slot)) for value, slot in zip(values, self.inputs)]

    def set_inputs(self, encoded: list[Any]) -> None:
        """Make the tensors of the next calls, in memory of their own."""
        torch = self._torch
        tensors = [
            torch.from_numpy(value).to(dtype=getattr(torch, slot.dtype), device=self._provider, copy=True)
            for value, slot in zip(encoded, self.inputs)
        ]
        if self._called.spec is None:
            self._arguments = tuple(tensors)
        else:
            self._arguments, self._named = torch.utils._pytree.tree_unflatten(tensors, self._called.spec)

    def get_outputs(self) -> list[Any]:
        """Return the outputs as arrays, those of a map or a tuple one after the other. bfloat16 becomes float32."""
        return [_as_array(value) for value in _tensors_in(self._made, self._torch, _NESTED_MAX)]

    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32. Whatever is no real number stays as it is."""
        import numpy

        return [value.astype(numpy.float32) if value.dtype.kind in "fiub" else value for value in outputs]

    def variables(self) -> list[str] | None:
        """Return the buffers that an inference changes. A file of TorchScript does not tell."""
        return None if self._called.changed is None else list(self._called.changed)

    def reset_variables(self) -> None:
        """Give the changed buffers their first values. Raise LoadFailure where the file tells of none."""
        if self._called.changed is None:
            raise LoadFailure(
                "TorchScript does not tell what an inference changes; declare state: keep in model.yaml, or save the "
                "model by torch.export"
            )
        buffers = dict(self._called.module.named_buffers())
        for name, value in self._first.items():
            buffers[name].copy_(value)

    def count_nodes(self) -> NodePlaces:
        """Return what is known of the nodes that the provider runs."""
        return self.places

    def identity(self) -> dict[str, Any]:
        """Return the identity, with the types of the weights. PyTorch does not tell kernels, so `kernels` is None."""
        import numpy

        found = {
            "numpy": numpy.__version__,
            "input_dtypes": [slot.dtype for slot in self.inputs],
            "output_dtypes": [_dtype_of(value) for value in _tensors_in(self._made, self._torch, _NESTED_MAX)],
            "weight_dtypes": sorted({_dtype_of(value) for value in self._called.module.parameters()}),
            "operators": self._called.operators,
            "inference_mode": bool(self._torch.is_inference_mode_enabled()),
            "kernels": None,
        }
        found.update(self._identity)
        return found


def _plain(slot: InputSlot) -> InputSlot:
    return slot if slot.dtype != _NOT_IN_NUMPY else InputSlot(slot.name, slot.shape, "float32")


def _encodable(slot: InputSlot) -> str:
    return _plain(slot).dtype


def _dtype_of(value: Any) -> str:
    return str(value.dtype).replace("torch.", "")


def _as_array(value: Any) -> Any:
    value = value.detach().cpu()
    return (value.float() if _dtype_of(value) == _NOT_IN_NUMPY else value).numpy().copy()


def _tensors_in(made: Any, torch: Any, levels: int) -> list[Any]:
    """Return the tensors of what a call has made. Raise RuntimeError for anything else in there."""
    if isinstance(made, torch.Tensor):
        return [made]
    if isinstance(made, dict):
        made = [made[key] for key in sorted(made)]
    if not isinstance(made, (list, tuple)) or levels == 0:
        raise RuntimeError(f"the model gives a {type(made).__name__}, and only tensors can be compared")
    return [tensor for one in made for tensor in _tensors_in(one, torch, levels - 1)]
