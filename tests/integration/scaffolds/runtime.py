"""Scaffold of a runtime: an engine on the device, and its entry in the controller's table."""

from __future__ import annotations

from tests.integration.scaffolds.recipe import Scaffold, after, in_turn

NCNN = '''"""Drive an ncnn network."""

from __future__ import annotations

from device_worker.trial.runtimes.base import InputSlot, Runtime, LoadedModel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class NcnnRuntime(Runtime):
    """The package, imported."""

    engine = "ncnn"
    settings = frozenset(("threads", "cpus"))

    def load(self) -> LoadedModel:
        """Read and compile the model."""
        threads = self._settings.get("threads", 1)
        compiled = self._module.Core().compile_model(self._model_path, "CPU", {"INFERENCE_NUM_THREADS": threads})
        name, version = self._distribution()
        return NcnnSession(compiled, {"name": name, "version": version, "threads": threads})


class NcnnSession(LoadedModel):
    """One compiled model and the request that runs the model."""

    def __init__(self, compiled: Any, identity: dict[str, Any]) -> None:
        self._request = compiled.create_infer_request()
        self._outputs = compiled.outputs
        self._identity = identity
        self.inputs = [
            InputSlot(given.any_name, tuple(given.shape), given.element_type.to_dtype().name)
            for given in compiled.inputs
        ]
        self.invoke = self._request.infer

    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return inputs in the model's dtypes."""
        return [value.astype(slot.dtype) for value, slot in zip(values, self.inputs)]

    def set_inputs(self, encoded: list[Any]) -> None:
        """Copy inputs into their tensors."""
        for index, value in enumerate(encoded):
            self._request.get_input_tensor(index).data[...] = value

    def get_outputs(self) -> list[Any]:
        """Return copies of the output tensors."""
        return [self._request.get_output_tensor(index).data.copy() for index in range(len(self._outputs))]

    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32."""
        return [value.astype("float32") for value in outputs]

    def identity(self) -> dict[str, Any]:
        """Return what executes."""
        return self._identity
'''

RUNTIME = Scaffold(
    name="ncnn",
    proof="[ncnn]",
    files={"device_worker/trial/runtimes/ncnn.py": NCNN},
    edits={
        "device_worker/trial/runtimes/__init__.py": after(
            "ENGINES = {\n", '    "ncnn": Engine(f"{_HERE}.ncnn:NcnnRuntime", {"ncnn": "ncnn"}),\n'
        ),
        "orchestrator/domain/runtimes.py": in_turn(
            after(
                "_ALL = (\n",
                '    Runtime("ncnn", _NCNN, "ncnn", "1.0.20240820"),\n',
            ),
            after(
                '_EXEC = Engine("exec", None, None)\n',
                '_NCNN = Engine("ncnn", (Format.ONNX,), ("threads", "cpus"))\n',
            ),
            lambda text: text.replace(
                "in (_TFLITE, _ONNXRUNTIME, _OPENVINO, _TENSORFLOW)",
                "in (_TFLITE, _ONNXRUNTIME, _OPENVINO, _TENSORFLOW, _NCNN)",
            ),
        ),
    },
)
