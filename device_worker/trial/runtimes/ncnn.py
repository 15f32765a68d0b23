"""Drive a network in ncnn on the CPU."""

from __future__ import annotations

import zipfile

from device_worker.trial.runtimes.archive import files_in, unpack_model
from device_worker.trial.runtimes.base import InputSlot, LoadedModel, LoadFailure, Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.specification import TrialJob

_PRECISION = "f32"
_NARROW = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
)
"""What ncnn does unasked where the processor can: compute in fewer bits than the file has."""
_SIZES_MAX = 4


class NcnnRuntime(Runtime):
    """The imported package ncnn. The model is a zip archive with a .param and a .bin, as pnnx writes them."""

    engine = "ncnn"
    settings = frozenset(("threads", "cpus"))
    profile_absence = "the package ncnn does not tell the operators apart"

    def __init__(self, job: TrialJob) -> None:
        """Import the package, and unpack the archive, so that loading leaves out both."""
        super().__init__(job)
        if not zipfile.is_zipfile(self._model_path):
            raise LoadFailure("the model is no zip archive of a .param and a .bin, as ncnn reads them")
        folder = unpack_model(self._model_path, job.files_dir)
        self._param, self._bin = _only(folder, ".param"), _only(folder, ".bin")

    def load(self) -> LoadedModel:
        """Read the network. Raise LoadFailure for one that ncnn does not read, or without declared shapes."""
        threads = self._settings.get("threads", 1)
        net = self._module.Net()
        net.opt.num_threads = threads
        net.opt.use_vulkan_compute = False
        for option in _NARROW:
            setattr(net.opt, option, False)
        if net.load_param(self._param) != 0 or net.load_model(self._bin) != 0:
            raise LoadFailure("ncnn does not read the network; its reason is in the trial's output")
        name, version = self._distribution()
        identity = {"name": name, "version": version, "module": self._module_name, "threads": threads}
        return NcnnModel(self._module, net, [self._slot(str(given)) for given in net.input_names()], identity)

    def _slot(self, name: str) -> InputSlot:
        """Return an input as model.yaml declares it, since the file tells no shapes."""
        shape = self._declared.of(name).shape
        if shape is None:
            raise LoadFailure(f"the file of ncnn tells no shape of input {name!r}; declare input.shape in model.yaml")
        if len(shape) < 2 or shape[0] != 1 or len(shape) - 1 > _SIZES_MAX:
            raise LoadFailure(
                f"ncnn takes one item at a time, of one to {_SIZES_MAX} sizes behind a first size of 1; model.yaml "
                f"declares {list(shape)} for input {name!r}"
            )
        return InputSlot(name, shape, "float32")


class NcnnModel(LoadedModel):
    """A network. Each inference has an extractor of its own, as ncnn wants."""

    def __init__(self, module: Any, net: Any, inputs: list[InputSlot], identity: dict[str, Any]) -> None:
        self._mat = module.Mat
        self._net = net
        self._identity = identity
        self._given: list[tuple[str, Any]] = []
        self._results: list[Any] = []
        self.inputs = inputs
        self.output_names = [str(name) for name in net.output_names()]
        self.invoke = self._extract

    def _extract(self) -> None:
        extractor = self._net.create_extractor()
        for name, mat in self._given:
            extractor.input(name, mat)
        results = []
        for name in self.output_names:
            code, mat = extractor.extract(name)
            if code != 0:
                raise RuntimeError(f"ncnn ended with code {code} at output {name!r}: does the input's shape fit?")
            results.append(mat)
        self._results = results

    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return inputs as float32, without the size of the batch, which ncnn does not have."""
        import numpy

        return [
            numpy.ascontiguousarray(value, dtype=numpy.float32).reshape(slot.shape[1:])
            for value, slot in zip(values, self.inputs)
        ]

    def set_inputs(self, encoded: list[Any]) -> None:
        """Copy inputs into memory that ncnn has laid out."""
        self._given = [(slot.name, self._mat(value).clone()) for slot, value in zip(self.inputs, encoded)]

    def get_outputs(self) -> list[Any]:
        """Return copies of the outputs, with a first size of 1 as other runtimes have it."""
        import numpy

        return [numpy.array(mat)[numpy.newaxis] for mat in self._results]

    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32."""
        import numpy

        return [value.astype(numpy.float32) for value in outputs]

    def identity(self) -> dict[str, Any]:
        """Return the identity, with the precision that all operators compute in."""
        import numpy

        found = {
            "numpy": numpy.__version__,
            "precision": _PRECISION,
            "input_dtypes": [slot.dtype for slot in self.inputs],
            "output_dtypes": [value.dtype.name for value in self.get_outputs()],
        }
        found.update(self._identity)
        return found


def _only(folder: str, ending: str) -> str:
    found = files_in(folder, ending)
    if len(found) != 1:
        raise LoadFailure(f"the archive of the model has {len(found)} files that end in {ending}; ncnn reads one")
    return found[0]
