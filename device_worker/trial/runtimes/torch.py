"""Drive a model in PyTorch: TorchScript, or a graph of torch.export, eager or compiled."""

from __future__ import annotations

import os
import tempfile

from device_worker.trial.causes import describe
from device_worker.trial.declared import batched_shape
from device_worker.trial.delegation import NodePlaces
from device_worker.trial.profile import ProfileUnavailable
from device_worker.trial.runtimes.base import InputSlot, LoadedModel, LoadFailure, ProfiledModel, Runtime
from device_worker.trial.runtimes.torch_model import EXPORT_KINDS, Called, TorchModel
from device_worker.trial.runtimes.torch_profiler import ProfiledTorchModel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.specification import TrialJob

_CALLS = ("jit", "eager", "compile")
_PROVIDERS = ("cpu", "cuda")
_PRECISION = "f32"
_EXPORT_SINCE = "2.1"


class TorchRuntime(Runtime):
    """The imported package torch. The setting `call` says how the model is called.

    `jit`, as without the setting, runs a file of TorchScript. `eager` runs the graph of a torch.export file operator by
    operator, and `compile` the same graph compiled by torch.compile. The setting `provider` is `cpu`, or `cuda` for an
    NVIDIA GPU.
    """

    engine = "torch"
    profile_absence = None
    settings = frozenset(("threads", "cpus", "provider", "batch", "call"))

    def __init__(self, job: TrialJob) -> None:
        """Import the package, so that the time of loading leaves out the import."""
        self._call = str(job.settings.get("call", _CALLS[0]))
        if self._call not in _CALLS:  # said before an import of seconds
            raise LoadFailure(f"the setting call: of torch is one of {', '.join(_CALLS)}; not {self._call!r}")
        self._provider = str(job.settings.get("provider", "cpu"))
        if self._provider not in _PROVIDERS:
            raise LoadFailure(f"the setting provider: of torch is one of cpu, cuda; not {self._provider!r}")
        # What torch.compile writes goes with the trial's folder, and no pool of compilers outlives the compilation.
        tempfile.tempdir = job.files_dir
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(job.files_dir, "torch-compiled")
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
        super().__init__(job)

    def load(self) -> LoadedModel:
        """Read the file, and compile where the sweep says so. Raise LoadFailure."""
        return self._load()

    def load_profiled(self, folder: str) -> ProfiledModel:
        """Make the model ready with PyTorch's own profiler. Raise ProfileUnavailable for a GPU."""
        if self._provider != "cpu":
            raise ProfileUnavailable("operators of PyTorch are timed on the CPU alone")
        return ProfiledTorchModel(self._load(), self._module)

    def _load(self) -> TorchModel:
        torch = self._module
        self._refuse_absent_gpu()
        threads = int(self._settings.get("threads", 1))
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)  # operators run one after the other, so that `threads` counts them all
        _pin_precision(torch)
        called, sizes, dtypes = self._script() if self._call == "jit" else self._exported()
        slots = [
            InputSlot(
                name,
                batched_shape(name, sizes.get(name), self._declared, self._batch, can_resize=False),
                dtypes.get(name) or self._declared.of(name).dtype or "float32",
                batch=self._batch or 1,
            )
            for name in called.inputs
        ]
        name, version = self._distribution()
        identity = {
            "name": name,
            "version": version,
            "module": self._module_name,
            "threads": int(torch.get_num_threads()),
            "call": self._call,
            "precision": _PRECISION,
            "provider": self._provider,
            "mkldnn": bool(torch.backends.mkldnn.is_available()),
        }
        # A provider that nobody asked for is nobody's delegate.
        asked = self._provider if "provider" in self._settings and self._provider != "cpu" else None
        model = TorchModel(torch, called, slots, identity)
        model.places = _places(asked)
        if self._call == "compile":
            self._compile(called, model)
        return model

    def _refuse_absent_gpu(self) -> None:
        torch = self._module
        if self._provider == "cpu" or torch.cuda.is_available():
            return
        built = getattr(torch.version, "cuda", None)
        why = f"finds no GPU and driver for CUDA {built}" if built else "is built without CUDA"
        raise LoadFailure(f"provider: cuda is asked for, and this torch {why}; leave the cell out for this device")

    def _script(self) -> tuple[Called, dict[str, list[int | None]], dict[str, str]]:
        """Return a module of TorchScript. The file tells the names of its inputs, and neither shapes nor types."""
        torch = self._module
        try:
            module = torch.jit.load(self._model_path, map_location=self._provider).eval()
        except (OSError, RuntimeError, ValueError) as error:
            raise LoadFailure(f"PyTorch does not load this as TorchScript: {describe(error)}") from error
        names = []
        for given in module.forward.schema.arguments[1:]:  # the first is the module itself
            if given.has_default_value():
                break
            if str(given.type) != "Tensor":
                raise LoadFailure(
                    f"forward takes {given.name!r}, a {given.type}, and this worker gives tensors alone; export a "
                    "module whose forward takes tensors"
                )
            names.append(str(given.name))
        if not names:
            raise LoadFailure("forward takes no tensor")
        return Called(module, names), {}, {}

    def _exported(self) -> tuple[Called, dict[str, list[int | None]], dict[str, str]]:
        """Return the graph of a torch.export file, with shapes and types as the file tells them."""
        try:
            # An attribute of the package only once imported, in the first releases that have the module.
            exported = self._import_module("torch.export")
        except ImportError:
            _, version = self._distribution()
            raise LoadFailure(
                f"torch {version} reads no file of torch.export, as call: {self._call} wants; {_EXPORT_SINCE} is the "
                "first release that does"
            ) from None
        try:
            program = exported.load(self._model_path)
            module = program.module()
        except Exception as error:  # a broken file is an error of any kind here
            raise LoadFailure(f"PyTorch does not load this as a file of torch.export: {describe(error)}") from error
        if self._provider != "cpu":
            module = module.to(self._provider)
        found = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
        names = [str(name) for name in program.graph_signature.user_inputs]
        sizes, dtypes = {}, {}
        for name in names:
            value = found.get(name)
            if value is None or not hasattr(value, "shape"):
                raise LoadFailure(f"the graph takes {name!r}, which is no tensor, and this worker gives tensors alone")
            sizes[name] = [int(size) if isinstance(size, int) else None for size in value.shape]
            dtypes[name] = str(value.dtype).replace("torch.", "")
        called = Called(module, names)
        called.outputs = [str(name) for name in program.graph_signature.user_outputs]
        called.spec = program.call_spec.in_spec
        called.changed = _changed_by(program)
        called.operators = sum(node.op == EXPORT_KINDS for node in program.graph.nodes)
        return called, sizes, dtypes

    def _compile(self, called: Called, model: TorchModel) -> None:
        """Compile the graph for the very shapes of the inputs, so that no inference is a compilation."""
        torch = self._module
        counters = torch._dynamo.utils.counters["stats"]
        called.call = torch.compile(called.call, fullgraph=True, dynamic=False)
        try:
            model.try_once()
        except Exception as error:  # of many kinds: a graph it cannot take, no C++ compiler, a full disk
            raise LoadFailure(
                f"torch.compile does not compile the model: {describe(error)}; on a CPU it needs a C++ compiler on the "
                "device (g++)"
            ) from error
        # Otherwise the figures would be those of `eager` under a wrong name.
        if not counters.get("unique_graphs"):
            raise LoadFailure("torch.compile left the model as it is, without a word")
        model.keep("compiled_graphs", int(counters["unique_graphs"]))


def _changed_by(program: Any) -> list[str]:
    """Return the buffers that an inference changes: those of the signature, and those that an operator writes into.

    A graph as torch.export makes it still has operators that write into their input, of which the signature is silent.
    """
    buffers = program.graph_signature.inputs_to_buffers
    changed = set(program.graph_signature.buffers_to_mutate.values())
    for node in program.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        for argument, given in zip(schema.arguments if schema is not None else (), node.args):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            # What is written into may be a view of a buffer, or a view of a view.
            while getattr(given, "op", None) == EXPORT_KINDS and given.args:
                given = given.args[0]
            changed.update(buffers[name] for name in (getattr(given, "name", ""),) if name in buffers)
    return sorted(map(str, changed))


def _pin_precision(torch: Any) -> None:
    """Have float32 computed in float32: PyTorch may else take bfloat16 or TF32, and says nothing."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _places(asked: str | None) -> NodePlaces:
    reason = "PyTorch does not count nodes; all of a model runs where its tensors are"
    # An operator without a kernel for the GPU is an error in PyTorch, never a step aside to the CPU.
    return NodePlaces(None, None, 0.0, reason) if asked is None else NodePlaces(asked, None, 1.0, reason)
